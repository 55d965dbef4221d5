"""Which metrics are served, and what a request makes of their scores: what ``make_reward`` would."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maagiqa_pyiqa.leaderboard.card import card
from maagiqa_pyiqa.metrics.scoring import ImageScores
from maagiqa_pyiqa.reward.members import Member, parse_members
from maagiqa_pyiqa.reward.normalisation import Normalisation
from maagiqa_pyiqa.serving.batcher import Metrics, Outcome
from maagiqa_pyiqa.serving.limits import RefusedError
from maagiqa_pyiqa.serving.schema import ImageResult
from maagiqa_pyiqa.support.errors import UserError
from maagiqa_pyiqa.support.options import nearest


@dataclass(frozen=True)
class Combination:
    """Metrics of a request with their weights and scales."""

    members: tuple[Member, ...]

    @property
    def names(self) -> Metrics:
        """Of the metrics."""
        return tuple(member.name for member in self.members)

    def result(self, name: str, outcome: Outcome) -> ImageResult:
        """What became of an image that could be read."""
        raw, error = outcome["raw"], ImageScores(Path(name), errors=outcome["errors"]).error or None
        score = None if error else sum(member.share(raw[member.name]) for member in self.members)
        return ImageResult(
            name=name,
            score=None if score is None else float(np.float32(score)),
            error=error,
            raw=raw,
            gates={metric: weights for metric, weights in outcome["gates"].items() if weights},
            distances=outcome["distances"],
        )


class Served:
    """Metrics that a server has.

    Args:
        words: as after ``-m``, by the name that each goes by.
        semantics: where those that take semantic features have them from.
    """

    def __init__(self, words: Mapping[str, str], semantics: str | None = None) -> None:
        self._words, self._semantics = words, semantics
        self._parse = functools.lru_cache(maxsize=64)(self._parsed)

    @property
    def names(self) -> Metrics:
        """Names or labels, the default first."""
        return tuple(self._words)

    def cards(self) -> dict[str, dict[str, Any] | None]:
        """What is known of each metric, as ``maagiqa_pyiqa.card`` tells it; None of one with other weights."""
        return {name: card(word).as_record() if word == name else None for name, word in self._words.items()}

    def combination(self, metric: str | Mapping[str, float] | None, normalize: Normalisation) -> Combination:
        """What a request asks for.

        Raises:
            RefusedError: a metric that is not served, a weight of the wrong sign, or a scale that is not known.
        """
        metric = self.names[0] if metric is None else metric
        for name in [metric] if isinstance(metric, str) else metric:
            if name not in self._words:
                known = ", ".join(self.names)
                raise RefusedError(
                    400, f"metric: '{name[:100]}' is not served here.{nearest(name, self.names)} Served: {known}"
                )
        weights = metric if isinstance(metric, str) else tuple(metric.items())
        try:
            return self._parse(weights, normalize)
        except (UserError, FileNotFoundError) as error:
            raise RefusedError(400, str(error)) from error

    def _parsed(self, weights: str | tuple[tuple[str, float], ...], normalize: Normalisation) -> Combination:
        if isinstance(weights, str):
            return Combination(parse_members(self._words[weights], normalize, self._semantics))
        words = {self._words[name]: weight for name, weight in weights}
        return Combination(parse_members(words, normalize, self._semantics))
