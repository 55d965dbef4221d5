"""``maagiqa doctor`` tells what runs, and what to fetch for what does not."""

import json
import socket

import pytest
from PIL import Image

from maagiqa_pyiqa.cli import doctor
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.support.reachability import no_network


@pytest.fixture
def look(monkeypatch, tmp_path, capsys):
    """Run the command where hosts answer or do not and no weights are here; findings, and what was printed."""
    monkeypatch.setattr("pyiqa.utils.download_util.DEFAULT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("maagiqa_pyiqa.archs.checkpoints.fetch.weights_folder", lambda: tmp_path)
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "gdown.py").touch()  # installed, whatever is on this machine
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))

    look_up = socket.getaddrinfo  # another where the network is switched off

    def run(*metrics, online, code):
        is_reachable = lambda *_: online and socket.getaddrinfo is look_up  # noqa: E731
        monkeypatch.setattr("maagiqa_pyiqa.support.reachability.is_reachable", is_reachable)
        names = [word for metric in metrics for word in ("-m", metric)]
        assert main(["doctor", *names, "--json", str(tmp_path / "findings.json")]) == code
        return json.loads((tmp_path / "findings.json").read_text()), capsys.readouterr().out

    return run


def test_what_runs_and_what_it_runs_on(look):
    findings, printed = look("maagiqa-lite", online=False, code=0)
    assert findings["metrics"] == {"maagiqa-lite": "runs"}
    assert "start-up hook" in printed
    assert set(findings["hosts"].values()) == {"out of reach"}


@pytest.mark.parametrize(
    ("metric", "wanted"),
    [
        ("cnniqa", "put CNNIQA_koniq10k-e6f14c91.pth (https://huggingface.co/chaofengc/"),
        ("maagiqa", "fetch https://drive.google.com/file/d/1YT9Fryok-ozYPIvT1V3gEnEF-Ij3UxPp by hand"),
        ("hyperiqa", "run 'hf download timm/resnet50.a1_in1k' where the hub answers"),
        ("one-align", "fetch q-future/one-align elsewhere (hf download q-future/one-align --local-dir DIR)"),
    ],
)
def test_weights_that_are_not_here_are_named_with_their_address(look, metric, wanted):
    findings, printed = look(metric, online=False, code=1)
    reason = findings["metrics"][metric]
    assert reason.startswith(f"its weights are not here and cannot be fetched from here; {wanted}")
    assert reason in printed
    findings, _ = look(metric, online=True, code=1)
    reason = findings["metrics"][metric]
    assert reason.startswith(f"its weights are not here yet; they are fetched at first use, or {wanted}")


def test_one_align_is_looked_at_unless_metrics_are_named():
    assert "one-align" in doctor.METRICS


def test_doctor_and_score_name_the_same_file_and_folder(look, tmp_path, capsys):
    findings, _ = look("cnniqa", online=False, code=1)
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    with no_network():
        assert main(["score", str(tmp_path / "a.png"), "-m", "cnniqa", "--device", "cpu"]) == 1
    assert f"metric cnniqa cannot run here: {findings['metrics']['cnniqa']}" in capsys.readouterr().err
