"""The drawings: what they draw of the figures, and how they say it."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from maagiqa_pyiqa.agreement.bootstrap import Estimate
from maagiqa_pyiqa.leaderboard.report.axes import ticks
from maagiqa_pyiqa.leaderboard.report.figures import bars, densities, error_shares, scatter
from maagiqa_pyiqa.leaderboard.report.sections import hardest_images
from maagiqa_pyiqa.leaderboard.report.svg import element
from tests.helpers.predictions import make_predictions


def test_markup_escapes_all_but_markup():
    drawing = element("g", element("text", "<"), "&", class_='a"b', stroke_width=1.25)
    assert drawing.count("<") == 4
    parsed = ElementTree.fromstring(drawing)
    assert parsed.attrib == {"class": 'a"b', "stroke-width": "1.2"}
    assert (parsed[0].text, parsed[0].tail) == ("<", "&")


def test_drawings_are_valid_svg_with_finite_coordinates_and_a_description(html):
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(drawings) > 20
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root.get("aria-label")
        assert not re.search(r"\b(nan|inf)\b", drawing.replace("</", ""), re.IGNORECASE)


def test_scatter_draws_every_image_and_rings_the_largest_misses():
    metric = make_predictions([1, 2, 3, 4, 2.5], [1, 2, 3, 4, 0.1])
    drawing = ElementTree.fromstring(scatter(metric, (0, 5), list("abcde")))
    assert sum(path.get("d").count("h0") for path in drawing.iter("path")) == 5
    titles = [title.text for title in drawing.iter("title")]
    assert len(titles) == 3
    assert titles[0] == "e: MOS 0.10, score 2.5, off by 2.40"


def test_scatter_without_a_fit_has_no_curve_and_no_rings():
    drawing = ElementTree.fromstring(scatter(make_predictions([1, 2], [1, 2], logistic=None), (0, 5), ["a", "b"]))
    assert not list(drawing.iter("circle"))
    assert "fit" not in [path.get("class") for path in drawing.iter("path")]


def test_bars_are_as_long_as_their_figures_and_start_at_zero():
    figures = {"a": Estimate(0.8, 0.7, 0.9), "b": Estimate(0.4), "c": Estimate(-0.4, -0.5, -0.3), "d": None}
    drawing = ElementTree.fromstring(bars(figures, "SRCC", lowest=-0.4))
    a, b, c = [{k: float(rect.get(k)) for k in ("x", "width")} for rect in drawing.iter("rect")]
    assert a["width"] == pytest.approx(2 * b["width"], abs=0.2)
    assert b["width"] == pytest.approx(c["width"], abs=0.2)
    assert c["x"] + c["width"] == pytest.approx(a["x"], abs=0.2)
    assert len([p for p in drawing.iter("path") if p.get("class") == "whisker"]) == 2
    assert "too few images" in [text.text for text in drawing.iter("text")]


def test_an_interval_that_leaves_the_axis_ends_in_an_arrow():
    drawing = ElementTree.fromstring(bars({"a": Estimate(0.1, -0.4, 0.5), "b": Estimate(0.2, 0.1, 0.3)}, "SRCC"))
    leaves, stays = [p.get("d") for p in drawing.iter("path") if p.get("class") == "whisker"]
    assert (leaves.count("l"), leaves.count("v6")) == (2, 1)
    assert (stays.count("l"), stays.count("v6")) == (0, 2)


def test_a_bar_without_a_figure_says_why():
    drawing = bars({"a": None, "b": None}, "SRCC", absent={"a": "MOS or scores all equal"})
    texts = [text.text for text in ElementTree.fromstring(drawing).iter("text")]
    assert {"MOS or scores all equal", "too few images"} <= set(texts)


def test_error_shares_count_bins_of_a_tenth():
    edges, shares = error_shares(np.array([0.0, 0.05, 0.1, 0.3, 0.39]), 0.39)
    assert np.allclose(edges, [0, 0.1, 0.2, 0.3])
    assert np.allclose(shares, [0.4, 0.2, 0, 0.4])


@pytest.mark.parametrize("highest", [0.3, 0.5, 1.0, 2.7])
def test_the_largest_error_falls_into_the_last_bin(highest):
    edges, shares = error_shares(np.array([0.0, highest]), highest)
    assert shares.sum() == 1
    assert shares[-1] > 0
    assert edges[-1] <= highest <= edges[-1] + 0.1 + 1e-9


def test_densities_show_each_metric_against_the_baseline():
    drawn = densities({"a": np.array([0.1, 0.2]), "b": np.array([0.9, 1.3])}, "b")
    classes = {n: [p.get("class") for p in ElementTree.fromstring(d).iter("path")] for n, d in drawn.items()}
    assert classes == {"a": ["area", "curve", "curve baseline"], "b": ["curve baseline"]}


def test_hardest_images_are_the_quarter_on_which_the_baseline_errs_most():
    metric = make_predictions([2.5] * 8, [2.5, 0, 2.4, 2.6, 5, 2.5, 2.3, 2.5])  # all are mapped to 2.5
    assert set(hardest_images(metric)) == {1, 4}


def test_ticks_are_round():
    assert ticks(0, 5) == [0, 1, 2, 3, 4, 5]
    assert ticks(-0.13, 0.52) == [0, 0.2, 0.4]
    assert ticks(2, 2) == [2]


def test_metrics_with_long_names_do_not_break_a_chart():
    name = "a-checkpoint-with-a-very-long-name"
    drawing = ElementTree.fromstring(bars({name: Estimate(0.5, 0.4, 0.6)}, "SRCC"))
    assert [title.text for title in drawing.iter("title")] == [f"{name}: 0.5000 [0.400, 0.600]"]
    assert "a-checkpoint-w\u2026" in [text.text for text in drawing.iter("text")]
