"""One process at a time in a folder."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from maagiqa_pyiqa.support.folder_lock import LOCK_FILE, folder_lock

HOLDER = """
import sys, time
from maagiqa_pyiqa.support.folder_lock import folder_lock
with folder_lock(sys.argv[1], "training"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_one_is_refused_and_told_who_is_there(tmp_path, holder):
    message = rf"another training runs in '.*': process {holder.pid} on {socket.gethostname()}, since 20.*remove"
    with pytest.raises(FileExistsError, match=message), folder_lock(tmp_path, "training"):
        pass


def test_a_lock_whose_process_was_killed_is_taken_over(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == holder.pid
    with folder_lock(tmp_path, "training"):
        assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == os.getpid()
    assert (tmp_path / LOCK_FILE).read_text() == ""


def test_a_lock_of_another_host_is_respected(tmp_path):
    (tmp_path / LOCK_FILE).write_text('{"pid": 1, "host": "another-host"}')
    with pytest.raises(FileExistsError, match="process 1 on another-host"), folder_lock(tmp_path, "training"):
        pass
    assert "another-host" in (tmp_path / LOCK_FILE).read_text()


@pytest.mark.parametrize("content", ["", "[]", "not json"])
def test_a_lock_file_that_nobody_holds_is_no_hindrance(tmp_path, content):
    (tmp_path / LOCK_FILE).write_text(content)
    with folder_lock(tmp_path, "training"):
        pass


def test_the_lock_goes_when_the_block_fails(tmp_path):
    with pytest.raises(RuntimeError), folder_lock(tmp_path, "training"):
        raise RuntimeError
    with folder_lock(tmp_path, "training"):
        pass


def test_a_lock_beside_the_folder_outlives_a_move_of_it(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with folder_lock(folder, "training", beside=True):
        folder.rename(tmp_path / "run_archived")
        with pytest.raises(FileExistsError, match=rf"runs in '{folder}'"), folder_lock(folder, "training", beside=True):
            pass
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["run_archived"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_lock_ends_with_its_process_though_a_child_lives_on(tmp_path):
    code = (
        "import os, signal, sys, time\n"
        "from maagiqa_pyiqa.support.folder_lock import folder_lock\n"
        f"with folder_lock({str(tmp_path)!r}, 'training'):\n"
        "    ready, said = os.pipe()\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        os.write(said, b'.')\n"
        "        time.sleep(60)\n"
        "    os.read(ready, 1)\n"
        "    print(child, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    try:
        assert process.wait(60) == -signal.SIGKILL
        with folder_lock(tmp_path, "training"):
            os.kill(child, 0)  # it is there still
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()
