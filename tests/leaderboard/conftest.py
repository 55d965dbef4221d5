"""A small benchmark on made-up pictures and metrics."""

import numpy as np
import pandas
import pytest
from pyiqa.default_model_configs import DEFAULT_CONFIGS

from maagiqa_pyiqa.leaderboard.run import parse_benchmark_options
from maagiqa_pyiqa.support import reachability
from tests.helpers import leaderboard_metrics
from tests.helpers.benchmark_runs import N, draw


@pytest.fixture(autouse=True)
def _cheap_metrics(monkeypatch):
    for name, config in leaderboard_metrics.configs().items():
        monkeypatch.setitem(DEFAULT_CONFIGS, name, config)
    leaderboard_metrics.CALLS.clear()


@pytest.fixture
def calls():
    """Names of the test metrics, once for each image that one was given."""
    return leaderboard_metrics.CALLS


@pytest.fixture
def table(tmp_path):
    """CSV of images of two sizes that grow brighter; MOS grows with them, except for one pair."""
    folder = tmp_path / "images"
    folder.mkdir()
    mos = np.linspace(1, 4, N)
    mos[[4, 5]] = mos[[5, 4]]
    rows = []
    for index in range(N):
        name = f"picture{index:02d}.png"
        draw(folder / name, 0.15 + 0.05 * index, index, 64 if index % 3 else 80)
        rows.append({"name": name, "mos": mos[index], "model": "ab"[index % 2], "prompt": f"a {index // 2} & b"})
    path = tmp_path / "mine.csv"
    pandas.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.fixture
def options(table, tmp_path):
    """Make options of a small run; keywords replace and add."""

    default = {
        "dataset": "csv",
        "csv": str(table),
        "root": str(tmp_path / "images"),
        "out": str(tmp_path / "out"),
        "metrics": ["brightness"],
        "group_columns": ["model"],
        "resamples": 50,
        "workers": 0,
        "device": "cpu",
        "batch_size": 4,
    }

    def make(**given):
        return parse_benchmark_options({**default, **given})

    make.default = default
    return make


@pytest.fixture
def no_hosts(monkeypatch, tmp_path):
    """No host answers, and pyiqa's folder of weights is an empty one."""
    monkeypatch.setattr(reachability, "find_unreachable", list)
    monkeypatch.setattr("pyiqa.utils.download_util.DEFAULT_CACHE_DIR", str(tmp_path / "weights"))
    return tmp_path / "weights"
