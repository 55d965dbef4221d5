"""Where scores of metrics with their published weights lie on the pictures of AGIQA-3k, as it was measured."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass

import numpy as np

from maagiqa_pyiqa.metrics.explanation import WEIGHTS_OF, distribution_of
from maagiqa_pyiqa.weights import packaged_scales


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How a metric's scores of the pictures of AGIQA-3k's validation and test parts lie.

    Attributes:
        low: score of which 1 % are lower.
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


def metrics_with_scales() -> list[str]:
    """Names of the metrics whose scores were measured."""
    return sorted({*_measured(), *WEIGHTS_OF})


def scale_of(metric: str) -> Scale | None:
    """How scores of a metric of pyiqa's lie, None where it was not measured.

    Raises:
        InputError: it was measured of other weights than those of the package.
    """
    return _of_distribution(metric) if metric in WEIGHTS_OF else _measured().get(metric)


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
