"""Progress of long work: a bar on a terminal, a line every half minute in a log."""

import sys

import pytest

from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.support import progress as module
from maagiqa_pyiqa.support.progress import progress
from tests.helpers.benchmark_runs import draw


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass as the test says."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_log_gets_a_line_every_half_minute(clock, capsys):
    for _ in progress(range(10), total=10, what="cnniqa"):
        clock.now += 10
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "cnniqa: 3 of 10 images, 0.1/s, about 70 s left",
        "cnniqa: 6 of 10 images, 0.1/s, about 40 s left",
        "cnniqa: 9 of 10 images, 0.1/s, about 10 s left",
    ]


def test_short_work_says_nothing_in_a_log(capsys):
    with progress(total=3) as bar:
        bar.update(2)
    assert (bar.n, capsys.readouterr().err) == (2, "")


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(progress(iter("ab"), total=2, what="cnniqa")) == ["a", "b"]
    assert "cnniqa: 100%" in capsys.readouterr().err


def test_work_of_nothing_shows_no_bar(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress(total=0):
        pass
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("verb", ["score", "rank"])
def test_verbs_tell_a_log_how_far_they_are(verb, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "LINE_SECONDS", 0.0)
    draw(tmp_path / "a.png", 0.5, seed=0)
    assert main([verb, str(tmp_path), "-m", "maagiqa-lite", "--workers", "0"]) == 0
    assert "1 of 1 image, " in capsys.readouterr().err
