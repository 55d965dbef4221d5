"""``score`` and ``rank`` keep what they score: stopped or killed at any moment, a second run scores the rest."""

import json
import os
import signal

import pytest
from PIL import Image
from pyiqa.default_model_configs import DEFAULT_CONFIGS

from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.metrics import kept_scoring
from tests.helpers import leaderboard_metrics
from tests.helpers.kept_runs import count_kept, start, wait_for

IMAGES = 40
KILLS = int(os.environ.get("MAAGIQA_KILLS", "4"))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for index in range(IMAGES):
        Image.new("RGB", (8, 8), (index, index, index)).save(tmp_path / "images" / f"{index:02d}.png")
    return tmp_path


def command(folder, verb, *arguments):
    """A command that keeps its scores; lower levels are darker, so later names are brighter."""
    options = ("-m", "brightness", "--keep", folder / "kept", "--batch-size", "1", "--json", folder / f"{verb}.json")
    return (verb, folder / "images", *options, "--workers", "1", "--device", "cpu", *arguments)


def finish(started, code=0):
    out, err = started.communicate(timeout=120)
    assert started.returncode == code, err
    return out, err


def scored_images(folder, verb):
    content = json.loads((folder / f"{verb}.json").read_text())
    rows = content["images"] if verb == "score" else content
    return [row["image"][-6:-4] for row in rows]


ALL = [f"{index:02d}" for index in reversed(range(IMAGES))]  # the brightest first


def test_a_signal_to_all_processes_of_a_run_breaks_none_of_its_work(folder):
    started = start(*command(folder, "score"))
    wait_for(started, folder / "kept", 3)
    for child in _children(started.pid):
        os.kill(child, signal.SIGTERM)
    started.send_signal(signal.SIGTERM)
    _, err = finish(started, 130)
    assert "Traceback" not in err
    assert 3 <= len(scored_images(folder, "score")) < IMAGES


def test_two_runs_at_once_share_a_store(folder):
    runs = [start(*command(folder, verb), seconds="0.01") for verb in ("score", "rank")]
    for run in runs:
        finish(run)
    assert scored_images(folder, "score") == scored_images(folder, "rank") == ALL
    assert count_kept(folder / "kept") == IMAGES


# ------------------------------------------------------------------------------------------------- in this process


@pytest.fixture
def run(folder, monkeypatch):
    """Run a command here; returns its exit code and how many images were given to metrics."""
    monkeypatch.setattr(kept_scoring, "COMMIT_SECONDS", 0.0)
    for name, config in leaderboard_metrics.configs().items():
        monkeypatch.setitem(DEFAULT_CONFIGS, name, config)

    def run(*words, **options):
        before = len(leaderboard_metrics.CALLS)
        code = main(list(map(str, command(folder, *words, "--workers", "0"))), **options)
        return code, len(leaderboard_metrics.CALLS) - before

    return run


@pytest.fixture
def stopped(monkeypatch):
    """Send this process a signal as a metric scores its third image."""
    forward = leaderboard_metrics.LeaderboardTestNet.forward

    def arm(number):
        images = []

        def signalling(self, x):
            images.append(x)
            if len(images) == 3:
                signal.raise_signal(number)
            return forward(self, x)

        monkeypatch.setattr(leaderboard_metrics.LeaderboardTestNet, "forward", signalling)

    return arm


def test_killed_again_and_again_they_go_on_and_score_nothing_twice(folder, run):
    for kill in range(KILLS):
        verb = ("score", "rank")[kill % 2]
        started = start(*command(folder, verb))
        wait_for(started, folder / "kept", min(1 + kill * IMAGES // (KILLS + 1), IMAGES - 1))
        started.kill()
        started.communicate()
        assert not (folder / f"{verb}.json").exists()
    before = count_kept(folder / "kept")
    assert before >= min(KILLS, IMAGES // 2)
    assert run("score") == (0, IMAGES - before)
    assert run("rank") == (0, 0)
    assert scored_images(folder, "score") == scored_images(folder, "rank") == ALL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_score_writes_what_it_has_when_it_is_stopped(folder, run, stopped, capsys, number):
    stopped(number)
    assert run("score") == (130, 3)
    out, err = capsys.readouterr()
    assert f"interrupted: 3 of {IMAGES} images are scored; the same command again scores the rest" in err
    assert out.count(".png") == len(scored_images(folder, "score")) == 3
    assert run("score") == (0, IMAGES - 3)
    assert scored_images(folder, "score") == ALL


def test_rank_says_how_to_go_on_and_ranks_no_part(folder, run, stopped, capsys):
    stopped(signal.SIGINT)
    assert run("rank") == (130, 3)
    out, err = capsys.readouterr()
    assert "the same command again scores the rest" in err
    assert not out
    assert not (folder / "rank.json").exists()


def test_only_new_images_and_metrics_are_scored_and_equal_pixels_once(folder, run):
    assert run("score") == (0, IMAGES)
    Image.new("RGB", (8, 8), (7, 7, 7)).save(folder / "images" / "same.png")
    Image.new("RGB", (8, 8), (99, 7, 7)).save(folder / "images" / "new.png")
    (folder / "images" / "bad.png").write_text("no image")
    assert run("score", "-m", "darkness") == (1, 1 + IMAGES + 1)
    rows = {row["image"][-8:]: row for row in json.loads((folder / "score.json").read_text())["images"]}
    assert rows["same.png"]["scores"] == rows["s/07.png"]["scores"]
    assert set(rows["/new.png"]["scores"]) == {"brightness", "darkness"}
    assert "not an image" in rows["/bad.png"]["error"]


def test_what_failed_is_tried_again(run):
    for _ in range(2):
        code, calls = run("score", "-m", "never-works")
        assert (code, calls >= IMAGES) == (1, True)


def test_a_folder_for_scores_that_cannot_be_one_is_named(folder, capsys):
    (folder / "file").touch()
    assert main(["score", str(folder / "images"), "--keep", str(folder / "file")]) == 2
    assert f"{folder / 'file'}" in capsys.readouterr().err


def _children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]
