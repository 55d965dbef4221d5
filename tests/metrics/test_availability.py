"""An error that keeps a metric from running becomes one line with the remedy, whoever asks."""

import pickle

import pyiqa
import pytest

from maagiqa_pyiqa.metrics import scoring
from maagiqa_pyiqa.metrics.availability import explain
from maagiqa_pyiqa.support.reachability import UnreachableError, no_network


def raised(error):
    try:
        raise error
    except BaseException as caught:
        return caught


def download(url, cached_file):
    """As pyiqa names what it fetches."""
    raise OSError("timed out")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ModuleNotFoundError("No module named 'icecream'", name="icecream"), "lacks the package 'icecream'; pip insta"),
        (ImportError("needs gdown: pip install 'maagiqa_pyiqa[download]'"), "lacks a package: needs gdown: pip inst"),
        (MemoryError("the model needs 15 GiB"), "out of memory: the model needs 15 GiB"),
        (RuntimeError("CUDA out of memory. Tried to"), "out of memory: CUDA out of memory. Tried to"),
        (SystemExit(3), "it ended the program (exit code 3)"),
        (IndexError("index out of range\nin detail"), "index out of range"),
        (KeyError(), "KeyError"),
        (FileNotFoundError("'x.pth' does not exist"), "'x.pth' does not exist"),
    ],
)
def test_the_reason_is_one_line(error, line):
    reason = explain(raised(error))
    assert reason.startswith(line)
    assert "\n" not in reason


def test_a_download_is_named_by_file_address_and_place_and_by_who_answers():
    with pytest.raises(OSError, match="timed out") as failure:
        download("https://host.org:443/a/net.pth", "/weights/net.pth")
    asked = []
    wanted = "put net.pth (https://host.org:443/a/net.pth) into /weights"
    assert explain(failure.value) == f"its weights are not here and cannot be fetched from here; {wanted}"
    reason = explain(failure.value, lambda *address: asked.append(address) or True)
    assert reason == f"its weights are not here yet; they are fetched at first use, or {wanted}"
    assert asked == [("host.org", 443)]


def test_the_cause_of_an_error_is_searched_too():
    with pytest.raises(OSError, match="timed out") as failure:
        download("https://host.org/net.pth", "/weights/net.pth")
    error = OSError("no weights")
    error.__cause__ = failure.value
    assert "put net.pth (https://host.org/net.pth) into /weights" in explain(raised(error))


def test_what_creates_metrics_explains_likewise(monkeypatch, tmp_path):
    monkeypatch.setattr("pyiqa.utils.download_util.DEFAULT_CACHE_DIR", str(tmp_path))
    create = pyiqa.create_metric
    monkeypatch.setattr(scoring.pyiqa, "create_metric", lambda name, **_: exit(2) if name == "piqe" else create(name))
    with no_network():
        metrics, unavailable = scoring.create_metrics(scoring.makers_of(["cnniqa", "piqe", "entropy"]), "cpu")
    assert list(metrics) == ["entropy"]
    assert unavailable["cnniqa"].endswith(f"CNNIQA_koniq10k-e6f14c91.pth) into {tmp_path}")
    assert unavailable["piqe"] == "it ended the program (exit code 2)"


def test_an_unreachable_host_survives_its_way_from_another_process():
    error = pickle.loads(pickle.dumps(UnreachableError("host.org", 443, "Ask for it.")))
    assert str(error) == "host.org cannot be reached from here. Ask for it."
    assert explain(error).endswith("cannot be fetched from here; ask for it.")
