"""Measuring robustness: shares that can be counted by hand, damage where pixels are real, a run that goes on."""

import json

import numpy as np
import pandas
import pytest
import torch
from PIL import Image

from benchmarks import robustness, robustness_versions
from benchmarks.robustness_tables import Scores, pair_figures, size_figures
from benchmarks.robustness_versions import SIZES, Version, list_jobs, two_strengths
from maagiqa_pyiqa.images.damage.table import DAMAGES, ROWS
from tests.helpers.places import SAMPLE

PATHS = sorted((SAMPLE / "images").iterdir())[:4]
IMAGE = np.random.default_rng(0).integers(0, 256, (512, 400, 3), dtype=np.uint8)
BLUR = [Version(damage="blur", strength=strength) for strength in two_strengths(DAMAGES["blur"])]


def scores_of(versions, lower_better=False):
    """Scores of PATHS, given as a list of four for each version."""
    by_job = {
        (path, version): score for version, row in versions.items() for path, score in zip(PATHS, row, strict=True)
    }
    return Scores(by_job, lower_better)


def test_a_pair_is_in_order_where_the_worse_version_scores_worse():
    scores = scores_of({Version(): [4, 4, 4, 4], BLUR[0]: [3, 3, 4, 5], BLUR[1]: [2, 3, 3, np.nan]})
    mild, strong = pair_figures(scores, PATHS)
    assert (mild.images, mild.in_order, mild.mean_drop) == (4, 0.5, 0.25)  # a tie is out of order
    assert 0.1 < mild.low < 0.5 < mild.high < 0.9
    assert (strong.images, strong.in_order) == (3, 1.0)  # without the one that could not be scored
    assert mild.below_milder is None
    assert strong.below_milder == pytest.approx(2 / 3)


def test_of_a_metric_whose_low_scores_are_good_worse_versions_score_higher():
    scores = scores_of({Version(): [4, 4, 4, 4], BLUR[0]: [5, 5, 5, 3]}, lower_better=True)
    (mild,) = pair_figures(scores, PATHS)
    assert (mild.in_order, mild.mean_drop) == (0.75, 0.5)


def test_other_sizes_are_held_against_the_own_scores_and_mos():
    scores = scores_of(
        {Version(): [1, 2, 3, 4], Version(256): [1, 3, 2, 4], Version("double", "nearest"): [1, 2, 3, 5]}
    )
    figures = {(row.size, row.kernel): row for row in size_figures(scores, PATHS, np.array([4, 3, 2, 1]))}
    assert figures["256", "bicubic"].srcc_own == pytest.approx(0.8)
    assert figures["256", "bicubic"].srcc_mos == pytest.approx(-0.8)
    assert figures["double", "nearest"].largest_difference == 1
    assert figures["double", "nearest"].mean_shift == 0.25
    assert figures["768", "nearest"].images == 0


@pytest.mark.parametrize("size", SIZES)
def test_versions_have_the_longer_side_that_they_are_named_after(size):
    image = Version(size, damage="melted", strength=0.05).make(IMAGE, 0)
    assert image.shape == (size, round(400 * size / 512), 3)


def test_images_are_damaged_before_they_are_enlarged_and_after_they_are_reduced():
    noisy = Version(damage="noise", strength=25.0)
    damaged = Image.fromarray(noisy.make(IMAGE, 3))
    assert np.array_equal(
        noisy._replace(size=1024).make(IMAGE, 3), damaged.resize((800, 1024), Image.Resampling.BICUBIC)
    )
    reduced = np.asarray(Image.fromarray(IMAGE).resize((200, 256), Image.Resampling.BICUBIC))
    assert np.array_equal(noisy._replace(size=256).make(IMAGE, 3), DAMAGES["noise"](reduced, 25.0, 3))


def test_a_doubled_image_has_each_pixel_four_times():
    doubled = Version("double", "nearest").make(IMAGE, 0)
    assert all(np.array_equal(doubled[i::2, j::2], IMAGE) for i in (0, 1) for j in (0, 1))


def test_damage_at_other_sizes_is_scored_for_few_images_only():
    jobs = list_jobs(PATHS, PATHS[:1])
    assert len(jobs) == len(set(jobs))
    assert len(jobs) == 4 * (1 + 2 * len(ROWS) + 1 + 2 * len(SIZES)) + 2 * len(ROWS) * len(SIZES)
    assert {path for path, version in jobs if version.damage and version.size != "own"} == {PATHS[0]}


class Contrast(torch.nn.Module):
    """Scores by the difference of neighbours; counts images, and fails at one."""

    def __init__(self, fails_at=None):
        super().__init__()
        self.images, self.fails_at = 0, fails_at

    def forward(self, x):
        self.images += len(x)
        if self.fails_at is not None and self.images >= self.fails_at:
            raise KeyboardInterrupt
        return x.diff(dim=-1).abs().mean((1, 2, 3))[:, None]


def run(monkeypatch, metric, out):
    monkeypatch.setattr(robustness, "identify", lambda *_: type("Identity", (), {"key": "contrast"}))
    monkeypatch.setattr("maagiqa_pyiqa.leaderboard.entrants.ScoreSource.create", lambda *_: metric)
    monkeypatch.setattr(robustness_versions, "SIZES", ())
    folder = out.parent / "images"
    folder.mkdir(exist_ok=True)
    for path in PATHS[:2]:
        Image.open(path).resize((64, 64)).save(folder / f"{path.stem}.png")
    robustness.main(["--folder", str(folder), "--out", str(out)])


def test_a_stopped_run_goes_on_and_writes_tables_and_picture(monkeypatch, tmp_path, capsys):
    whole, stopped, rest = Contrast(), Contrast(fails_at=50), Contrast()
    run(monkeypatch, whole, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, stopped, tmp_path / "out")
    run(monkeypatch, rest, tmp_path / "out")
    assert rest.images == whole.images - robustness_versions.CHUNK
    assert (tmp_path / "out" / "pairs.csv").read_bytes() == (tmp_path / "whole" / "pairs.csv").read_bytes()
    assert Image.open(tmp_path / "out" / "robustness.png").width > 500
    pairs = pandas.read_csv(tmp_path / "out" / "pairs.csv").set_index(["size", "damage", "stronger"])["in_order"]
    assert pairs["own", "blur", True] == 1
    assert pairs["own", "noise", True] == 0
    assert len(json.loads((tmp_path / "out" / "robustness.json").read_text())["pairs"]) == len(pairs)
    assert "of all pairs are in order" in capsys.readouterr().out
