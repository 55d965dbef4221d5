"""What a reward is made of: metrics, each with its weight and the scale that its scores are brought to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from maagiqa_pyiqa.leaderboard.entrants import Entrant, parse_scorers
from maagiqa_pyiqa.reward.normalisation import Affine, Normalisation, normalise
from maagiqa_pyiqa.support.errors import InputError, InputTypeError

MetricWeights: TypeAlias = str | Mapping[str, float]


@dataclass(frozen=True)
class Member:
    """A metric of a reward; ``share`` is what its score adds: the weight's size times the normalised score."""

    entrant: Entrant
    weight: float
    share: Affine

    @property
    def name(self) -> str:
        """Name or label of the metric."""
        return self.entrant.name


def parse_members(metric: MetricWeights, normalize: Normalisation, semantics: str | None = None) -> tuple[Member, ...]:
    """Parse the metrics of a reward.

    Args:
        metric: one as after ``-m`` of ``maagiqa score``, or several with their weights. A weight has the sign of its
            metric's direction, negative where lower scores are better; the sign of a single metric is its direction.
        normalize: scale of every score before it is weighed.
        semantics: where metrics that take semantic features have them from.

    Raises:
        TypeError: neither text nor weights.
        ValueError: no metric, an unknown one, a weight of the wrong sign, or one that is 0 or no number; or a scale
            that is not known of a metric.
        FileNotFoundError: no such checkpoint.
    """
    weights = _weights(metric)
    entrants = parse_scorers(list(weights), semantics).values()
    pairs = zip(entrants, weights.values(), strict=True)
    return tuple(_member(entrant, weight, normalize) for entrant, weight in pairs)


def _weights(metric: MetricWeights) -> Mapping[str, float | None]:
    """Weights by words; None for the one of a single metric."""
    if isinstance(metric, str):
        return {metric: None}
    if not isinstance(metric, Mapping):
        raise InputTypeError(
            f"metric must be a name, or a mapping of names to weights such as {{'maagiqa-lite': 0.7, 'piqe': -0.3}}; "
            f"got {type(metric).__name__}."
        )
    if not metric:
        raise InputError("no metric is named; name one, such as 'maagiqa-lite'.")
    return metric


def _member(entrant: Entrant, weight: float | None, normalize: Normalisation) -> Member:
    direction = -1.0 if entrant.lower_better else 1.0
    weight = direction if weight is None else weight
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not math.isfinite(weight) or weight == 0:
        raise InputError(f"metric '{entrant.name}': its weight must be a number that is not 0, got {weight!r}.")
    if weight * direction < 0:
        better, sign = ("lower", "negative") if entrant.lower_better else ("higher", "positive")
        raise InputError(
            f"metric '{entrant.name}': {better} scores are better, so its weight must be {sign} for a reward that is "
            f"higher for better images; got {weight:g}."
        )
    return Member(entrant, float(weight), normalise(entrant, normalize).times(abs(weight)))
