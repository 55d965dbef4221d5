"""The model card's tables say where scores and ratings differ."""

import numpy as np
import pandas
import pytest

from benchmarks.lite import card


@pytest.fixture
def table():
    """200 images of two generators; the scores of `odd` are 1 too high for 40 of its 60."""
    rng = np.random.default_rng(0)
    mos = rng.uniform(0, 5, 200)
    error = np.where(np.arange(200) < 40, 1.0, rng.normal(0, 0.1, 200))
    frame = pandas.DataFrame({"name": [f"{i}.jpg" for i in range(200)], "mos_quality": mos, "score": mos + error})
    frame["generator"] = np.where(np.arange(200) < 60, "odd", "even")
    frame["prompt"] = "a cat | a dog"
    return frame.assign(error=error, style="none", adj1="none", mos="all")


def test_figures_of_a_group_are_those_of_its_images(table):
    figures = card.figures_by(table, "generator").set_index("generator")
    own = table[table["generator"] == "odd"]
    assert list(figures["images"]) == [140, 60]
    assert figures.loc["odd", "mean error"] == pytest.approx(own["error"].mean())
    assert figures.loc["odd", "SRCC"] == pytest.approx(own["score"].corr(own["mos_quality"], method="spearman"))


def test_small_groups_have_no_figures(table):
    table.loc[:4, "generator"] = "rare"
    assert "rare" not in set(card.figures_by(table, "generator")["generator"])


def test_the_worst_share_what_made_them_so(table):
    shared = card.shared_by_worst(table).set_index("group")
    assert shared.loc["generator: odd", "found"] == card.WORST
    assert shared.loc["generator: odd", "expected"] == pytest.approx(9)
    assert shared.loc["generator: odd", "scored too high"] == card.WORST
    assert shared.index[0] == "generator: odd"


def test_bars_in_prompts_leave_the_table_whole(table):
    assert "a cat \\| a dog" in card.as_markdown(card.worst(table))
