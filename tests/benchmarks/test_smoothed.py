"""Labels that maagiqa-lite's trunks are trained on: half of them from a regression that has not seen the image."""

import numpy as np
import pandas
import pytest
from PIL import Image

from benchmarks.lite import smoothed
from benchmarks.lite.smoothed import kernel, predict, unseen
from maagiqa_pyiqa.data.splits import official_split

RNG = np.random.default_rng(0)
STAGES = [RNG.normal(size=(60, 4)), RNG.normal(size=(60, 40))]


def test_similarity_is_that_of_stages_whatever_their_width():
    similarity = kernel(STAGES)
    assert np.diag(similarity) == pytest.approx(1)
    assert np.allclose(similarity, similarity.T)
    wider = kernel([np.tile(stage, (1, 3)) for stage in STAGES])  # the same distances between more channels
    assert np.allclose(wider, similarity)


def test_regression_gives_back_what_it_was_told_and_follows_what_is_alike():
    values = np.linspace(-1, 1, 60)
    similarity = kernel([values[:, None]])
    known, asked = np.arange(0, 60, 2), np.arange(1, 60, 2)
    answers = predict(similarity, np.sin(2 * values), known, asked)
    assert np.abs(answers[1:-1] - np.sin(2 * values[asked[1:-1]])).max() < 0.1


def test_an_answer_depends_on_no_label_of_its_own_group():
    similarity, mos = kernel(STAGES), RNG.uniform(0, 5, 60)
    groups = np.arange(60) // 2
    answers = unseen(similarity, mos, groups)
    changed = mos.copy()
    changed[:2] = 5 - changed[:2]
    again = unseen(similarity, changed, groups)
    assert again[:2] == pytest.approx(answers[:2])
    assert not np.allclose(again[2:], answers[2:])


def test_rows_that_are_trained_on_alone_are_smoothed(tmp_path, monkeypatch):
    names = [f"image{row}.png" for row in range(40)]
    for row, name in enumerate(names):
        Image.fromarray(RNG.integers(0, 6 * row + 1, (64, 64, 3), dtype=np.uint8)).save(tmp_path / name)
    table = pandas.DataFrame({"name": names, "prompt": [f"prompt {row // 2}" for row in range(40)]})
    table["mos_quality"] = np.linspace(0.5, 4.5, 40)
    monkeypatch.setattr(smoothed, "LOOKS", (("lite0", 64 * 64),))
    parts = official_split(40)
    for with_val, rows in ((False, parts["train"]), (True, parts["train"] + parts["val"])):
        result = smoothed.smooth(table, tmp_path, "official", with_val)
        changed = set(np.flatnonzero(~np.isclose(result["mos_quality"], table["mos_quality"])))
        assert changed <= set(rows)
        assert len(changed) > 0.9 * len(rows)
    assert np.abs(result["mos_quality"] - table["mos_quality"]).max() < 1.5
