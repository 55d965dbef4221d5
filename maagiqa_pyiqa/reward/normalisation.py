"""Scores of several metrics on one scale, by constants that were measured on the pictures of AGIQA-3k.

Every scale is a straight line through a metric's own: none cuts scores off, and gradients keep their direction. Each
is turned so that higher is better. What lies beyond AGIQA-3k's pictures lies beyond the scale too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar, get_args

import numpy as np
import torch

from maagiqa_pyiqa.leaderboard.entrants import Entrant
from maagiqa_pyiqa.metrics.scales import Scale, metrics_with_scales, scale_of
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import require_choice

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
    return _line(_measured_scale(entrant), normalize, entrant.lower_better)


def _measured_scale(entrant: Entrant) -> Scale:
    scale = scale_of(entrant.published) if entrant.published else None
    if scale is None:
        raise InputError(
            f"metric '{entrant.name}': where its scores lie on AGIQA-3k was not measured, which is known of "
            f"{', '.join(metrics_with_scales())} with their published weights; use normalize=None."
        )
    return scale


def _line(scale: Scale, normalize: Normalisation, lower_better: bool) -> Affine:
    if normalize == "mos":
        return Affine(scale.mos_slope, scale.mos_offset)
    spread = scale.high - scale.low if normalize == "unit" else scale.deviation
    zero = scale.mean if normalize == "zscore" else scale.high if lower_better else scale.low
    slope = -1 / spread if lower_better else 1 / spread
    return Affine(slope, -zero * slope)
