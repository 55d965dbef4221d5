"""What is said of participants beside each other: figures, direction, the best, what was trained on the images."""

import numpy as np
import pandas
import pytest
from PIL import Image

from maagiqa_pyiqa.agreement.statistics import STATISTICS, Statistic, evaluate
from maagiqa_pyiqa.data.splits import official_split
from maagiqa_pyiqa.leaderboard import compare
from maagiqa_pyiqa.leaderboard.results_json import read_results
from maagiqa_pyiqa.leaderboard.run import run_benchmark
from maagiqa_pyiqa.leaderboard.terminal import as_ranking
from tests.helpers.benchmark_runs import participants_of, rows_of


def test_lower_better_counts_as_its_negative_and_keeps_its_raw_scores(options):
    results = run_benchmark(options(metrics=["darkness", "brightness"]))
    rows = rows_of(results)
    assert rows["darkness"].figures["srcc"] == rows["brightness"].figures["srcc"]
    assert rows["brightness"].figures["srcc"].value > 0.9
    assert rows["darkness"].figures["rmse"].value == pytest.approx(rows["brightness"].figures["rmse"].value)
    assert results.images[0].scores["darkness"] == pytest.approx(-results.images[0].scores["brightness"])
    assert rows["brightness"].p_against_best == 1  # the same order: the first of the two is called the best
    assert [row.is_best for row in results.splits["all"].rows] == [True, False]


def test_gate_weights_stand_beside_scores(options):
    results = run_benchmark(options(metrics=["maagiqa-lite-2026a"]))
    gates = [image.gate["maagiqa-lite-2026a"] for image in results.images]
    assert all(len(gate) == 3 for gate in gates)
    assert participants_of(results)["maagiqa-lite-2026a"].parameters > 3e6


def test_a_column_of_scores_takes_part(options, table, tmp_path):
    scores = pandas.read_csv(table)
    scores["image"] = ["/elsewhere/" + name for name in scores["name"]]  # as maagiqa score writes paths
    scores["reward"] = -scores["mos"]
    scores[["image", "reward"]].to_csv(tmp_path / "scores.csv", index=False)
    results = run_benchmark(options(metrics=[f"mine=csv:{tmp_path}/scores.csv:-reward"]))
    assert rows_of(results)["mine"].figures["srcc"].value == pytest.approx(1)
    assert participants_of(results)["mine"].kind == "scores"


def test_a_new_statistic_is_one_row_and_everything_knows_it(options, tmp_path, monkeypatch, capsys):
    medal = Statistic(
        key="within_one",
        title="Within 1",
        higher_is_better=True,
        function=lambda judged, weights: (weights * (np.abs(judged.mapped - judged.mos) < 1)).sum(1) / weights.sum(1),
        meaning="share of images whose score after the fit is within 1 of MOS",
    )
    monkeypatch.setitem(STATISTICS, "within_one", medal)
    results = run_benchmark(options())
    assert rows_of(results)["brightness"].figures["within_one"].value == 1
    assert read_results(tmp_path / "out" / "results.json") == results
    assert "Within 1" in as_ranking(results, "all")
    assert evaluate(np.arange(9.0), np.arange(9.0))["within_one"] == 1


def test_what_was_trained_on_the_images_is_the_best_only_where_it_is_alone(options, monkeypatch):
    count = {"brightness": 7}
    monkeypatch.setattr(compare, "_count_seen", lambda one, *_: count.get(one.entrant.name, 0))
    results = run_benchmark(options(metrics=["brightness", "nan-in-the-dark"]))
    first, last = results.splits["all"].rows
    assert (first.name, first.is_best, first.p_against_best) == ("nan-in-the-dark", True, None)
    assert (last.name, last.is_best, last.seen_in_training) == ("brightness", False, 7)
    assert rows_of(run_benchmark(options(metrics=["brightness"])))["brightness"].is_best


def test_training_images_are_recognised_by_content_in_another_table_under_other_names(agiqa3k, options, tmp_path):
    table = pandas.read_csv(agiqa3k / "data.csv")
    split = official_split(len(table))
    folder = tmp_path / "renamed"
    folder.mkdir()
    rows = []
    for part, count in (("train", 6), ("test", 4)):
        for row in split[part][:count]:
            name = f"{len(rows)}.png"
            Image.open(agiqa3k / "images" / table["name"][row]).save(folder / name)  # losslessly encoded anew
            rows.append({"name": name, "mos": table["mos_quality"][row]})
    pandas.DataFrame(rows).to_csv(tmp_path / "own.csv", index=False)
    given = {"csv": str(tmp_path / "own.csv"), "root": str(folder), "group_columns": [], "mos_range": [0, 5]}
    said = {"name": "said", "metric": "brightness", "trained_on": {"dataset": "agiqa-3k"}}
    results = run_benchmark(options(**given, metrics=[said, "maagiqa-lite", "darkness"]))
    seen = {row.name: row.seen_in_training for row in results.splits["all"].rows}
    assert seen == {"said": 6, "maagiqa-lite": 6, "darkness": 0}
    assert rows_of(results)["darkness"].is_best
