"""Figures with intervals against scipy, on the same resamples."""

import numpy as np
import pytest
from scipy import stats

from maagiqa_pyiqa.agreement.bootstrap import draw_resamples, estimate, p_against_best, paired_p_value
from maagiqa_pyiqa.agreement.logistic import apply_logistic, fit_logistic, fit_logistic_parameters
from maagiqa_pyiqa.agreement.statistics import STATISTICS, evaluate, judge
from maagiqa_pyiqa.agreement.weighted import weighted_kendall, weighted_ranks

N, R = 60, 200


@pytest.fixture
def mos():
    return np.random.default_rng(0).uniform(0, 5, N).round(1)  # with ties


@pytest.fixture
def scores(mos):
    return (mos + np.random.default_rng(1).normal(0, 1, N)).round(1)


SCIPY = {
    "srcc": lambda x, y: stats.spearmanr(x, y)[0],
    "plcc": lambda x, y: stats.pearsonr(x, y)[0],
    "krcc": lambda x, y: stats.kendalltau(x, y)[0],
    "rmse": lambda x, y: np.sqrt(np.mean((x - y) ** 2)),
}


@pytest.mark.parametrize("name", SCIPY)
def test_intervals_are_those_of_scipy(scores, mos, name):
    ours = estimate(judge(scores, mos)[0], draw_resamples(N, R, seed=3), [name])[name]
    theirs = stats.bootstrap(
        (scores, mos), SCIPY[name], paired=True, vectorized=False, n_resamples=R, method="percentile",
        rng=np.random.default_rng(3),
    )  # fmt: skip
    assert ours.value == pytest.approx(SCIPY[name](scores, mos))
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), abs=1e-5)


def test_intervals_of_fitted_figures_resample_the_pairs_of_one_fit(scores, mos):
    judged, parameters = judge(scores, mos)
    np.testing.assert_allclose(judged.mapped, fit_logistic(scores, mos))
    ours = estimate(judged, draw_resamples(N, R, seed=3), ["plcc_fitted"])["plcc_fitted"]
    theirs = stats.bootstrap(
        (apply_logistic(scores, parameters), mos), SCIPY["plcc"], paired=True, vectorized=False, n_resamples=R,
        method="percentile", rng=np.random.default_rng(3),
    )  # fmt: skip
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval), abs=1e-9)


def test_values_are_those_of_the_other_verbs(scores, mos):
    figures = estimate(judge(scores, mos)[0], draw_resamples(N, 2, seed=0))
    assert {name: figure.value for name, figure in figures.items()} == pytest.approx(evaluate(scores, mos), abs=1e-6)


def test_weighted_figures_are_those_of_repeated_images(scores, mos):
    weights = draw_resamples(N, 5, seed=0)
    kendall, ranks = weighted_kendall(scores, mos, weights), weighted_ranks(scores, weights)
    for row, counts in enumerate(weights.astype(int)):
        drawn = np.repeat(np.arange(N), counts)
        assert kendall[row] == pytest.approx(stats.kendalltau(scores[drawn], mos[drawn])[0], abs=1e-6)
        np.testing.assert_allclose(ranks[row][drawn], stats.rankdata(scores[drawn]))


def test_a_metric_against_itself_gives_p_near_one(scores, mos):
    weights = draw_resamples(N, R, seed=0)
    assert paired_p_value(scores, scores, mos, weights) == 1
    assert paired_p_value(scores, 3 * scores + 1, mos, weights) == 1  # the same order


def test_p_is_small_for_a_worse_metric_and_symmetric(scores, mos):
    worse = np.random.default_rng(2).permutation(mos)
    weights = draw_resamples(N, R, seed=0)
    p = paired_p_value(scores, worse, mos, weights)
    assert p == paired_p_value(worse, scores, mos, weights)
    assert p == pytest.approx(1 / (R + 1))


def test_p_against_best_uses_the_images_that_both_have(scores, mos):
    partial = scores.copy()
    partial[:20] = np.nan
    found = p_against_best({"a": scores, "b": partial}, mos, "a", draw_resamples(N, R, seed=0))
    assert found == {"a": None, "b": 1.0}


def test_p_of_equal_metrics_is_rarely_small():
    generator = np.random.default_rng(5)
    small = 0
    for _ in range(100):
        mos = generator.normal(size=80)
        first, second = (mos + generator.normal(size=80) for _ in range(2))
        small += paired_p_value(first, second, mos, draw_resamples(80, 200, seed=0)) < 0.05
    assert small <= 15


def test_what_is_not_defined_is_nan(mos):
    judged, parameters = judge(np.ones(N), mos)
    assert parameters is None
    figures = estimate(judged, draw_resamples(N, 10, seed=0))
    assert all(figures[key] is None for key in STATISTICS if key != "rmse")
    assert np.isfinite(figures["rmse"].value)


def test_the_logistic_has_its_parameters_in_their_order():
    scores = np.linspace(-3, 3, 50)
    mos = 1 + 3 / (1 + np.exp(-(scores - 0.5) / 0.4))
    assert fit_logistic_parameters(scores, mos) == pytest.approx((4, 1, 0.5, 0.4), abs=1e-4)


def test_seeds_decide():
    assert (draw_resamples(9, 4, seed=1) == draw_resamples(9, 4, seed=1)).all()
    assert (draw_resamples(9, 4, seed=1) != draw_resamples(9, 4, seed=2)).any()
    assert (draw_resamples(9, 4, seed=1).sum(axis=1) == 9).all()
