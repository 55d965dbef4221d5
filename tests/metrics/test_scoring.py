"""Scoring many images: whatever fails spoils nothing else, and batches change nothing."""

import pytest
import torch
from PIL import Image

from maagiqa_pyiqa.metrics import scoring


class Fussy(torch.nn.Module):
    """Scores the mean; fails on any batch with a dark image, gives NaN for a white one."""

    def forward(self, x):
        means = x.mean((1, 2, 3))
        if means.min() < 0.1:
            raise RuntimeError("too dark")
        return torch.where(means > 0.99, torch.nan, means)[:, None]


def save_flat(folder, levels):
    for index, level in enumerate(levels):
        Image.new("RGB", (16, 16), (level, level, level)).save(folder / f"{index}.png")
    return sorted(folder.glob("*.png"))


def test_one_bad_image_does_not_spoil_its_batch(tmp_path):
    paths = save_flat(tmp_path, [100, 0, 255, 200])
    results = {r.path.name: r for r in scoring.score_images(paths, {"fussy": Fussy()}, batch_size=4, workers=0)}
    assert results["0.png"].scores["fussy"] == pytest.approx(100 / 255)
    assert results["3.png"].scores["fussy"] == pytest.approx(200 / 255)
    assert results["1.png"].error == "fussy: too dark"
    assert "nan" in results["2.png"].error


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_scores_do_not_depend_on_batch_size_or_workers(tmp_path, batch_size, workers):
    paths = save_flat(tmp_path, range(50, 250, 20))
    results = list(scoring.score_images(paths, {"fussy": Fussy()}, batch_size=batch_size, workers=workers))
    scores = {r.path: r.scores["fussy"] for r in results}
    assert len(results) == len(paths)
    assert [scores[path] for path in paths] == pytest.approx([level / 255 for level in range(50, 250, 20)])


def test_large_images_make_small_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "HELD_MEGAPIXELS", 2.5e-3)
    paths = [tmp_path / f"{number}.png" for number in range(9)]
    for path in paths:
        Image.new("RGB", (40, 25), "gray").save(path)  # a thousand pixels
    batches = scoring._batches_of_one_size(map(scoring._read, paths), 8)
    assert [len(files) for files, _ in batches] == [2, 2, 2, 2, 1]


def test_one_large_image_does_not_part_small_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "HELD_MEGAPIXELS", 1e-3)
    Image.new("RGB", (40, 50), "gray").save(tmp_path / "0.png")
    for number in range(1, 9):
        Image.new("RGB", (8, 8), "gray").save(tmp_path / f"{number}.png")
    batches = scoring._batches_of_one_size(map(scoring._read, sorted(tmp_path.glob("*.png"))), 4)
    assert [len(files) for files, _ in batches] == [1, 4, 4]


def test_a_folder_of_all_different_sizes_does_not_pile_up(tmp_path):
    for side in range(8, 48):
        Image.new("RGB", (side, side), "gray").save(tmp_path / f"{side}.png")
    paths = sorted(tmp_path.glob("*.png"))
    batches = scoring._batches_of_one_size(map(scoring._read, paths), 2)
    waiting = [paths.index(result.path) for results, _ in batches for result in results]
    assert sorted(waiting) == list(range(40))
    assert max(abs(position - index) for position, index in enumerate(waiting)) <= 2 * scoring.WAITING_BATCHES
