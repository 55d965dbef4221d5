"""Scores of several metrics on one scale, by constants that were measured on the pictures of AGIQA-3k.

Every scale is a straight line through a metric's own: none cuts scores off, and gradients keep their direction. Each
is turned so that higher is better. What lies beyond AGIQA-3k's pictures lies beyond the scale too.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar, get_args

import numpy as np
import torch

from maagiqa_pyiqa.leaderboard.entrants import Entrant, ScoreSource
from maagiqa_pyiqa.metrics.explanation import WEIGHTS_OF, distribution_of
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import require_choice
from maagiqa_pyiqa.weights import packaged_scales

Normalisation: TypeAlias = Literal["mos", "unit", "zscore"] | None
KINDS: tuple[Normalisation, ...] = (*get_args(get_args(Normalisation)[0]), None)
Scores = TypeVar("Scores", np.ndarray, torch.Tensor, float)


@dataclass(frozen=True)
class Affine:
    """``slope * score + offset``."""

    slope: float
    offset: float = 0.0

    def __call__(self, scores: Scores) -> Scores:
        """Bring scores to the scale."""
        return scores * self.slope + self.offset

    def times(self, factor: float) -> Affine:
        """The same, multiplied."""
        return Affine(self.slope * factor, self.offset * factor)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How a metric's scores of AGIQA-3k's pictures lie.

    Attributes:
        low: score of which 1 % are worse or lower.
        high: score of which 1 % are higher.
        mean: of all.
        deviation: standard deviation of all.
        mos_slope: with ``mos_offset`` the straight line of least squares from scores to mean opinion scores.
        mos_offset: see there.
    """

    low: float
    high: float
    mean: float
    deviation: float
    mos_slope: float
    mos_offset: float

    def line(self, normalize: Normalisation, lower_better: bool) -> Affine:
        """From scores to a scale on which higher is better."""
        if normalize == "mos":
            return Affine(self.mos_slope, self.mos_offset)
        spread = self.high - self.low if normalize == "unit" else self.deviation
        slope = -1 / spread if lower_better else 1 / spread
        zero = self.mean if normalize == "zscore" else self.high if lower_better else self.low
        return Affine(slope, -zero * slope)


def normalise(entrant: Entrant, normalize: Normalisation) -> Affine:
    """Line from a metric's scores to a scale on which higher is better.

    Args:
        entrant: the metric.
        normalize: ``mos``, the scale of mean opinion scores of AGIQA-3k, 0 to 5; ``unit``, on which 98 % of its
            pictures are from 0 to 1; ``zscore``, standard deviations from their mean; None, scores as they are, or
            times -1.

    Raises:
        ValueError: no such scale, or its constants are not known of this metric.
    """
    require_choice("make_reward", "normalize", normalize, KINDS)
    if normalize is None:
        return Affine(-1.0 if entrant.lower_better else 1.0)
    return scale_of(entrant).line(normalize, entrant.lower_better)


def scale_of(entrant: Entrant) -> Scale:
    """How scores of a metric with its published weights lie.

    Raises:
        ValueError: it is not known of this metric, or of other weights than it has.
    """
    name = str(entrant.source.metric)
    known = {**_measured(), **dict.fromkeys(WEIGHTS_OF)}
    if entrant.source != ScoreSource(metric=name) or name not in known:
        raise InputError(
            f"metric '{entrant.name}': where its scores lie on AGIQA-3k was not measured, which is known of "
            f"{', '.join(sorted(known))} with their published weights; use normalize=None."
        )
    return known[name] or _of_distribution(name)


def _of_distribution(metric: str) -> Scale:
    """Of a metric that is trained on AGIQA-3k: its scores are mean opinion scores already."""
    quantiles = distribution_of(metric).everything
    middles = (quantiles[1:] + quantiles[:-1]) / 2
    low, high = np.interp([1, 99], np.linspace(0, 100, len(quantiles)), quantiles)
    return Scale(
        low=float(low),
        high=float(high),
        mean=float(middles.mean()),
        deviation=float(middles.std()),
        mos_slope=1.0,
        mos_offset=0.0,
    )


@functools.cache
def _measured() -> dict[str, Scale]:
    content = json.loads(packaged_scales().read_text(encoding="utf-8"))
    return {name: Scale(**values) for name, values in content["metrics"].items()}
