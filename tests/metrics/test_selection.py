"""Parts of scored images: each with its place among all, whichever way the metric counts."""

from pathlib import Path

import pytest

from maagiqa_pyiqa.metrics.ranking import sort_best_first
from maagiqa_pyiqa.metrics.scoring import ImageScores
from maagiqa_pyiqa.metrics.selection import Selection
from maagiqa_pyiqa.support.errors import InputError

IMAGES = [
    *(ImageScores(Path(f"{i}.png"), {"lite": float(i), "niqe": 10.0 - i}) for i in range(10)),
    ImageScores(Path("only.png"), {"niqe": 1.5}, {"lite": "too dark"}),
    ImageScores(Path("no.png"), {}, {"": "empty file"}),
]


def selected(metric="lite", **rules):
    images = sort_best_first(IMAGES, metric, lower_better=metric == "niqe")
    return {place: image.path.stem for place, image in Selection(**rules).select(images, metric).items()}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"top": 2}, {1: "9", 2: "8"}),
        ({"worst": 2}, {9: "1", 10: "0"}),
        ({"top": 1, "worst": 1}, {1: "9", 10: "0"}),
        ({"top": 30, "worst": 30}, dict(enumerate("9876543210", start=1))),
        ({"lowest": 8.0}, {1: "9", 2: "8"}),
        ({"lowest": 3.0, "highest": 4.0}, {6: "4", 7: "3"}),
        ({"highest": 4.0, "top": 1}, {6: "4"}),
        ({"percentile": 90.0}, {1: "9"}),
        ({"percentile": 85.0}, {1: "9", 2: "8"}),
        ({"percentile": 50.0, "worst": 1}, {5: "5"}),
        ({"lowest": 100.0}, {}),
    ],
)
def test_rules_leave_the_places_among_all(rules, expected):
    assert selected(**rules) == expected


def test_of_a_metric_whose_low_scores_are_better_the_low_ones_are_on_top():
    assert selected("niqe", top=2) == {1: "9", 2: "only"}
    assert list(selected("niqe", highest=2.0).values()) == ["9", "only", "8"]


def test_without_a_rule_everything_stays_also_what_failed():
    assert len(selected()) == len(IMAGES)


def test_a_share_of_many_is_what_it_says_in_spite_of_rounding():
    images = [ImageScores(Path(str(i)), {"lite": -float(i)}) for i in range(1000)]
    for percent in (90.0, 99.9, 33.3):
        assert len(Selection(percentile=percent).select(images, "lite")) == round(10 * (100 - percent))


@pytest.mark.parametrize(
    "rules",
    [
        {"percentile": 100.0},
        {"percentile": -1.0},
        {"percentile": float("nan")},
        {"lowest": 2.0, "highest": 1.0},
        {"lowest": float("nan")},
    ],
)
def test_what_nothing_can_meet_is_refused(rules):
    with pytest.raises(InputError):
        Selection(**rules)
