"""``--jsonl`` grows while it works; ``--top`` and its like choose what is shown and written; ``--quiet`` is quiet."""

import csv
import json
import os
import subprocess
import sys
import threading

import pytest
from PIL import Image
from pyarrow import parquet

from maagiqa_pyiqa.cli import score as score_verb
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.metrics.scoring import ImageScores


@pytest.fixture
def pictures(tmp_path):
    """Four pictures that the entropy tells apart, and one that cannot be read."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for bits in (1, 2, 4, 8):
        step = 256 // 2**bits
        Image.linear_gradient("L").point(lambda value, step=step: value // step * step).save(folder / f"{bits}.png")
    (folder / "empty.png").touch()
    return folder


def words_for(pictures, *words, verb="score"):
    return [verb, str(pictures), "-m", "entropy", "--workers", "0", "--device", "cpu", *map(str, words)]


def run(pictures, *words, verb="score"):
    return main(words_for(pictures, *words, verb=verb))


def start(pictures, *words, **options):
    command = [sys.executable, "-m", "maagiqa_pyiqa.cli.main", *words_for(pictures, *words)]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, **options)


def names(path):
    with open(path) as file:
        return [os.path.basename(row["image"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize("verb", ["score", "rank"])
def test_lines_hold_every_image_whatever_is_selected(pictures, tmp_path, verb):
    assert run(pictures, "--top", 1, "--jsonl", tmp_path / "a.jsonl", verb=verb) == 1
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert {os.path.basename(line["image"]) for line in lines} == {"1.png", "2.png", "4.png", "8.png", "empty.png"}
    assert [line["error"] for line in lines if not line["scores"]] == ["empty file (0 bytes)"]


def test_a_line_is_there_before_the_next_image_is_scored(pictures, tmp_path, monkeypatch):
    seen, file = [], tmp_path / "a.jsonl"

    def scores(arguments, paths, entrants):
        def stream():
            for path in paths:
                seen.append(len(file.read_text().splitlines()))
                yield ImageScores(path, {"entropy": 1.0})

        return {}, stream()

    monkeypatch.setattr(score_verb, "start_scoring", scores)
    assert run(pictures, "--jsonl", file) == 0
    assert seen == [0, 1, 2, 3, 4]


def test_lines_on_standard_output_stand_alone(pictures):
    done = start(pictures, "--jsonl", "-", stdout=subprocess.PIPE)
    assert done.returncode == 1
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == 5
    assert "rank" in done.stderr


def test_a_reader_that_has_enough_ends_the_work(pictures):
    reading, writing = os.pipe()
    os.close(reading)
    done = start(pictures, "--jsonl", "-", stdout=writing)
    os.close(writing)
    assert done.returncode == 141
    assert "Traceback" not in done.stderr


def test_a_pipe_takes_lines_as_they_come(pictures, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.extend((tmp_path / "pipe").read_text().splitlines()))
    reader.start()
    assert run(pictures, "--jsonl", tmp_path / "pipe") == 1
    reader.join(60)
    assert len(read) == 5


def test_a_full_disk_costs_no_other_output(pictures, tmp_path, capsys):
    assert run(pictures, "--jsonl", "/dev/full", "--csv", tmp_path / "a.csv") == 2
    assert "'/dev/full' could not be written to its end: No space left on device" in capsys.readouterr().err
    assert len(names(tmp_path / "a.csv")) == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--jsonl", "memory://a.jsonl"], "name a file or - (standard output)"),
        (["--jsonl", "-", "--csv", "-"], "two outputs go to '-'"),
        (["--percentile", "100"], "a percentile is from 0 up to below 100; got 100"),
        (["--min", "3", "--max", "2"], "no score is at least 3 and at most 2"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(pictures, capsys, monkeypatch, words, message):
    monkeypatch.setattr(score_verb, "start_scoring", lambda *_: pytest.fail("the work has started"))
    assert run(pictures, *words) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--top", 2], ["8.png", "4.png"]),
        (["--worst", 1], ["1.png"]),
        (["--min", 1.5, "--max", 7], ["4.png", "2.png"]),
        (["--percentile", 75], ["8.png"]),
    ],
)
def test_tables_hold_what_is_selected_and_what_failed_is_told(pictures, tmp_path, capsys, words, expected):
    assert run(pictures, *words, "--csv", tmp_path / "a.csv", "--parquet", tmp_path / "a.parquet") == 1
    out, err = capsys.readouterr()
    assert names(tmp_path / "a.csv") == expected
    assert parquet.read_table(tmp_path / "a.parquet").num_rows == len(expected)
    assert len(out.splitlines()) == 2 + len(expected)  # header, and range of scores
    assert "empty.png: empty file" in err


def test_rank_leaves_out_what_is_beyond_the_limits(pictures, tmp_path):
    words = ["--max", 5, "--top", 1, "--csv", tmp_path / "a.csv", "--parquet", tmp_path / "a.parquet"]
    assert run(pictures, *words, verb="rank") == 1
    assert names(tmp_path / "a.csv") == ["4.png"]
    assert parquet.read_table(tmp_path / "a.parquet").column_names == ["prompt", "rank", "score", "image"]


@pytest.mark.parametrize("verb", ["score", "rank"])
def test_quiet_prints_only_what_failed(pictures, capsys, verb):
    assert run(pictures, "--quiet", verb=verb) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "empty.png: empty file" in err
    assert "8.png" not in err


def test_quiet_shows_no_progress(pictures, capsys, monkeypatch):
    monkeypatch.setattr("maagiqa_pyiqa.support.progress.LINE_SECONDS", 0.0)
    assert run(pictures, "--quiet") == 1
    assert "images," not in capsys.readouterr().err
    assert run(pictures) == 1
    assert "5 of 5 images," in capsys.readouterr().err
