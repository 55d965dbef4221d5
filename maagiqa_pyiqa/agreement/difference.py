"""Two groups of scores compared: difference of means and share of wins, of pairs or of all against all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from maagiqa_pyiqa.agreement.bootstrap import Estimate, Resampling, percentile_estimate, two_sided_p
from maagiqa_pyiqa.agreement.weighted import weighted_mean, weighted_win_share

MIN_SCORES = 5  # of a group, for an interval to mean anything


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Group A against group B.

    ``difference`` is the mean of A less that of B; ``wins`` the share of pairs in which A is better, ties counting
    half. Both have intervals, and ``p_value`` tests that the means are the same, where each group has MIN_SCORES.
    """

    mean_a: float
    mean_b: float
    difference: Estimate
    wins: Estimate
    p_value: float | None
    lower_better: bool = False

    @property
    def better(self) -> Literal["A", "B"] | None:
        """The better group; None where the interval of the difference holds zero, or there is none."""
        low, high = self.difference.low, self.difference.high
        if low is None or high is None or low <= 0 <= high:
            return None
        return "A" if (low > 0) != self.lower_better else "B"


def compare_pairs(a: np.ndarray, b: np.ndarray, resampling: Resampling, lower_better: bool = False) -> Difference:
    """Compare groups whose scores belong together one by one; pairs are resampled.

    Args:
        a: scores of A (N,).
        b: scores of B (N,), each of the same prompt or name as that of A.
        resampling: of the pairs.
        lower_better: whether lower scores are better.
    """
    wins = 0.5 + 0.5 * np.sign(b - a if lower_better else a - b)
    weights = resampling.draw(len(a))
    return _difference(a, b, weighted_mean(a - b, weights), wins.mean(), weighted_mean(wins, weights), lower_better)


def compare_groups(a: np.ndarray, b: np.ndarray, resampling: Resampling, lower_better: bool = False) -> Difference:
    """Compare groups of which nothing belongs together; each is resampled for itself.

    Args:
        a: scores of A (N,).
        b: scores of B (M,).
        resampling: of the images.
        lower_better: whether lower scores are better.
    """
    weights = resampling.draw_each(len(a), len(b))
    differences = weighted_mean(a, weights[0]) - weighted_mean(b, weights[1])
    sign = -1 if lower_better else 1
    share = weighted_win_share(sign * a, sign * b, np.ones((1, len(a))), np.ones((1, len(b))))
    shares = weighted_win_share(sign * a, sign * b, *weights)
    return _difference(a, b, differences, share[0], shares, lower_better)


def _difference(
    a: np.ndarray, b: np.ndarray, differences: np.ndarray, share: float, shares: np.ndarray, lower_better: bool
) -> Difference:
    mean_a, mean_b = float(a.mean()), float(b.mean())
    enough = min(len(a), len(b)) >= MIN_SCORES
    return Difference(
        mean_a=mean_a,
        mean_b=mean_b,
        difference=_estimate(mean_a - mean_b, differences, enough),
        wins=_estimate(float(share), shares, enough),
        p_value=two_sided_p(differences) if enough else None,
        lower_better=lower_better,
    )


def _estimate(value: float, samples: np.ndarray, enough: bool) -> Estimate:
    return (percentile_estimate(value, samples) if enough else None) or Estimate(value)
