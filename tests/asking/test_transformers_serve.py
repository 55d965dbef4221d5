"""``maagiqa ask`` against ``transformers serve``, the first server that docs/ask.md names, with a tiny random model."""

import json
import os
import socket
import subprocess
import sys
import urllib.request

import pytest

pytest.importorskip("openai", reason="it comes with transformers[serving]")
pytest.importorskip("fastapi", reason="it comes with transformers[serving]")
pytest.importorskip("uvicorn", reason="it comes with transformers[serving]")
pytest.importorskip("accelerate", reason="it comes with transformers[serving]")
pytest.importorskip("transformers.cli.serve", reason="it comes with transformers[serving]")

from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.semantics.answers.store import Answers
from maagiqa_pyiqa.semantics.extractor import create_extractor
from maagiqa_pyiqa.semantics.prompts import QUESTIONS
from tests.helpers.fake_extractor import wait_until, write_pictures
from tests.helpers.tiny_lmms import save


def is_healthy(url):
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


@pytest.fixture
def server(tmp_path):
    """The address of a server of its own, without access to the model hub."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "transformers.cli.transformers",
        "serve",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with (
        open(tmp_path / "server.log", "wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "HF_HUB_OFFLINE": "1"}) as process,
    ):
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until(lambda: process.poll() is not None or is_healthy(url), 180)
            assert process.poll() is None, (tmp_path / "server.log").read_text()
            yield url
        finally:
            process.kill()


def test_a_model_behind_transformers_serve_is_asked_and_its_answers_become_features(server, tmp_path, capsys):
    images = write_pictures(tmp_path / "images", 3)
    model = str(save("llava", tmp_path / "model"))
    where = ["--endpoint", f"{server}/v1", "--model", model, "--answers", str(tmp_path / "answers")]
    command = ["ask", str(tmp_path / "images"), *where, "--max-tokens", "8", "--at-once", "2"]
    assert main([*command, "--json", str(tmp_path / "counts.json")]) == 0
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert (counts["answered"], counts["failed"]) == (6, 0)
    given = [answer for of_image in Answers(tmp_path / "answers") for answer in of_image.values()]
    assert sorted(answer.question for answer in given) == sorted([*QUESTIONS] * 3)
    assert all(answer.text and answer.tokens_in > 16 and 0 < answer.tokens_out <= 8 for answer in given)
    assert main(command) == 0
    assert "0 answered, 6 answered before" in capsys.readouterr().out
    assert main(["answers", "fit", str(tmp_path / "answers"), *map(str, images)]) == 0
    assert create_extractor(f"answers:{tmp_path / 'answers'}").extract(images).shape == (3, 2, 4096 + 2)
