"""The demo: metrics notice damage, and the files it promises are written."""

import importlib.util
import sys

import numpy as np
import pytest
from PIL import Image

from tests.helpers.places import ROOT

SCRIPT = ROOT / "benchmarks" / "demo.py"


@pytest.fixture(scope="module")
def demo():
    spec = importlib.util.spec_from_file_location("demo", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_at_least_nine_of_ten_damaged_versions_score_below_their_original(demo, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["demo.py", "--out", str(tmp_path)])
    assert demo.main() == 0
    out = capsys.readouterr().out
    said = next(line for line in out.splitlines() if "score below their original" in line)
    noticed, pairs = int(said.split()[0]), int(said.split()[2])
    assert pairs == len(demo.PHOTOGRAPHS) * len(demo.DAMAGES)
    assert noticed >= 0.9 * pairs
    assert Image.open(tmp_path / "contact_sheet.png").width > 900
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 1 + pairs + len(demo.PHOTOGRAPHS)


def test_counting_compares_each_version_with_its_own_original(demo):
    scores = np.tile([3.0, 1.0, 2.0, 4.0, 2.9], len(demo.PHOTOGRAPHS))
    assert demo.count_noticed(scores) == (3 * len(demo.PHOTOGRAPHS), 4 * len(demo.PHOTOGRAPHS))


def test_a_shuffled_photograph_has_the_same_pixels_elsewhere(demo):
    photograph = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 80, 3), dtype=np.uint8))
    before, after = np.asarray(photograph), np.asarray(demo.shuffle(photograph))
    assert after.shape == before.shape
    assert (after != before).any()
    assert np.array_equal(np.sort(after.reshape(-1, 3), axis=0), np.sort(before.reshape(-1, 3), axis=0))
