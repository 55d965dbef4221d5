"""docs/serve.md, as it is written: the server starts, is asked by its snippets, and ends in order at SIGTERM."""

import os
import re
import shlex
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from maagiqa_pyiqa.cli.main import build_parser, main
from maagiqa_pyiqa.client import RewardClient
from maagiqa_pyiqa.metrics.scoring import create_metrics, makers_of
from maagiqa_pyiqa.reward import make_reward
from maagiqa_pyiqa.serving.worker import score_batch
from tests.helpers.places import ROOT, SAMPLE
from tests.helpers.served import wait_until

PAGE = (ROOT / "docs" / "serve.md").read_text()
URL = "http://127.0.0.1:8410"  # the page's


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def lines(language, program):
    """Command lines of a program, without variables before it."""
    found = [line for block in blocks(language) for line in block.splitlines() if f"{program} " in line]
    return [line[line.index(f"{program} ") :] for line in found]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the pictures that the page speaks of."""
    folder = tmp_path_factory.mktemp("serve")
    (folder / "pictures").mkdir()
    for name in ("image.png", "pictures/a.png"):
        Image.radial_gradient("L").resize((96, 96)).convert("RGB").save(folder / name)
    return folder


@pytest.fixture(scope="module")
def server(workplace):
    (command,) = lines("bash", "maagiqa serve")
    with subprocess.Popen([sys.executable, "-m", "maagiqa_pyiqa.cli.main", *shlex.split(command)[1:]]) as process:
        RewardClient(URL, wait=120).health()
        yield process
        process.kill()


def run(words, workplace):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, cwd=workplace, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_call_by_curl_gives_a_score_for_each_file(server, workplace):
    (line,) = lines("bash", "curl")
    assert run(shlex.split(line), workplace).count('"error":null') == 2


@pytest.mark.parametrize("code", blocks("python"))
def test_snippets_run(server, workplace, code):
    printed = run([sys.executable, "-c", code], workplace)
    assert ("no such file: 'absent.png'" in printed) == ("absent.png" in code)


@pytest.fixture(scope="module")
def in_process():
    metrics, _ = create_metrics(makers_of(["maagiqa-lite"]), "cpu")
    return lambda images: [one.scores["maagiqa-lite"] for one in score_batch(images, metrics)]


@pytest.mark.parametrize("encoding", ["tensor", "png", "webp"])
def test_scores_are_those_of_the_metric_in_process(server, in_process, image_paths, encoding):
    images = np.stack([np.asarray(Image.open(path).convert("RGB"))[100:250, 50:230] for path in image_paths])
    scores, _ = RewardClient(URL, encoding=encoding)(images)
    assert scores == pytest.approx(in_process(images), abs=1e-6)


def test_what_stands_behind_scores_is_what_a_reward_in_process_tells(server):
    images = np.random.default_rng(0).random((2, 3, 70, 90), np.float32)
    _, far = RewardClient(URL)(images)
    _, near = make_reward("maagiqa-lite", device="cpu")(torch.from_numpy(images))
    assert set(far) == set(near)
    for key in ("raw", "distances"):
        assert far[key]["maagiqa-lite"] == pytest.approx(near[key]["maagiqa-lite"], abs=1e-5)
    assert far["out_of_distribution"]["maagiqa-lite"].tolist() == near["out_of_distribution"]["maagiqa-lite"].tolist()


def test_scores_of_floats_and_of_files_too(server, in_process):
    floats = np.random.default_rng(0).random((2, 3, 70, 90), np.float32)
    assert RewardClient(URL)(floats)[0] == pytest.approx(in_process(floats), abs=1e-6)
    path = sorted((SAMPLE / "images").iterdir())[0]
    pixels = np.asarray(Image.open(path).convert("RGB"))
    assert RewardClient(URL)([path])[0] == pytest.approx(in_process(pixels[None]), abs=1e-6)


def test_sigterm_finishes_what_is_in_work_and_ends_in_order(server, in_process):
    images = np.random.default_rng(0).random((12, 3, 256, 256), np.float32)
    found = {}

    def ask(place):
        found[place] = RewardClient(URL, wait=0)(images[place : place + 1])[0][0]

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(len(images))]
    for thread in threads:
        thread.start()
    wait_until(lambda: RewardClient(URL).health()["waiting"] > 0)
    server.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(60)
    assert server.wait(60) == 0
    assert [found[place] for place in range(len(images))] == pytest.approx(in_process(images), abs=1e-6)


@pytest.mark.parametrize("line", lines("sh", "maagiqa serve"))
def test_commands_that_need_more_than_a_test_has_are_parsed(line):
    assert build_parser().parse_args(shlex.split(line)[1:]).handler


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--host", "0.0.0.0"], "requests need a token: set MAAGIQA_TOKEN"),
        (["-m", "maagiqa-light"], "Did you mean 'maagiqa-lite'"),
        (["--memory", "10"], "memory_mib must hold the largest request"),
        (["--host", "203.0.113.1", "--without-token"], "cannot listen on 203.0.113.1:8410"),
    ],
)
def test_what_is_wrong_with_a_command_is_said_in_a_line(capsys, monkeypatch, arguments, message):
    monkeypatch.delenv("MAAGIQA_TOKEN", raising=False)
    assert main(["serve", *arguments]) == 2
    assert message in capsys.readouterr().err
