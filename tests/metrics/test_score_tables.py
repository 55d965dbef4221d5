"""Scores and rankings as text, CSV, JSON and Parquet: the same content in each."""

import csv
import io
import json
from pathlib import Path

import fsspec
import pytest
from pyarrow import parquet

from maagiqa_pyiqa.metrics.score_tables import RankingTable, ScoreTable
from maagiqa_pyiqa.metrics.scoring import ImageScores

IMAGES = (
    ImageScores(Path("b, c.png"), {"piqe": 0.1 + 0.2, "maagiqa-lite": 3.25}),
    ImageScores(Path("a.png"), {"piqe": 2.0}, {"maagiqa-lite": "too dark"}),
    ImageScores(Path("no.png"), {}, {"": "empty file (0 bytes)"}),
)


@pytest.fixture
def table():
    return ScoreTable(IMAGES, ["piqe", "maagiqa-lite"], {"brisque": "no weights"})


def test_text_ranks_what_has_a_score(table):
    assert table.as_text().splitlines() == [
        "rank      piqe  maagiqa-lite  image",
        "   1    0.3000        3.2500  b, c.png",
        "   2    2.0000             -  a.png",
    ]


def test_csv_has_a_row_for_every_image_and_loses_no_digit(table):
    rows = list(csv.reader(io.StringIO(table.as_csv())))
    assert rows == [
        ["image", "piqe", "maagiqa-lite", "error"],
        ["b, c.png", "0.30000000000000004", "3.25", ""],
        ["a.png", "2.0", "", "maagiqa-lite: too dark"],
        ["no.png", "", "", "empty file (0 bytes)"],
    ]


def test_json_has_the_same_and_what_cannot_run(table):
    content = json.loads(table.as_json())
    assert content["unavailable_metrics"] == {"brisque": "no weights"}
    assert content["images"][1] == {"image": "a.png", "scores": {"piqe": 2.0}, "error": "maagiqa-lite: too dark"}
    assert content["images"][0]["error"] is None


@pytest.mark.parametrize("place", ["file", "url"])
def test_parquet_has_null_where_there_is_nothing(table, tmp_path, place):
    path = str(tmp_path / "sub" / "scores.parquet") if place == "file" else "memory://scores.parquet"
    table.write_parquet(path)
    with fsspec.open(path, "rb") as file:
        columns = parquet.read_table(file).to_pydict()
    assert columns == {
        "image": ["b, c.png", "a.png", "no.png"],
        "piqe": [0.1 + 0.2, 2.0, None],
        "maagiqa-lite": [3.25, None, None],
        "error": [None, "maagiqa-lite: too dark", "empty file (0 bytes)"],
    }


def test_a_ranking_has_its_groups_under_their_prompts():
    ranking = {"a cat": [IMAGES[1], IMAGES[0]], "nothing": [], "a dog": [IMAGES[0]]}
    table = RankingTable.from_ranking(ranking, "piqe")
    assert table.as_text().splitlines() == [
        "a cat",
        "   1    2.0000  a.png",
        "   2    0.3000  b, c.png",
        "a dog",
        "   1    0.3000  b, c.png",
    ]
    rows = list(csv.DictReader(io.StringIO(table.as_csv())))
    assert rows[2] == {"prompt": "a dog", "rank": "1", "score": "0.30000000000000004", "image": "b, c.png"}
    assert json.loads(table.as_json())[0] == {"prompt": "a cat", "rank": 1, "score": 2.0, "image": "a.png"}


def test_a_ranking_without_prompts_has_no_headings():
    table = RankingTable.from_ranking({"": [IMAGES[0]]}, "piqe")
    assert table.as_text() == "   1    0.3000  b, c.png"
