"""Two groups compared: figures and intervals against scipy, on the same resamples."""

import numpy as np
import pytest
from scipy import stats

from maagiqa_pyiqa.agreement.bootstrap import Resampling
from maagiqa_pyiqa.agreement.difference import MIN_SCORES, compare_groups, compare_pairs
from maagiqa_pyiqa.agreement.weighted import weighted_win_share

RESAMPLING = Resampling(seed=3, resamples=300)


@pytest.fixture
def a():
    return np.random.default_rng(0).normal(2.3, 1, 40).round(1)  # with ties


@pytest.fixture
def b():
    return np.random.default_rng(1).normal(2, 1, 40).round(1)


def scipy_interval(data, statistic, paired):
    found = stats.bootstrap(
        data, statistic, paired=paired, vectorized=False, n_resamples=300, method="percentile",
        rng=np.random.default_rng(3), batch=300,
    )  # fmt: skip
    return pytest.approx(tuple(found.confidence_interval), abs=1e-9)


def difference_of_means(x, y):
    return np.mean(x) - np.mean(y)


def share_of_pairs(x, y):
    return np.mean((x > y) + 0.5 * (x == y))


def share_of_all(x, y):
    return np.mean((x[:, None] > y[None]) + 0.5 * (x[:, None] == y[None]))


@pytest.mark.parametrize(
    ("compare", "share", "paired"), [(compare_pairs, share_of_pairs, True), (compare_groups, share_of_all, False)]
)
def test_figures_and_intervals_are_those_of_scipy(a, b, compare, share, paired):
    b = b if paired else b[:25]
    found = compare(a, b, RESAMPLING)
    assert (found.mean_a, found.mean_b) == pytest.approx((a.mean(), b.mean()))
    assert found.difference.value == pytest.approx(difference_of_means(a, b))
    assert (found.difference.low, found.difference.high) == scipy_interval((a, b), difference_of_means, paired)
    assert found.wins.value == pytest.approx(share(a, b))
    assert (found.wins.low, found.wins.high) == scipy_interval((a, b), share, paired)


def test_share_of_wins_without_pairs_is_that_of_mann_and_whitney(a, b):
    b = b[:25]
    ones = np.ones((1, len(a))), np.ones((1, len(b)))
    assert weighted_win_share(a, b, *ones) == pytest.approx(stats.mannwhitneyu(a, b).statistic / (len(a) * len(b)))


@pytest.mark.parametrize("compare", [compare_pairs, compare_groups])
def test_the_better_one_follows_the_direction_and_not_the_order(a, compare):
    worse = a - 0.9 + 0.1 * np.sin(np.arange(len(a)))
    assert compare(a, worse, RESAMPLING).better == "A"
    assert compare(worse, a, RESAMPLING).better == "B"
    found = compare(a, worse, RESAMPLING, lower_better=True)
    assert found.better == "B"
    assert found.difference.value > 0
    assert found.wins.value == pytest.approx(1 - compare(a, worse, RESAMPLING).wins.value)
    assert found.p_value == pytest.approx(1 / 301)


@pytest.mark.parametrize("compare", [compare_pairs, compare_groups])
def test_a_group_against_itself_is_undecided(a, compare):
    found = compare(a, a, RESAMPLING)
    assert found.better is None
    assert found.wins.value == 0.5
    assert found.p_value > 0.8


def test_pairs_see_a_small_difference_that_groups_do_not(a):
    slightly_worse = a - 0.05 + 0.02 * np.sin(np.arange(len(a)))
    assert compare_pairs(a, slightly_worse, RESAMPLING).better == "A"
    assert compare_groups(a, slightly_worse, RESAMPLING).better is None


@pytest.mark.parametrize("compare", [compare_pairs, compare_groups])
def test_of_too_few_scores_there_is_no_interval_and_nothing_is_decided(compare):
    few = np.arange(MIN_SCORES - 1.0)
    found = compare(few + 9, few, RESAMPLING)
    assert found.difference.value == 9
    assert (found.difference.interval, found.wins.interval, found.p_value, found.better) == ("", "", None, None)
