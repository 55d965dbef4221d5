"""Figures with intervals against scipy, on the same resamples."""

import numpy as np
import pytest
from scipy import stats

from maagiqa_pyiqa.agreement.bootstrap import (
    compare_with_best,
    detectable_difference,
    draw_resamples,
    estimate,
    paired_test,
)
from maagiqa_pyiqa.agreement.logistic import apply_logistic, fit_logistic, fit_logistic_parameters
from maagiqa_pyiqa.agreement.statistics import STATISTICS, evaluate, judge
from maagiqa_pyiqa.agreement.weighted import weighted_kendall, weighted_mean, weighted_ranks, weighted_spearman

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
    assert paired_test(scores, scores, mos, weights).p_value == 1
    assert paired_test(scores, 3 * scores + 1, mos, weights).p_value == 1  # the same order


def test_p_is_small_for_a_worse_metric_and_symmetric(scores, mos):
    worse = np.random.default_rng(2).permutation(mos)
    weights = draw_resamples(N, R, seed=0)
    p = paired_test(scores, worse, mos, weights).p_value
    assert p == paired_test(worse, scores, mos, weights).p_value
    assert p == pytest.approx(1 / (R + 1))


def test_tests_against_the_best_use_the_images_that_both_have(scores, mos):
    partial = scores.copy()
    partial[:20] = np.nan
    found = compare_with_best({"a": scores, "b": partial}, mos, "a", draw_resamples(N, R, seed=0))
    assert {name: test.p_value for name, test in found.items()} == {"b": 1.0}


def test_p_of_equal_metrics_is_rarely_small():
    generator = np.random.default_rng(5)
    small = 0
    for _ in range(100):
        mos = generator.normal(size=80)
        first, second = (mos + generator.normal(size=80) for _ in range(2))
        small += paired_test(first, second, mos, draw_resamples(80, 200, seed=0)).p_value < 0.05
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


# ------------------------------------------------------------------------------------------ images that belong together

PROMPTS, SIZE, CORRELATION = 60, 5, 0.6
CLUSTERS = np.repeat([f"prompt {i}" for i in range(PROMPTS)], SIZE)


def correlated(generator):
    """Values of variance 1 of which any two of one prompt have the correlation CORRELATION, others none."""
    shared, own = generator.normal(size=PROMPTS).repeat(SIZE), generator.normal(size=PROMPTS * SIZE)
    return np.sqrt(CORRELATION) * shared + np.sqrt(1 - CORRELATION) * own


def test_whole_prompts_are_drawn_as_by_hand():
    generator = np.random.default_rng(0)
    mos, scores = correlated(generator), correlated(generator)
    order = generator.permutation(PROMPTS * SIZE)  # images of a prompt need not be neighbours
    weights = draw_resamples(PROMPTS * SIZE, R, 3, [*CLUSTERS[order]])
    figure = estimate(judge(scores[order], mos[order])[0], weights, ["srcc"])["srcc"]
    names = list(dict.fromkeys(CLUSTERS[order]))
    by_hand = []
    for drawn in np.random.default_rng(3).integers(0, PROMPTS, (R, PROMPTS)):
        rows = np.concatenate([np.flatnonzero(CLUSTERS[order] == names[i]) for i in drawn])
        by_hand.append(stats.spearmanr(scores[order][rows], mos[order][rows])[0])
    assert (figure.low, figure.high) == pytest.approx(tuple(np.percentile(by_hand, [2.5, 97.5])), abs=1e-9)


def test_the_spread_of_a_mean_is_that_of_the_known_correlation():
    values = correlated(np.random.default_rng(1))
    by_prompt = weighted_mean(values, draw_resamples(len(values), 4000, 0, [*CLUSTERS])).std()
    by_image = weighted_mean(values, draw_resamples(len(values), 4000, 0)).std()
    assert by_image == pytest.approx(np.sqrt(values.var() / len(values)), rel=0.03)
    of_means = values.reshape(PROMPTS, SIZE).mean(1).std() / np.sqrt(PROMPTS)
    assert by_prompt == pytest.approx(of_means, rel=0.03)
    assert by_prompt / by_image == pytest.approx(np.sqrt(1 + (SIZE - 1) * CORRELATION), rel=0.12)


def test_intervals_by_prompt_are_as_wide_as_srcc_varies_between_samples_and_those_by_image_too_narrow():
    generator = np.random.default_rng(2)
    srcc, by_prompt, by_image = [], [], []
    for _ in range(150):
        mos = correlated(generator)
        scores = mos + correlated(generator)
        srcc.append(stats.spearmanr(scores, mos)[0])
        for spreads, clusters in ((by_prompt, [*CLUSTERS]), (by_image, None)):
            spreads.append(weighted_spearman(scores, mos, draw_resamples(len(mos), 100, 0, clusters)).std())
    assert np.mean(by_prompt) == pytest.approx(np.std(srcc), rel=0.15)
    assert np.mean(by_image) < 0.7 * np.std(srcc)


def test_prompts_of_one_image_each_change_nothing():
    assert (draw_resamples(N, R, 0, [*range(N)]) == draw_resamples(N, R, 0)).all()


def test_a_paired_test_by_prompt_is_more_careful():
    generator = np.random.default_rng(4)
    mos = correlated(generator)
    better, worse = mos + 0.8 * correlated(generator), mos + correlated(generator)
    by_prompt, by_image = (
        paired_test(better, worse, mos, draw_resamples(len(mos), 2000, 0, clusters)) for clusters in ([*CLUSTERS], None)
    )
    assert by_prompt.p_value > by_image.p_value
    assert by_prompt.detectable > 1.3 * by_image.detectable


def test_four_in_five_samples_find_the_detectable_difference():
    generator = np.random.default_rng(6)
    spread = 0.01
    detectable = detectable_difference(generator.normal(0.3, spread, 20000))
    found = np.abs(generator.normal(detectable, spread, 20000)) > stats.norm.ppf(0.975) * spread
    assert found.mean() == pytest.approx(0.8, abs=0.02)
    assert detectable_difference(np.array([np.nan])) is None
