"""Uncertainty by resampling images: percentile bootstrap intervals, a two-sided test of a difference, and its power.

A resample is written as how often it draws each image, so every figure of all resamples is a few matrix products.
Images of one text prompt are alike, and so are a metric's errors on them: where prompts repeat, whole prompts are drawn
with all their images, since images drawn one by one would count as more evidence than they are. Higher scores are
better throughout: negate a metric of which lower is better.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from maagiqa_pyiqa.agreement.statistics import STATISTICS, Judged, Statistic
from maagiqa_pyiqa.agreement.weighted import weighted_spearman

CONFIDENCE = 0.95
POWER = 0.8  # share of tests that find a difference of the size that is called detectable


@dataclass(frozen=True)
class Estimate:
    """A figure with the ends of its 95 % interval, as far as there is one."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> str:
        """``[0.812, 0.864]``, or nothing."""
        return "" if self.low is None or self.high is None else f"[{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Resampling:
    """Seed and number of the bootstrap's resamples."""

    seed: int
    resamples: int

    def draw(self, images: int, clusters: Sequence[Hashable] | None = None) -> np.ndarray:
        """How often each image is drawn, (resamples, images); see ``draw_resamples``."""
        return draw_resamples(images, self.resamples, self.seed, clusters)

    def draw_each(self, *sizes: int) -> list[np.ndarray]:
        """The same for groups of images of these sizes, each drawn for itself."""
        generator = np.random.default_rng(self.seed)
        return [draw_resamples(size, self.resamples, generator) for size in sizes]


def draw_resamples(
    n: int, resamples: int, seed: int | np.random.Generator, clusters: Sequence[Hashable] | None = None
) -> np.ndarray:
    """How often each of n images is drawn, (resamples, n); the draws are those of scipy.stats.bootstrap.

    Args:
        n: number of images.
        resamples: how many.
        seed: of the draws.
        clusters: what each image belongs to (n,), such as its prompt: images of a cluster are drawn together. Without
            them, or where no two images share one, images are drawn one by one.
    """
    if clusters is not None and len(places := {cluster: i for i, cluster in enumerate(dict.fromkeys(clusters))}) < n:
        return draw_resamples(len(places), resamples, seed)[:, [places[cluster] for cluster in clusters]]
    draws = np.random.default_rng(seed).integers(0, n, (resamples, n))
    counts = np.bincount((draws + n * np.arange(resamples)[:, None]).ravel(), minlength=resamples * n)
    return counts.reshape(resamples, n).astype(float)


def estimate(judged: Judged, weights: np.ndarray, keys: Sequence[str] | None = None) -> dict[str, Estimate | None]:
    """Figures of all images with 95 % percentile intervals over the resamples; None where one is not defined.

    The logistic is fitted once, to all images: intervals of fitted figures resample its pairs of mapped score and MOS,
    and leave out the uncertainty of the fit itself, which on hundreds of images is small.

    Args:
        judged: N images.
        weights: (R, N) of ``draw_resamples``.
        keys: of STATISTICS; all of them by default.
    """
    return {key: _estimate(STATISTICS[key], judged, weights) for key in (STATISTICS if keys is None else keys)}


def _estimate(statistic: Statistic, judged: Judged, weights: np.ndarray) -> Estimate | None:
    value = statistic.function(judged, np.ones((1, len(judged.mos))))[0]
    return percentile_estimate(value, statistic.function(judged, weights))


def percentile_estimate(value: float, samples: np.ndarray) -> Estimate | None:
    """A figure with its 95 % percentile interval over the resamples' figures (R,); None where it is not defined."""
    samples = samples[np.isfinite(samples)]
    if not np.isfinite(value) or not len(samples):
        return None
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(samples, [tail, 100 - tail])
    return Estimate(float(value), float(low), float(high))


@dataclass(frozen=True)
class PairedTest:
    """Two metrics compared on the same images.

    ``p_value`` is two-sided, that they have the same SRCC. ``detectable`` is the smallest true difference of SRCC that
    such a test at the level of the intervals finds in a share POWER of samples like this; None where none is defined.
    """

    p_value: float
    detectable: float | None


def paired_test(scores: np.ndarray, others: np.ndarray, mos: np.ndarray, weights: np.ndarray) -> PairedTest:
    """Test that two metrics have the same SRCC, by resamples of the same images; see ``two_sided_p``.

    Args:
        scores: of one metric (N,).
        others: of the other (N,).
        mos: (N,).
        weights: (R, N) of ``draw_resamples``.
    """
    differences = weighted_spearman(scores, mos, weights) - weighted_spearman(others, mos, weights)
    return PairedTest(two_sided_p(differences), detectable_difference(differences))


def detectable_difference(differences: np.ndarray) -> float | None:
    """Smallest true difference that a test finds in a share POWER of samples, by its value in each resample (R,).

    The spread of the resamples is the standard error of the difference, whose distribution is taken for normal.
    """
    differences = differences[np.isfinite(differences)]
    if not len(differences):
        return None
    quantile = NormalDist().inv_cdf
    return float((quantile((1 + CONFIDENCE) / 2) + quantile(POWER)) * differences.std())


def two_sided_p(differences: np.ndarray) -> float:
    """Two-sided p that there is no difference, by its value in each resample (R,).

    Twice the smaller share of resamples in which the difference is not above, or not below, zero; at most 1, and at
    least 1 in the number of resamples plus one. A metric against itself gives 1.
    """
    differences = differences[np.isfinite(differences)]
    crossing = min((differences <= 0).sum(), (differences >= 0).sum())
    return float(min(1.0, (2 * crossing + 1) / (len(differences) + 1)))


def compare_with_best(
    scores: Mapping[str, np.ndarray], mos: np.ndarray, best: str, weights: np.ndarray
) -> dict[str, PairedTest]:
    """Test every other metric against the best on the images that both have scored.

    Args:
        scores: by metric, (N,) with NaN where there is none.
        mos: (N,).
        best: one of the metrics.
        weights: (R, N) of ``draw_resamples``.
    """
    found = {}
    for name in scores.keys() - {best}:
        both = np.isfinite(scores[name]) & np.isfinite(scores[best])
        found[name] = paired_test(scores[best][both], scores[name][both], mos[both], weights[:, both])
    return found
