"""Output files: whole or not there, written through devices and links, kept elsewhere where a disk is full."""

import contextlib
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

from maagiqa_pyiqa.support.files import require_writable, write_whole, written_whole


def test_a_file_appears_with_its_folder_and_nothing_stays_beside_it(tmp_path):
    write_whole(tmp_path / "new" / "a.txt", "text")
    assert (tmp_path / "new" / "a.txt").read_text() == "text"
    assert os.listdir(tmp_path / "new") == ["a.txt"]


def test_a_file_keeps_its_permissions_and_a_new_one_gets_the_usual(tmp_path):
    (tmp_path / "old").write_text("")
    (tmp_path / "old").chmod(0o640)
    (tmp_path / "usual").write_text("")
    for name in ("old", "new"):
        write_whole(tmp_path / name, "text")
    assert stat.S_IMODE((tmp_path / "old").stat().st_mode) == 0o640
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_what_fails_leaves_the_old_file(tmp_path):
    (tmp_path / "a").write_text("old")
    with contextlib.suppress(RuntimeError), written_whole(tmp_path / "a") as aside:
        aside.write_text("half")
        raise RuntimeError
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_symbolic_link_is_written_through(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_dangling_link_makes_the_file_it_points_to(tmp_path):
    (tmp_path / "link").symlink_to("absent")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "absent").read_text() == "new"


def test_a_pipe_is_written_through_and_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_text()))
    reader.start()
    write_whole(tmp_path / "pipe", "through")
    reader.join()
    assert read == ["through"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_pipe_that_is_checked_before_has_not_ended_for_its_reader(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    require_writable(tmp_path / "pipe")
    write_whole(tmp_path / "pipe", "through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="no /dev/fd here")
def test_a_pipe_that_only_a_descriptor_names_is_written_through():
    reading, writing = os.pipe()
    require_writable(f"/dev/fd/{writing}")
    write_whole(f"/dev/fd/{writing}", "through")
    assert os.read(reading, 100) == b"through"
    os.close(reading)
    os.close(writing)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_device_stays_and_the_message_says_where_the_content_went(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(OSError, match="'/dev/full' could not be written: No space left") as caught:
        write_whole("/dev/full", "content")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)
    (kept,) = tmp_path.iterdir()
    assert str(kept) in str(caught.value)
    assert kept.read_text() == "content"


def test_a_minus_is_standard_output(capfdbinary):
    write_whole("-", "n\udcffme\n")
    assert capfdbinary.readouterr().out == b"n\\udcffme\n"


def test_names_that_are_not_unicode_are_written_out(tmp_path):
    write_whole(tmp_path / "a", os.fsdecode(b"caf\xe9.png"))
    assert (tmp_path / "a").read_text() == "caf\\udce9.png"


WRITER = """
import sys, time
from maagiqa_pyiqa.support.files import written_whole
with written_whole(sys.argv[1]) as aside:
    aside.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_writer_left_is_swept_and_a_living_one_keeps_its_own(tmp_path):
    target = tmp_path / "a"
    command = [sys.executable, "-c", WRITER, str(target)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "writing\n"
    assert len(os.listdir(tmp_path)) == 2
    processes[0].send_signal(signal.SIGKILL)
    processes[0].wait()
    write_whole(target, "whole")
    assert len(os.listdir(tmp_path)) == 2  # the file, and what the living one is writing
    processes[1].kill()
    processes[1].wait()
    time.sleep(0.01)
    write_whole(target, "again")
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("place", ["a.csv", "new/folder/a.csv", "-", "/dev/null"])
def test_an_output_that_can_be_written_passes_and_is_not_made(tmp_path, place):
    require_writable(place if place[0] in "-/" else tmp_path / place)
    assert not (tmp_path / place).is_file()


def test_an_output_that_is_a_folder_or_under_a_file_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(IsADirectoryError, match="is a folder; name a file in it"):
        require_writable(tmp_path)
    with pytest.raises(OSError, match="cannot be written"):
        require_writable(tmp_path / "file" / "a.csv")
