"""Agreement with MOS with uncertainty: percentile bootstrap intervals, and a paired test between two metrics.

A resample is written as how often it draws each image, so every figure of all resamples is a few matrix products.
Higher scores are better throughout: negate a metric of which lower is better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from maagiqa_pyiqa.agreement.statistics import apply_logistic, fit_logistic_parameters

CONFIDENCE = 0.95
ROWS_AT_ONCE = 512  # of the images-by-images matrix that Kendall's correlation needs


class Estimate(NamedTuple):
    """A figure and the ends of its 95 % interval; NaN where it is not defined."""

    value: float
    low: float
    high: float


class Judged(NamedTuple):
    """Scores, MOS and scores mapped to the MOS scale by the fitted logistic, each (N,)."""

    scores: np.ndarray
    mos: np.ndarray
    mapped: np.ndarray

    def only(self, chosen: np.ndarray) -> Judged:
        """Those of some images, by mask or position."""
        return Judged(*(values[chosen] for values in self))


def judge(
    scores: Sequence[float] | np.ndarray, mos: Sequence[float] | np.ndarray
) -> tuple[Judged, tuple[float, ...] | None]:
    """Fit the 4-parameter logistic once, to all images.

    Returns:
        Scores, MOS and mapped scores (NaN where the fit does not converge), and the logistic's parameters or None.
    """
    scores, mos = np.asarray(scores, float), np.asarray(mos, float)
    parameters = fit_logistic_parameters(scores, mos)
    return Judged(scores, mos, apply_logistic(scores, parameters)), parameters


# ----------------------------------------------------------------------------------------- figures of weighted images
# Arguments are values (N,) and weights (R, N); the result (R,) has a figure for each row of weights.


def weighted_pearson(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson's correlation; x and y may also be (R, N)."""
    total = weights.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):  # no image drawn, or all drawn alike: not defined
        dx, dy = (v - (weights * v).sum(axis=1, keepdims=True) / total for v in (x, y))
        return (weights * dx * dy).sum(axis=1) / np.sqrt((weights * dx**2).sum(axis=1) * (weights * dy**2).sum(axis=1))


def weighted_ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Ranks (R, N) that the values have in samples that hold each so many times; ties share their mean rank."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=np.nan) != 0)
    counts = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks = counts.cumsum(axis=1) - counts + (counts + 1) / 2
    tie_of = np.empty(len(values), int)
    tie_of[order] = np.repeat(np.arange(len(starts)), np.diff([*starts, len(values)]))
    return ranks[:, tie_of]


def weighted_spearman(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation."""
    return weighted_pearson(weighted_ranks(x, weights), weighted_ranks(y, weights), weights)


def weighted_kendall(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Kendall's tau-b: over all pairs of drawn images, a block of rows of the pairs' signs at a time."""
    drawn = weights.astype(np.float32)
    concordant, untied_x, untied_y = (np.zeros(len(weights)) for _ in range(3))
    for start in range(0, len(x), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        signs = [np.sign(v[rows, None] - v[None, :]).astype(np.float32) for v in (x, y)]
        for total, pairs in (
            (concordant, signs[0] * signs[1]),
            (untied_x, np.abs(signs[0])),
            (untied_y, np.abs(signs[1])),
        ):
            total += np.einsum("rn,rn->r", drawn @ pairs.T, drawn[:, rows], dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return concordant / np.sqrt(untied_x * untied_y)


def weighted_rmse(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Root of the mean squared difference."""
    with np.errstate(invalid="ignore"):
        return np.sqrt(weights @ (x - y) ** 2 / weights.sum(axis=1))


Statistic = Callable[[Judged, np.ndarray], np.ndarray]
STATISTICS: MappingProxyType[str, Statistic] = MappingProxyType(
    {
        "srcc": lambda judged, weights: weighted_spearman(judged.scores, judged.mos, weights),
        "plcc": lambda judged, weights: weighted_pearson(judged.scores, judged.mos, weights),
        "krcc": lambda judged, weights: weighted_kendall(judged.scores, judged.mos, weights),
        "rmse": lambda judged, weights: weighted_rmse(judged.scores, judged.mos, weights),
        "plcc_fitted": lambda judged, weights: weighted_pearson(judged.mapped, judged.mos, weights),
        "rmse_fitted": lambda judged, weights: weighted_rmse(judged.mapped, judged.mos, weights),
    }
)


# ----------------------------------------------------------------------------------------------------------- bootstrap


def draw_resamples(n: int, resamples: int, seed: int) -> np.ndarray:
    """How often each of n images is drawn, (resamples, n); the draws are those of scipy.stats.bootstrap."""
    draws = np.random.default_rng(seed).integers(0, n, (resamples, n))
    counts = np.bincount((draws + n * np.arange(resamples)[:, None]).ravel(), minlength=resamples * n)
    return counts.reshape(resamples, n).astype(float)


def estimate(judged: Judged, weights: np.ndarray, names: Sequence[str] = tuple(STATISTICS)) -> dict[str, Estimate]:
    """Figures of all images with 95 % percentile intervals over the resamples.

    The logistic is fitted once, to all images: intervals of fitted figures resample its pairs of mapped score and MOS,
    and leave out the uncertainty of the fit itself, which on hundreds of images is small.

    Args:
        judged: N images.
        weights: (R, N) of ``draw_resamples``.
        names: of STATISTICS.
    """
    return {name: _estimate(STATISTICS[name], judged, weights) for name in names}


def _estimate(statistic: Statistic, judged: Judged, weights: np.ndarray) -> Estimate:
    value = statistic(judged, np.ones((1, len(judged.mos))))[0]
    samples = statistic(judged, weights)
    samples = samples[np.isfinite(samples)]
    if not np.isfinite(value) or not len(samples):
        return Estimate(float("nan"), float("nan"), float("nan"))
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(samples, [tail, 100 - tail])
    return Estimate(float(value), float(low), float(high))


def paired_p_value(scores: np.ndarray, others: np.ndarray, mos: np.ndarray, weights: np.ndarray) -> float:
    """Two-sided p that two metrics have the same SRCC, by resamples of the same images.

    Twice the smaller share of resamples in which the difference is not above, or not below, zero; at most 1, and at
    least 1 in the number of resamples plus one. A metric against itself gives 1.

    Args:
        scores: of one metric (N,).
        others: of the other (N,).
        mos: (N,).
        weights: (R, N) of ``draw_resamples``.
    """
    differences = weighted_spearman(scores, mos, weights) - weighted_spearman(others, mos, weights)
    differences = differences[np.isfinite(differences)]
    crossing = min((differences <= 0).sum(), (differences >= 0).sum())
    return float(min(1.0, (2 * crossing + 1) / (len(differences) + 1)))


def p_against_best(
    scores: Mapping[str, np.ndarray], mos: np.ndarray, best: str, weights: np.ndarray
) -> dict[str, float | None]:
    """Test every metric against the best on the images that both have scored; None for the best itself.

    Args:
        scores: by metric, (N,) with NaN where there is none.
        mos: (N,).
        best: one of the metrics.
        weights: (R, N) of ``draw_resamples``.
    """
    found: dict[str, float | None] = {best: None}
    for name in scores.keys() - {best}:
        both = np.isfinite(scores[name]) & np.isfinite(scores[best])
        found[name] = paired_p_value(scores[best][both], scores[name][both], mos[both], weights[:, both])
    return found
