"""Examples in docstrings of what Python programs use do what they say; and it is typed."""

import doctest
import importlib
from typing import get_type_hints

import pandas
import pytest

import maagiqa_pyiqa

MODULES = [
    "maagiqa_pyiqa.api.scoring",
    "maagiqa_pyiqa.integrations.torchmetrics_metric",
    "maagiqa_pyiqa.leaderboard.card",
    "maagiqa_pyiqa.reward.best",
    "maagiqa_pyiqa.reward.callable",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "torchmetrics" in name:
        pytest.importorskip("torchmetrics")
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 3
    assert found.failed == 0


def test_what_programs_use_is_typed():
    hints = get_type_hints(maagiqa_pyiqa.score)
    assert hints.keys() == {"images", "metric", "device", "batch_size", "workers", "return"}
    assert hints["return"] is pandas.DataFrame
