"""The client against a server whose scores tell the content, and against servers that fail."""

import http.server
import json
import pickle
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image

import maagiqa_pyiqa
from maagiqa_pyiqa.client import FailedImagesError, RewardClient, ServerError
from tests.helpers.served import METRIC, MeanEngine, mean_of, serving


@pytest.fixture(scope="module")
def url():
    with serving([MeanEngine()], batch_size=4) as (url, _):
        yield url


@pytest.fixture
def floats():
    return torch.rand(70, 3, 4, 6, generator=torch.Generator().manual_seed(0))


def test_a_tensor_of_more_images_than_a_request_holds_is_scored_in_order(url, floats):
    scores, info = RewardClient(url)(floats, prompts=["a cat"] * 70, metadata={})
    assert scores.dtype == np.float32
    assert scores == pytest.approx([mean_of(image) for image in floats.numpy()], abs=1e-6)
    assert info["errors"] == [None] * 70
    assert info["raw"][METRIC] == pytest.approx(scores)
    assert info["gates"] == {METRIC: [[0.25, 0.75]] * 70}
    assert info["distances"][METRIC].tolist() == [1.5] * 70
    assert info["out_of_distribution"][METRIC].all()


@pytest.mark.parametrize("encoding", ["tensor", "png", "webp"])
def test_images_of_all_kinds_arrive_without_loss(url, tmp_path, encoding):
    pixels = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    gray = Image.fromarray(pixels[..., 0])
    given = [
        pixels,
        Image.fromarray(pixels),
        tmp_path / "a.png",
        torch.tensor(pixels),
        gray,
        pixels.transpose(2, 0, 1) / 255,
    ]
    scores, _ = RewardClient(url, encoding=encoding)(given)
    expected = [mean_of(pixels)] * 4 + [mean_of(pixels[..., 0]), mean_of(pixels)]
    assert scores == pytest.approx(expected, abs=1e-6)


def test_an_image_that_fails_is_nan_with_its_reason_and_never_zero(url, tmp_path):
    given = [np.full((3, 4, 4), 0.5), np.full((3, 4, 4), np.nan), tmp_path / "absent.png"]
    scores, info = RewardClient(url)(given)
    assert scores[0] == pytest.approx(0.5)
    assert np.isnan(scores[1:]).all()
    assert "pixels must be in [0, 1], got min nan" in info["errors"][1]
    assert "no such file" in info["errors"][2]
    with pytest.raises(FailedImagesError, match=r"2 of 3 images could not be scored; images\[1\]: pixels must be"):
        RewardClient(url, on_error="raise")(given)
    with pytest.raises(FailedImagesError, match="1 of 1"):
        RewardClient(url)(given[1:2])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 4, 4, 3), np.float32), r"got \(4, 4, 3\) of float32"),
        (np.zeros((2, 3, 4, 4), np.uint8), r"got \(3, 4, 4\) of uint8"),
        (torch.zeros(4, 4), r"got \(4, 4\) of float32"),
        ([object()], "got object"),
    ],
)
def test_what_is_no_image_is_an_error_before_anything_is_sent(images, message):
    with pytest.raises(TypeError, match=message):
        RewardClient("http://127.0.0.1:9", wait=0)(images)


def test_it_goes_through_pickle_and_threads_share_it(url, floats):
    client = pickle.loads(pickle.dumps(RewardClient(url)))
    found = {}
    threads = [
        threading.Thread(target=lambda place=place: found.update({place: client(floats[place : place + 2])[0]}))
        for place in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place, scores in found.items():
        assert scores == pytest.approx([mean_of(image) for image in floats[place : place + 2].numpy()], abs=1e-6)


def test_a_server_has_the_cards_of_its_metrics(url):
    cards = RewardClient(url).cards()
    assert cards == {name: maagiqa_pyiqa.card(name).as_record() for name in (METRIC, "piqe")}
    assert cards["piqe"]["direction"] == "lower"


def test_a_refusal_raises_with_its_reason(url):
    with pytest.raises(ServerError, match="400, metric: 'clipiqa' is not served here") as refused:
        RewardClient(url, metric="clipiqa")(np.zeros((1, 3, 4, 4)))
    assert refused.value.status == 400


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def answering(status, body, headers=()):
    """A server that gives every request the same answer; its requests are counted."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.server.asked += 1
            self.rfile.read(int(self.headers["Content-Length"]))
            if status is None:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in (("Content-Length", str(len(body))), *headers):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = 0
    return server


ONE = {"name": "0", "score": 1.0, "error": None, "raw": {}, "gates": {}, "distances": {}}


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (429, json.dumps({"error": "full"}).encode(), "429, full"),
        (500, b"oops", "500, and no JSON"),
        (200, b"<html>", "200, and no JSON"),
        (200, json.dumps({"schema": 2, "results": [ONE]}).encode(), "another schema"),
        (200, json.dumps({"schema": 1, "results": []}).encode(), "another request"),
        (200, json.dumps({"schema": 1, "results": [{**ONE, "name": "1"}]}).encode(), "another request"),
        (200, json.dumps({"schema": 1}).encode(), "another schema"),
        (None, b"", "Connection"),
    ],
)
def test_a_failure_raises_at_once_and_is_not_tried_again(status, body, message):
    with answering(status, body, [("Retry-After", "7")]) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(ServerError, match=message) as failed:
            RewardClient(f"http://127.0.0.1:{server.server_port}")(np.zeros((1, 3, 4, 4)))
        server.shutdown()
        assert server.asked == 1
    assert failed.value.retry_after == (7 if status == 429 else None)


def test_a_server_that_is_still_starting_is_waited_for():
    port = free_port()
    client = RewardClient(f"http://127.0.0.1:{port}", wait=20)
    found = []
    thread = threading.Thread(target=lambda: found.append(client(np.full((1, 3, 4, 4), 0.5))[0]))
    thread.start()
    time.sleep(0.3)
    with serving([MeanEngine()], port=port):
        thread.join(20)
    assert found[0] == pytest.approx([0.5])


def test_where_nobody_answers_it_gives_up():
    with pytest.raises(ServerError, match="refused"):
        RewardClient(f"http://127.0.0.1:{free_port()}", wait=0.2)(np.zeros((1, 3, 4, 4)))


def test_it_needs_neither_torch_nor_pyiqa():
    code = "import sys, maagiqa_pyiqa.client; print({'torch', 'pyiqa', 'fastapi'}.intersection(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
