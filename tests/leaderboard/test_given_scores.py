"""Scores that somebody else computed have to be whole."""

import numpy as np
import pandas
import pytest

from maagiqa_pyiqa.leaderboard.run import run_benchmark
from tests.helpers.benchmark_runs import N


def test_scores_that_are_not_whole_are_one_error(options, table, tmp_path):
    scores = pandas.DataFrame({"name": pandas.read_csv(table)["name"], "s": np.arange(N, dtype=float)})
    scores.loc[2, "s"] = np.nan
    scores = pandas.concat([scores.drop(index=[5, 6]), scores.iloc[[0]]])
    scores.to_csv(tmp_path / "scores.csv", index=False)
    with pytest.raises(ValueError, match="4 problems") as error:
        run_benchmark(options(metrics=["brightness", f"mine=csv:{tmp_path}/scores.csv:s"]))
    for line in ("picture00.png: named more than once", "picture05.png: no row", "picture02.png: 's' is not a finite"):
        assert line in str(error.value)
    assert not (tmp_path / "out" / "results.json").exists()
