"""Statistics of weighted images: each figure for many resamples at once, by a few matrix products.

Arguments are values (N,) and weights (R, N), how often each image counts; the result (R,) has a figure for each row.
"""

from __future__ import annotations

import numpy as np

ROWS_AT_ONCE = 512  # of the images-by-images matrix that Kendall's correlation needs


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean."""
    return weights @ values / weights.sum(axis=1)


def weighted_win_share(
    values: np.ndarray, others: np.ndarray, weights: np.ndarray, other_weights: np.ndarray
) -> np.ndarray:
    """Share of all pairs of a value (N,) and another (M,) in which the value is higher; ties count half.

    Args:
        values: (N,).
        others: (M,).
        weights: (R, N), of the values.
        other_weights: (R, M), of the others.
    """
    order = np.argsort(others)
    reached = np.pad(other_weights[:, order].cumsum(axis=1), ((0, 0), (1, 0)))  # weight of the lowest 0 to M others
    below, not_above = (reached[:, np.searchsorted(others[order], values, side)] for side in ("left", "right"))
    return (weights * (below + not_above) / 2).sum(axis=1) / (weights.sum(axis=1) * other_weights.sum(axis=1))


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
