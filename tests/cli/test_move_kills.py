"""``rank --move-to``, ``--finish`` and ``--undo`` as processes that are killed by SIGKILL: nothing lost or doubled."""

import collections
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maagiqa_pyiqa.support.moves import Move, write_moves

KILLS = int(os.environ.get("MAAGIQA_KILLS", "1"))  # before the move is finished, and again before it is taken back
IMAGES = 400
MEMORY = Path("/dev/shm")  # another file system, to which files are copied


@pytest.fixture
def old(tmp_path):
    """Images that are to be moved, no two the same."""
    folder = tmp_path / "old"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 8, 8, 3), dtype=np.uint8)
    for number, values in enumerate(pixels):
        Image.fromarray(values).save(folder / f"{number:04d}.png")
    return folder


def start(*words):
    program = [sys.executable, "-m", "maagiqa_pyiqa.cli.main", "rank", *map(str, words)]
    return subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def pictures(folder):
    """Its images; not what is being written aside."""
    return [path for path in folder.glob("*.png") if not path.name.startswith(".")] if folder.exists() else []


def count(folder):
    return len(pictures(folder))


def kill_when(process, folder, images):
    """Kill a process when so many images are in a folder, and tell whether it had not ended."""
    while process.poll() is None and count(folder) < images:
        time.sleep(0.0005)
    process.kill()
    return process.wait() == -signal.SIGKILL


def contents(folder):
    return collections.Counter(path.read_bytes() for path in pictures(folder))


def check(images, old, new):
    """Every image is in one place or, where a kill fell between its coming and going, in both; and no other is."""
    there, here = contents(old), contents(new)
    assert there | here == images
    assert sum((there & here).values()) <= 1
    return here.total()


def kill_often(way, journal, images, old, new):
    """Start a way again and again and kill it when it is a little farther; tells how many kills found it at work."""
    hit, end = 0, old if way == "--undo" else new
    for kill in range(KILLS):
        goal = random.Random(kill).randint(count(end) + 1, count(end) + IMAGES // (2 * KILLS))
        hit += kill_when(start(way, journal), end, min(goal, IMAGES))
        check(images, old, new)
    return hit


def finish_and_undo(journal, images, old, new, hits):
    hits += kill_often("--finish", journal, images, old, new)
    assert start("--finish", journal).wait() == 0
    assert (contents(old).total(), contents(new)) == (0, images)
    hits += kill_often("--undo", journal, images, old, new)
    assert hits  # or this test has tested nothing
    if journal.exists():  # not so where a kill came too late
        assert start("--undo", journal).wait() == 0
    assert contents(old) == images
    assert not new.exists()


def test_a_ranking_that_is_killed_while_it_moves_is_finished_and_taken_back(old, tmp_path):
    images, new = contents(old), tmp_path / "new"
    process = start(old, "-m", "entropy", "--device", "cpu", "--workers", 0, "--move-to", new, "--yes")
    hit = kill_when(process, new, IMAGES // 10)
    assert check(images, old, new) >= IMAGES // 10
    finish_and_undo(new / "moves.csv", images, old, new, int(hit))


def test_a_move_to_another_file_system_loses_nothing_either(old):
    if not MEMORY.is_dir() or MEMORY.stat().st_dev == old.stat().st_dev:
        pytest.skip("needs a second file system at /dev/shm")
    new = MEMORY / f"maagiqa-{os.getpid()}"
    images, moves = contents(old), [Move(path, new / f"1_{path.name}", "entropy 1.0") for path in old.iterdir()]
    new.mkdir()
    write_moves(new / "moves.csv", moves)
    finish_and_undo(new / "moves.csv", images, old, new, 0)
