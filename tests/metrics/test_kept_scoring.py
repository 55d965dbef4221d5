"""Scores out of a store and into it, some hundreds of images at a time."""

import itertools

import pytest
import torch
from PIL import Image

from maagiqa_pyiqa.images import ahead
from maagiqa_pyiqa.metrics import kept_scoring, score_store
from maagiqa_pyiqa.metrics.kept_scoring import score_with_store
from maagiqa_pyiqa.metrics.score_store import ScoreStore


class Mean(torch.nn.Module):
    """Mean of the pixels; counts what it scores."""

    scored = 0

    def forward(self, x):
        self.scored += len(x)
        return x.mean((1, 2, 3))


@pytest.fixture
def paths(tmp_path):
    """Ten pictures, of which the last has the pixels of the first."""
    levels = [*range(9), 0]
    for number, level in enumerate(levels):
        Image.new("RGB", (8, 8), (20 * level,) * 3).save(tmp_path / f"{number}.png")
    return sorted(tmp_path.glob("*.png"))


@pytest.fixture(autouse=True)
def few_at_a_time(monkeypatch):
    monkeypatch.setattr(kept_scoring, "TOGETHER", 4)
    monkeypatch.setattr(kept_scoring, "BATCHES_TOGETHER", 1)
    monkeypatch.setattr(score_store, "QUERY_VALUES", 3)


def start(folder, metric, paths):
    store = ScoreStore(folder / "s.sqlite")
    return score_with_store(store, {"mean": "key"}, {"mean": metric}, paths, batch_size=2, workers=0)


def test_the_first_scores_come_before_later_images_are_read(paths, tmp_path, monkeypatch):
    read = []
    decode = score_store.decode
    monkeypatch.setattr(score_store, "decode", lambda path: read.append(path) or decode(path))
    stream = start(tmp_path, Mean(), paths)
    assert len(list(itertools.islice(stream, 2))) == 2
    assert read == paths[:4]
    stream.close()


def test_a_new_image_is_decoded_once(paths, tmp_path, monkeypatch):
    monkeypatch.setattr(kept_scoring, "read_image", lambda path: pytest.fail(f"{path} was decoded again"))
    assert len(list(start(tmp_path, Mean(), paths))) == len(paths)


def test_large_images_are_looked_up_fewer_at_a_time(paths, tmp_path, monkeypatch):
    monkeypatch.setattr(ahead, "HELD_MEGAPIXELS", 2 * 8 * 8 / 1e6)  # two of ours
    stream = start(tmp_path, Mean(), paths)
    read = []
    decode = score_store.decode
    monkeypatch.setattr(score_store, "decode", lambda path: read.append(path) or decode(path))
    next(stream)
    assert read == paths[:2]
    stream.close()


def test_every_image_has_its_score_and_the_same_pixels_are_scored_once(paths, tmp_path):
    metric = Mean()
    found = {result.path: result.scores["mean"] for result in start(tmp_path, metric, paths)}
    assert [found[path] for path in paths] == pytest.approx([20 * level / 255 for level in [*range(9), 0]])
    assert metric.scored == 9


def test_a_run_that_was_stopped_is_gone_on_with(paths, tmp_path):
    first, second = Mean(), Mean()
    stream = start(tmp_path, first, paths)
    list(itertools.islice(stream, 6))
    stream.close()
    assert {result.path for result in start(tmp_path, second, paths)} == set(paths)
    assert first.scored + second.scored == 9
