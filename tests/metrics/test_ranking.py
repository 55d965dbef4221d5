"""The best first, whichever way a metric counts, and within each prompt."""

from pathlib import Path

import pytest

from maagiqa_pyiqa.metrics.ranking import rank_by_group, sort_best_first
from maagiqa_pyiqa.metrics.scoring import ImageScores


def scores_of(metric, **values):
    return [
        ImageScores(Path(name), {} if value is None else {metric: value}, {} if value is not None else {metric: "bad"})
        for name, value in values.items()
    ]


def names(results):
    return [result.path.name for result in results]


@pytest.mark.parametrize(("lower_better", "order"), [(False, "bca"), (True, "acb")])
def test_best_first_and_without_a_score_last(lower_better, order):
    results = scores_of("m", x=None, a=1.0, b=3.0, c=2.0)
    assert "".join(names(sort_best_first(results, "m", lower_better))) == order + "x"


def test_equals_stand_in_the_order_of_their_names():
    assert names(sort_best_first(scores_of("piqe", b=1.0, a=1.0), "piqe")) == ["a", "b"]


def test_each_prompt_is_ranked_by_itself_and_cut_to_its_top():
    results = scores_of("maagiqa-lite", a=1.0, b=3.0, c=2.0, d=5.0, x=None)
    prompts = {Path(name): prompt for name, prompt in zip("abcdx", ["two", "two", "two", "one", "none"], strict=True)}
    ranking = rank_by_group(results, "maagiqa-lite", prompts, top=2)
    assert {prompt: names(images) for prompt, images in ranking.items()} == {
        "two": ["b", "c"],
        "one": ["d"],
        "none": [],
    }
    assert list(ranking) == ["two", "one", "none"]
    assert names(rank_by_group(results, "maagiqa-lite", prompts)["two"]) == ["b", "c", "a"]
