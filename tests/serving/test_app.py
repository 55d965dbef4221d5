"""Requests of all kinds to a server whose scores tell the content they were given for."""

import base64
import concurrent.futures
import dataclasses
import gc
import io
import json
import logging
import socket
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import psutil
import pytest
import urllib3
from PIL import Image
from safetensors.numpy import save

from maagiqa_pyiqa.serving.wire import pack
from tests.helpers.served import METRIC, MeanEngine, mean_of, serving, wait_until

http = urllib3.PoolManager(maxsize=64)


def picture(value, height=8, width=8):
    return np.full((height, width, 3), value, np.uint8)


def png(image, **options):
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG", **options)
    return content.getvalue()


def webp(image):
    content = io.BytesIO()
    Image.fromarray(image).save(content, "WEBP", lossless=True)
    return content.getvalue()


def form(*contents, options=None):
    fields = [("images", (f"{place}.png", content)) for place, content in enumerate(contents)]
    return {"fields": fields + ([("options", json.dumps(options))] if options is not None else [])}


def as_json(body):
    return {"body": body if isinstance(body, bytes) else json.dumps(body).encode(), "headers": JSON}


JSON = {"Content-Type": "application/json"}


def ask(url, **body):
    response = http.request("POST", f"{url}/score", retries=False, timeout=30, **body)
    return response.status, json.loads(response.data)


def scored(url, *contents, **options):
    status, answer = ask(url, **form(*contents, **options))
    assert status == 200, answer
    return answer["results"]


@pytest.fixture(scope="module")
def engine():
    return MeanEngine()


@pytest.fixture(scope="module")
def server(engine):
    limits = {"queue": 6, "batch_size": 2, "max_images": 8, "max_body_mib": 1, "max_megapixels": 1, "memory_mib": 8}
    with serving([engine], **limits, body_seconds=1, score_seconds=5) as (url, server):
        yield url, server


@pytest.fixture
def url(server):
    return server[0]


def base64_of(content):
    return base64.b64encode(content).decode()


def test_files_and_tensors_in_one_form_are_scored_in_their_order(url):
    floats = np.random.default_rng(0).random((2, 3, 5, 7), np.float32)
    results = scored(url, png(picture(50)), pack(floats), webp(picture(60)), pack(picture(70)[None]))
    expected = [mean_of(image) for image in (picture(50), floats[0], floats[1], picture(60), picture(70))]
    assert [one["score"] for one in results] == pytest.approx(expected, abs=1e-6)
    assert [one["name"] for one in results] == ["0.png", "1.png[0]", "1.png[1]", "2.png", "3.png"]


def test_json_says_the_same_as_a_form(url):
    images = [{"data": base64_of(png(picture(50))), "name": "a"}, {"data": base64_of(pack(picture(60)))}]
    status, answer = ask(url, **as_json({"schema": 1, "metric": METRIC, "images": images}))
    assert status == 200
    assert answer["schema"] == 1
    assert [(one["name"], one["score"]) for one in answer["results"]] == [
        ("a", pytest.approx(50 / 255)),
        ("images[1]", pytest.approx(60 / 255)),
    ]


def test_weights_and_scales_are_those_of_a_reward(url):
    (one,) = scored(url, png(picture(51)), options={"metric": {METRIC: 0.5, "piqe": -2}})
    assert one["score"] == pytest.approx(0.5 * 0.2 - 2 * 0.2)
    assert one["raw"] == {METRIC: pytest.approx(0.2), "piqe": pytest.approx(0.2)}


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def claimed_png(width, height, data=b"", extra=b""):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def tensor_file(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor_of(shape, dtype="U8", size=None):
    """A header that says so, with as many bytes as ``size`` says."""
    size = int(np.prod(shape)) if size is None else size
    return tensor_file({"images": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}, bytes(size))


GOOD = png(picture(50))
BOMB_TEXT = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(20 * 2**20)))
# images that cannot be scored: what the server says in their place, while others of the request are scored
BAD_IMAGES = {
    "empty": (b"", "empty file"),
    "text": (b"hello", "not a PNG, WebP, JPEG or safetensors file"),
    "zip": (b"PK\x03\x04" + bytes(100), "not a PNG, WebP, JPEG or safetensors file"),
    "pickle": (b"\x80\x04\x95" + bytes(100), "not a PNG, WebP, JPEG or safetensors file"),
    "gif": (b"GIF89a" + bytes(100), "not a PNG, WebP, JPEG or safetensors file"),
    "tiff": (b"II*\x00" + bytes(100), "not a PNG, WebP, JPEG or safetensors file"),
    "postscript": (b"%!PS-Adobe", "not a PNG, WebP, JPEG or safetensors file"),
    "cut png": (png(picture(50, 64, 64))[:-30], "cannot be decoded"),
    "png of 3.6 gigapixels": (claimed_png(60000, 60000), "too many pixels, refused as a decompression bomb"),
    "png of 2 megapixels": (claimed_png(2000, 1000), "2.0 megapixels are more than the 1 that are taken here"),
    "png bomb": (claimed_png(900, 900, bytes(50 * 2**20)), None),
    "png text bomb": (claimed_png(8, 8, bytes(8 * 25), BOMB_TEXT), None),
    "png of no pixels": (claimed_png(0, 0), ""),
    "cut webp": (webp(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))[:-500], "cannot be decoded"),
    "cut jpeg": (b"\xff\xd8\xff\xe0" + bytes(20), ""),
    "tensor of NaN": (pack(np.full((3, 4, 4), np.nan, np.float32)), "pixels must be in [0, 1], got min nan"),
    "tensor of 0 to 255": (pack(np.full((3, 4, 4), 255, np.float32)), "got min 255, max 255"),
    "tensor of infinities": (pack(np.full((3, 4, 4), np.inf, np.float16)), "got min inf"),
    "tensor of float64": (save({"images": np.zeros((3, 4, 4))}), "got F64"),
    "tensor of bfloat16": (tensor_of([3, 2, 2], "BF16", 24), "got BF16"),
    "tensor of four channels": (pack(np.zeros((4, 4, 4), np.float32)), "got (4, 4, 4) of float32"),
    "tensor of one number": (pack(np.zeros(1, np.float32)), "got (1,) of float32"),
    "tensor without images": (pack(np.zeros((0, 3, 4, 4), np.float32)), "got (0, 3, 4, 4)"),
    "two tensors": (save({"a": picture(1), "b": picture(2)}), "it holds 2"),
    "shape that lies": (tensor_of([100, 100, 3], size=10), "not a safetensors file that holds one tensor"),
    "shape that overflows": (tensor_of([2**40, 2**40, 3], size=10), "not a safetensors file that holds one tensor"),
    "shape below zero": (tensor_of([-1, 8, 3], size=10), "not a safetensors file that holds one tensor"),
    "cut tensor": (pack(picture(50))[:-5], "not a safetensors file that holds one tensor"),
    "huge tensor header": (struct.pack("<Q", 2**40) + b"{", "is more than the 4096"),
    "deep tensor header": (tensor_file(b'{"a":' * 600 + b"1" + b"}" * 600), "not a safetensors file"),
    "tensor header of a list": (tensor_file(b"{}"), "it holds 0"),
}


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_a_bad_image_says_why_and_harms_no_other(url, name):
    content, reason = BAD_IMAGES[name]
    first, bad, last = scored(url, GOOD, content, png(picture(60)))
    assert [first["score"], last["score"]] == pytest.approx([50 / 255, 60 / 255])
    if reason is not None:  # None is of those that are decoded within bounds
        assert bad["score"] is None
        assert reason in bad["error"]


def of(url, content):
    return {"images": [{"data": base64_of(content)}]}


HUGE = b"x" * (2**20 + 1)
# requests that are refused: with which status and words
REFUSED = {
    "no body": ({}, 415, "Content-Type must be"),
    "pickle": ({"body": b"\x80\x04.", "headers": {"Content-Type": "application/octet-stream"}}, 415, "octet-stream"),
    "gzip": ({"body": b"\x1f\x8b", "headers": {**JSON, "Content-Encoding": "gzip"}}, 415, "'gzip' is not taken"),
    "broken JSON": (as_json(b'{"images": ['), 400, "Invalid JSON"),
    "deep JSON": (as_json(b"[" * 9000), 400, "Invalid JSON"),
    "JSON of many values": (as_json(b"[" + b"1," * 20000 + b"1]"), 413, "JSON of more than 10000 values"),
    "JSON of another type": (as_json([1]), 400, "should be an object"),
    "no images in JSON": (as_json({"images": []}), 400, "images"),
    "images of another type": (as_json({"images": "x"}), 400, "images"),
    "number as data": (as_json({"images": [{"data": 7}]}), 400, "images.0.data"),
    "no base64": (as_json({"images": [{"data": "***"}]}), 400, "images.0.data: not base64"),
    "unknown key": (as_json({"images": [{"data": "", "jpeg": 1}]}), 400, "images.0.jpeg"),
    "another schema": (as_json({"schema": 2, "images": [{"data": ""}]}), 400, "schema"),
    "unknown metric": (form(GOOD, options={"metric": "piqq"}), 400, "'piqq' is not served here. Did you mean 'piqe'"),
    "weight of the wrong sign": (form(GOOD, options={"metric": {"piqe": 1.0}}), 400, "must be negative"),
    "weight that is NaN": (form(GOOD, options={"metric": {"piqe": float("nan")}}), 400, "metric"),
    "unknown scale": (form(GOOD, options={"normalize": "percent"}), 400, "normalize"),
    "no file in the form": ({"fields": {"options": "{}"}}, 400, "no file in 'images'"),
    "another field": ({"fields": {"image": ("a.png", GOOD)}}, 400, "got 'image'"),
    "form without boundary": ({"body": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "boundary"),
    "form that ends early": (
        {"body": b"--x\r\nContent-Dis", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400, "form",
    ),
    "too many images": (form(*[GOOD] * 9), 413, "Too many files"),
    "too many images in a tensor": (form(pack(np.zeros((9, 2, 2, 3), np.uint8))), 413, "images a request, got 9"),
    "too many images in JSON": (as_json({"images": [{"data": ""}] * 9}), 413, "at most 8 images a request, got 9"),
    "large body": (form(HUGE), 413, "a body may have 1 MiB"),
    "large options": ({"fields": {"options": "x" * 70000}}, 400, "exceeded maximum size"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_is_refused_says_why(url, name):
    body, status, reason = REFUSED[name]
    found, answer = ask(url, **body)
    assert (found, reason in answer["error"]) == (status, True), answer


def raw(url, head, body=b"", pause=0.0):
    """What comes back for bytes that no client would send; the pause is between head and body."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head)
        time.sleep(pause)
        connection.sendall(body)
        answer = b""
        while more := connection.recv(65536):
            answer += more
    return answer


HEAD = b"POST /score HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"


def test_a_body_that_comes_too_slowly_is_refused(url):
    assert b"408" in raw(url, HEAD + b"Content-Length: 100\r\n\r\n{").split(b"\r\n")[0]


@pytest.mark.parametrize("chunks", [17, 60])
def test_a_body_without_length_is_refused_once_it_is_too_large(url, chunks):
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    answer = raw(url, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunk * chunks)
    assert b" 413 " in answer.split(b"\r\n")[0]


@pytest.mark.parametrize(("kind", "status"), [(b"application/json", b" 413 "), (b"text/plain", b" 415 ")])
def test_who_sends_a_whole_large_body_before_listening_hears_why_it_is_refused(url, kind, status):
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: " + kind
    answer = raw(url, head + b"\r\nContent-Length: 4000000\r\n\r\n", b" " * 4_000_000)
    assert status in answer.split(b"\r\n")[0]


def test_who_is_refused_in_the_middle_of_a_body_hears_why(url):
    boundary = b"--b\r\nContent-Disposition: form-data; name=images; filename=a.png\r\n\r\n"
    body = (boundary + b"\r\n") * 8 + boundary + b" " * 1_000_000 + b"\r\n--b--\r\n"  # one file more than may be
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    answer = raw(url, head + b"Content-Length: %d\r\n\r\n" % len(body), body)
    assert b" 413 " in answer.split(b"\r\n")[0]
    assert b"Too many files" in answer


def test_a_connection_on_which_no_request_comes_is_closed(url):
    assert raw(url, b"POST /score HT") == b""


def test_clients_beyond_the_queue_get_429_and_all_others_their_scores(server, engine):
    url, running = server
    engine.open.clear()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        asked = [
            pool.submit(ask, url, **form(png(picture(value)), png(picture(value + 1)))) for value in range(20, 52, 2)
        ]
        wait_until(lambda: sum(future.done() for future in asked) >= 12)  # 2 images are at work, 6 wait
        engine.open.set()
        answers = [future.result() for future in asked]
    served = {status: sum(1 for found, _ in answers if found == status) for status in (200, 429)}
    assert served == {200: 4, 429: 12}
    for value, (status, answer) in zip(range(20, 52, 2), answers, strict=True):
        if status == 200:
            found = [one["score"] for one in answer["results"]]
            assert found == pytest.approx([value / 255, (value + 1) / 255], abs=1e-6)
        else:
            assert "images wait already, of 6 that may" in answer["error"]
    assert running.budget.used == 0


def test_a_client_that_vanishes_leaves_the_queue_the_memory_and_the_log(server, engine, caplog):
    url, running = server
    engine.open.clear()
    before = len(engine.batches)
    body = json.dumps({"images": [{"data": base64_of(GOOD)}] * 6}).encode()
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        wait_until(lambda: len(engine.batches) > before)
    wait_until(lambda: running.budget.used == 0)
    engine.open.set()
    assert scored(url, png(picture(60)))[0]["score"] == pytest.approx(60 / 255)
    assert len(engine.batches) == before + 2
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_who_waits_too_long_is_told_so(server, engine, monkeypatch):
    url, running = server
    monkeypatch.setattr(running, "settings", dataclasses.replace(running.settings, score_seconds=1))
    engine.open.clear()
    status, answer = ask(url, **form(GOOD))
    engine.open.set()
    assert (status, "not scored within 1 s" in answer["error"]) == (504, True)


def test_hostile_requests_leave_memory_as_it_was(server):
    url, running = server
    contents = [content for content, _ in BAD_IMAGES.values()]
    for content in contents:
        ask(url, **form(content))
    before = psutil.Process().memory_info().rss
    for content in contents:
        ask(url, **form(content, content))
    assert psutil.Process().memory_info().rss - before < 64 * 2**20
    assert running.budget.used == 0


def test_health_and_figures_tell_what_happened(url):
    scored(url, GOOD, b"")
    health = json.loads(http.request("GET", f"{url}/health").data)
    assert (health["status"], health["metrics"], health["waiting"]) == ("ok", [METRIC, "piqe"], 0)
    page = http.request("GET", f"{url}/metrics").data.decode()
    assert 'maagiqa_requests_total{status="200"}' in page
    assert 'maagiqa_images_total{result="failed"}' in page
    assert "maagiqa_waiting_images 0.0" in page


def test_without_its_token_nothing_is_scored_and_health_still_tells():
    with serving([MeanEngine()], token="secret") as (url, _):
        for headers in ({}, {"Authorization": "Bearer guess"}, {"Authorization": "Bearer \xe9"}):
            response = http.request("POST", f"{url}/score", headers=headers, fields=form(GOOD)["fields"])
            assert (response.status, "a token is asked for" in response.data.decode()) == (401, True)
        assert http.request("GET", f"{url}/metrics").status == 401
        assert http.request("GET", f"{url}/health").status == 200
        headers = {"Authorization": "Bearer secret"}
        assert http.request("POST", f"{url}/score", headers=headers, fields=form(GOOD)["fields"]).status == 200


def test_the_guide_explains_every_route_and_field_and_asks_for_nothing_from_outside(url):
    page = http.request("GET", f"{url}/docs").data.decode()
    for words in ("POST /score", "GET /health", "normalize", "429", "safetensors", METRIC, "curl -F images=@image.png"):
        assert words in page
    assert "//" not in page.replace(url, "")


def without_titles(document):
    """Without what libraries make up by themselves, in which their versions differ."""
    if isinstance(document, list):
        return [without_titles(item) for item in document]
    if not isinstance(document, dict):
        return document
    made_up = ("title", "operationId", "summary")
    return {key: without_titles(value) for key, value in document.items() if key not in made_up}


def test_the_openapi_document_is_the_recorded_one(url):
    """A change of it is a change of the contract: raise the schema's version, or record what was added."""
    document = without_titles(json.loads(http.request("GET", f"{url}/openapi.json").data))
    recorded = Path(__file__).with_name("openapi.json")
    assert document == json.loads(recorded.read_text()), f"it is now {json.dumps(document, indent=1, sort_keys=True)}"
