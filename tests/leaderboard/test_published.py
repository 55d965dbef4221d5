"""The published figures that the package ships: complete, in range, and as printed in the paper."""

import numpy as np
import pytest
import yaml
from pyiqa.default_model_configs import DEFAULT_CONFIGS

from benchmarks.ablation import ROWS
from maagiqa_pyiqa.leaderboard.entrants import parse_entrant
from maagiqa_pyiqa.leaderboard.published import find_published, load_published
from maagiqa_pyiqa.leaderboard.results import Published
from tests.helpers.places import GOLDEN, ROOT

PUBLISHED = ROOT / "maagiqa_pyiqa" / "leaderboard" / "published.yml"
FIGURES = ("srcc", "plcc", "krcc", "rmse")


@pytest.fixture(scope="module")
def tables():
    return yaml.safe_load(PUBLISHED.read_text(encoding="utf-8"))


def as_list(metric):
    return metric if isinstance(metric, list) else [metric]


def test_the_ablations_rows_have_published_figures(tables):
    published = {name for table in tables for row in table["rows"] for name in as_list(row["metric"])}
    assert {f"{row}@{dataset}" for row in ROWS for dataset in ("agiqa-3k", "aigcqa-20k")} <= published


def test_published_tables_are_all_there(tables):
    assert [(t["table"], t["dataset"], len(t["rows"])) for t in tables] == [
        ("1", "agiqa-3k", 13),
        ("1", "aigcqa-20k", 13),
        ("2", "agiqa-3k", 3),
        ("2", "aigcqa-20k", 3),
        ("3", "agiqa-3k", 7),
        ("4", "aigcqa-20k", 7),
        ("5", "agiqa-3k", 2),
        ("5", "aigcqa-20k", 2),
    ]
    for table in tables:
        assert (table["split"], table["test"]) == ("official", table["dataset"])
        assert table["source"] == f"Wang et al., ACM MM 2024, Table {table['table']}"


def test_published_figures_are_in_range_and_fit_each_other(tables):
    for table in tables:
        spread = {"agiqa-3k": (0.96, 1.01), "aigcqa-20k": (0.70, 0.74)}[table["dataset"]]
        for row in table["rows"]:
            assert 0 < row["krcc"] < row["srcc"] < 1
            assert 0 < row["plcc"] < 1
            if "rmse" in row:  # after a fit that uses all of the correlation it is the MOS spread times this
                assert spread[0] < row["rmse"] / np.sqrt(1 - row["plcc"] ** 2) < spread[1]


def test_only_zero_shot_rows_and_maagiqa_have_the_name_of_a_metric(tables):
    rows = [(table, row, name) for table in tables for row in table["rows"] for name in as_list(row["metric"])]
    names = {name for *_, name in rows if name and "@" not in name}
    assert names == {"brisque", "niqe", "ilniqe", "clipiqa", "clipiqa+", "one-align", "maagiqa"}
    assert names <= set(DEFAULT_CONFIGS)
    for _, row, name in rows:
        if name and "@" in name:
            assert name.split("@")[1] == row["trained_on"]
        elif name != "maagiqa":
            assert name is None or row["trained_on"] is None
    matched = [(table["dataset"], name) for table, _, name in rows if name]
    assert len(matched) == len(set(matched))


def test_published_figures_say_what_the_papers_text_says(tables):
    by_name = {(t["table"], t["dataset"], row["name"]): row for t in tables for row in t["rows"]}
    ours = by_name["1", "agiqa-3k", "MA-AGIQA"]
    for (table, dataset, peer), gains in {  # as stated in sections 4.3 and 4.4
        ("1", "agiqa-3k", "MANIQA"): {"srcc": 3.72, "plcc": 1.73, "krcc": 5.43},
        ("1", "aigcqa-20k", "MANIQA"): {"srcc": 1.61, "plcc": 2.02, "krcc": 2.90},
        ("3", "agiqa-3k", "MANIQA"): {"srcc": 1.57, "plcc": 0.83, "krcc": 2.56},
        ("4", "aigcqa-20k", "MANIQA"): {"srcc": 2.72, "plcc": 1.94, "krcc": 4.35},
        ("5", "agiqa-3k", "concatenation"): {"srcc": 0.20, "plcc": 0.17, "krcc": 0.16},
        ("5", "aigcqa-20k", "concatenation"): {"srcc": 0.67, "plcc": 0.95, "krcc": 1.37},
    }.items():
        ours, other = by_name["1", dataset, "MA-AGIQA"], by_name[table, dataset, peer]
        for key, gain in gains.items():
            assert 100 * (ours[key] / other[key] - 1) == pytest.approx(gain, abs=0.011)


def test_published_rows_stand_in_the_papers_tables(tables):
    text = (GOLDEN / "paper_tables.txt").read_text()
    lines = [[digits(token) for token in line.split()] for line in text.splitlines()]
    for table in tables:
        for row in table["rows"]:
            wanted = [digits(f"{row[key]:.4f}") for key in FIGURES if key in row]
            assert any(contains(line, wanted) for line in lines), (table["table"], row["name"])


def digits(figure):
    """0.4726, 04726 and 0.47260 alike: the text lost some points."""
    return figure.replace(".", "").strip("0")


def contains(line, wanted):
    return any(line[i : i + len(wanted)] == wanted for i in range(len(line)))


def test_published_figures_stand_beside_ours(tmp_path):
    path = tmp_path / "published.yml"
    row = {"name": "PIQE", "metric": "piqe", "trained_on": None, "srcc": 0.5, "plcc": 0.6}
    table = {"table": "1", "dataset": "agiqa-3k", "split": "official", "source": "S", "rows": [row]}
    path.write_text(yaml.safe_dump([table]))
    tables, piqe = load_published(path), parse_entrant("piqe")
    assert find_published(tables, "AGIQA-3k", "official", piqe) == Published("S", {"srcc": 0.5, "plcc": 0.6})
    assert find_published(tables, "AGIQA-3k", "prompt-disjoint", piqe) is None
    assert find_published(tables, "AGIQA-3k", "official", parse_entrant("entropy")) is None


def test_published_tables_of_the_paper_are_found():
    found = find_published(load_published(), "AGIQA-3k", "official", parse_entrant("maagiqa"))
    assert found.get("srcc") == 0.8939
