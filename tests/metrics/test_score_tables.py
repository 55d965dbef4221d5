"""Scores and rankings as text, CSV, JSON and Parquet: the same content in each."""

import csv
import io
import json
import os
from pathlib import Path

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
    return ScoreTable(IMAGES, ["piqe", "maagiqa-lite"], {"brisque": "no weights"}, ["piqe"])


def test_text_ranks_what_has_a_score(table):
    assert table.as_text().splitlines() == [
        "rank    piqe \u2193  maagiqa-lite \u2191  image",
        "   1    0.3000          3.2500  b, c.png",
        "   2    2.0000               -  a.png",
    ]


def test_text_of_a_part_has_the_ranks_among_all():
    lines = ScoreTable([IMAGES[1]], ["piqe"], places=[7]).as_text().splitlines()
    assert lines[1].split() == ["7", "2.0000", "a.png"]


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
    assert content["lower_better"] == {"piqe": True, "maagiqa-lite": False}
    assert content["images"][1] == {"image": "a.png", "scores": {"piqe": 2.0}, "error": "maagiqa-lite: too dark"}
    assert content["images"][0]["error"] is None


def test_parquet_has_null_where_there_is_nothing(table):
    columns = parquet.read_table(io.BytesIO(table.as_parquet())).to_pydict()
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
        "rank    piqe \u2191  image",
        "a cat",
        "   1    2.0000  a.png",
        "   2    0.3000  b, c.png",
        "a dog",
        "   1    0.3000  b, c.png",
    ]
    rows = list(csv.DictReader(io.StringIO(table.as_csv())))
    assert rows[2] == {"prompt": "a dog", "rank": "1", "score": "0.30000000000000004", "image": "b, c.png"}
    assert parquet.read_table(io.BytesIO(table.as_parquet())).to_pylist()[2] == {
        **rows[2],
        "rank": 1,
        "score": 0.1 + 0.2,
    }
    assert json.loads(table.as_json())[0] == {"prompt": "a cat", "rank": 1, "score": 2.0, "image": "a.png"}


def test_a_ranking_without_prompts_has_no_headings():
    table = RankingTable.from_ranking({"": [IMAGES[0]]}, "piqe")
    assert table.as_text().splitlines() == ["rank    piqe \u2191  image", "   1    0.3000  b, c.png"]


def test_ranges_of_scores_are_told_where_they_are_known():
    table = ScoreTable(IMAGES, ["piqe", "mine"], ranges={"piqe": "0, 100", "mine": None})
    assert table.as_text().splitlines()[-1] == "range of scores: piqe 0 to 100"
    assert json.loads(table.as_json())["score_range"] == {"piqe": "0, 100", "mine": None}
    ranking = RankingTable.from_ranking({"": [IMAGES[0]]}, "piqe", score_range="0, 100")
    assert ranking.as_text().splitlines()[-1] == "range of scores: piqe 0 to 100"


def test_a_ranking_of_nothing_has_its_columns_all_the_same():
    table = RankingTable.from_ranking({"a cat": []}, "piqe", lower_better=True)
    assert table.as_text() == "rank    piqe \u2193  image"
    assert parquet.read_table(io.BytesIO(table.as_parquet())).column_names == ["prompt", "rank", "score", "image"]


# ------------------------------------------------------------------------------------- names as somebody made them up

FORGED = "x.png\n   1    9.9999  forged.png"
UNDECODABLE = os.fsdecode(b"caf\xe9.png")
FORMULA = '=cmd|"calc"!A0.png'


@pytest.fixture
def hostile():
    images = [ImageScores(Path(name), {"piqe": 1.0}) for name in (FORGED, UNDECODABLE, FORMULA, "a\rb.png")]
    images.append(ImageScores(Path("no.png"), {}, {"": "+1 reason"}))
    return ScoreTable(images, ["piqe"])


def test_no_name_forges_a_row_of_the_text(hostile):
    lines = hostile.as_text().splitlines()
    assert len(lines) == 5
    assert lines[1].endswith(r"x.png\n   1    9.9999  forged.png")
    assert lines[2].endswith(r"caf\udce9.png")
    prompts = {FORGED: hostile.images[:1]}
    assert len(RankingTable.from_ranking(prompts, "piqe").as_text().splitlines()) == 3  # header, prompt, image


def test_no_cell_of_a_csv_is_a_formula_or_a_row_of_its_own(hostile):
    rows = list(csv.reader(io.StringIO(hostile.as_csv(), newline="")))
    assert [row[0] for row in rows] == ["image", FORGED, UNDECODABLE, f"'{FORMULA}", "a\rb.png", "no.png"]
    assert rows[-1][2] == "'+1 reason"
    ranked = RankingTable.from_ranking({"=1+1": hostile.images[:1]}, "piqe").as_csv()
    assert ranked.splitlines()[1].startswith("'=1+1,")


def test_names_that_are_not_unicode_survive_json_and_parquet(hostile):
    assert json.loads(hostile.as_json())["images"][1]["image"] == UNDECODABLE
    columns = parquet.read_table(io.BytesIO(hostile.as_parquet())).to_pydict()
    assert columns["image"][1] == r"caf\udce9.png"
