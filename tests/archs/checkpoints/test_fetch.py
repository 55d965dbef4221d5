"""The authors' weights from their host: whole and kept, or a failure that says what to do."""

import importlib
import socket
import sys
import threading
import time

import pytest
import torch

from maagiqa_pyiqa.archs.checkpoints import fetch
from maagiqa_pyiqa.archs.checkpoints.read import read_state_dict
from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from maagiqa_pyiqa.support import reachability


@pytest.fixture
def downloads(tmp_path, monkeypatch):
    folder = tmp_path / "downloads"
    monkeypatch.setattr(fetch, "weights_folder", lambda: folder)
    return folder


@pytest.fixture
def installed(monkeypatch):
    """gdown is there, as far as one can see without importing it."""
    monkeypatch.setattr(fetch.importlib.util, "find_spec", lambda name: name)


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_, **__):
        raise socket.gaierror("Temporary failure in name resolution")

    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.fixture
def hanging(monkeypatch):
    over = threading.Event()

    def hang(*_, **__):
        over.wait(30)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", hang)
    yield
    over.set()


@pytest.fixture
def gdown(tmp_path, monkeypatch):
    """A stand-in for gdown on the import path, given the lines of its download(), and a host that can be reached."""
    monkeypatch.setattr(fetch, "require_reachable", lambda *_: None)
    monkeypatch.delitem(sys.modules, "gdown", raising=False)
    monkeypatch.syspath_prepend(tmp_path / "path")
    (tmp_path / "path").mkdir()

    def write(*lines):
        body = "\n    ".join(lines)
        (tmp_path / "path" / "gdown.py").write_text(f"def download(id, output):\n    {body}\n")
        importlib.invalidate_caches()

    yield write
    sys.modules.pop("gdown", None)


def assert_fails_in_time():
    start = time.monotonic()
    with pytest.raises(ConnectionError, match=r"drive\.google\.com cannot be reached .*by hand .*'maagiqa-lite'"):
        fetch.fetch_official()
    assert time.monotonic() - start < 10


@pytest.mark.usefixtures("offline", "downloads", "installed")
def test_offline_fetch_fails_within_seconds_and_says_what_to_do():
    assert_fails_in_time()


@pytest.mark.usefixtures("hanging", "downloads", "installed")
def test_fetch_fails_within_seconds_where_the_look_up_of_the_name_hangs():
    assert reachability.LIMIT_SECONDS == 4
    assert_fails_in_time()


@pytest.mark.usefixtures("offline", "downloads", "installed")
def test_network_that_asks_for_the_authors_weights_says_so_too(tiny_options):
    with pytest.raises(ConnectionError, match="pass pretrained_model_path=FILE"):
        MAAGIQA(**tiny_options, pretrained="agiqa-3k")


def test_cut_download_is_refused_and_leaves_nothing_behind(gdown, downloads):
    gdown("open(output, 'wb').write(b'PK' + bytes(1000))")
    with pytest.raises(ConnectionError, match=r"not whole: .*1,002 bytes.* by hand"):
        fetch.fetch_official()
    assert list(downloads.iterdir()) == []


def test_download_that_fails_is_told_and_leaves_nothing_behind(gdown, downloads):
    gdown("open(output, 'wb').write(b'PK')", "raise RuntimeError('too many users have viewed the file')")
    with pytest.raises(ConnectionError, match=r"could not be fetched: too many users .* by hand"):
        fetch.fetch_official()
    assert list(downloads.iterdir()) == []


def test_host_that_sends_no_file_is_told(gdown, downloads):
    gdown("return None")
    with pytest.raises(ConnectionError, match="the host sent no file"):
        fetch.fetch_official()
    assert list(downloads.iterdir()) == []


def test_missing_gdown_names_the_extra(monkeypatch, downloads):
    monkeypatch.setattr(fetch, "require_reachable", lambda *_: pytest.fail("asked the network"))
    monkeypatch.setattr(fetch.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'maagiqa_pyiqa\[download\]'"):
        fetch.fetch_official()


@pytest.fixture
def converted(monkeypatch):
    """Half a gigabyte stood in for: whatever was downloaded reads as one tensor."""
    monkeypatch.setattr(fetch, "read_state_dict", lambda path: {"downloaded": torch.tensor(path.stat().st_size)})


@pytest.mark.usefixtures("converted")
def test_whole_download_is_converted_and_kept_for_the_next_time(gdown, downloads):
    gdown("open(output, 'wb').write(b'12345')")
    path = fetch.fetch_official()
    assert [p.name for p in downloads.iterdir()] == [path.name] == [fetch.OFFICIAL_FILE]
    assert read_state_dict(path)["downloaded"] == 5


@pytest.mark.usefixtures("converted")
def test_second_fetch_needs_no_network(gdown, downloads, monkeypatch):
    gdown("open(output, 'wb').write(b'12345')")
    first = fetch.fetch_official()

    def unexpected(*_):
        raise AssertionError("the network was asked again")

    monkeypatch.setattr(fetch, "require_reachable", unexpected)
    monkeypatch.setattr(fetch, "_download_from_drive", unexpected)
    assert fetch.fetch_official() == first
