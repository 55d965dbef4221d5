"""What metrics made of images, whichever way they were asked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import torch

from maagiqa_pyiqa.metrics.scoring import ImageScores


class Judgement(NamedTuple):
    """Every list, array and tensor has an entry for each image.

    Attributes:
        errors: why an image has no score, None where it has one.
        raw: scores by metric, float64 arrays or tensors with gradients, NaN where there is none.
        gates: weights of experts by metric that has any, None where there are none.
        distances: from the training images by metric of which that is known, float arrays, NaN where there is none.
    """

    errors: list[str | None]
    raw: dict[str, np.ndarray] | dict[str, torch.Tensor]
    gates: dict[str, list[list[float] | None]]
    distances: dict[str, np.ndarray]


def of_results(results: Sequence[ImageScores], metrics: Sequence[str], measured: Collection[str]) -> Judgement:
    """From scored images.

    Args:
        results: of ``score_decoded``, where distances were read.
        metrics: by which they were scored.
        measured: those whose distances were read.
    """
    gates = {name: [result.gates.get(name) for result in results] for name in metrics}
    return Judgement(
        [result.error or None for result in results],
        {name: np.array([result.scores.get(name, np.nan) for result in results], float) for name in metrics},
        {name: weights for name, weights in gates.items() if any(weights)},
        {name: np.array([result.readings.get(name, np.nan) for result in results], float) for name in measured},
    )
