"""A part of scored images: the best, the worst, those within limits; each with its place among all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from maagiqa_pyiqa.metrics.scoring import ImageScores
from maagiqa_pyiqa.support.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What to select by the first metric; None where a rule is not asked for.

    Args:
        lowest: score that one has at least.
        highest: score that one has at most.
        percentile: share in percent of all images that one is at least as good as, 0 up to below 100.
        top: how many of the best of what the rules above leave.
        worst: how many of the worst of it; with ``top`` both ends.

    Raises:
        InputError: limits or a percentile that nothing can meet.
    """

    lowest: float | None = None
    highest: float | None = None
    percentile: float | None = None
    top: int | None = None
    worst: int | None = None

    def __post_init__(self) -> None:
        if self.percentile is not None and not 0 <= self.percentile < 100:
            raise InputError(f"a percentile is from 0 up to below 100; got {self.percentile:g}.")
        for name, limit in (("lowest", self.lowest), ("highest", self.highest)):
            if limit is not None and math.isnan(limit):
                raise InputError(f"the {name} score to select has to be a number; got {limit}.")
        if self.lowest is not None and self.highest is not None and self.lowest > self.highest:
            raise InputError(f"no score is at least {self.lowest:g} and at most {self.highest:g}; swap them.")

    @property
    def is_everything(self) -> bool:
        """Whether no rule is asked for."""
        return self == Selection()

    def keeps(self, score: float) -> bool:
        """Whether a score is within the limits."""
        return (self.lowest is None or score >= self.lowest) and (self.highest is None or score <= self.highest)

    def select(self, images: Sequence[ImageScores], metric: str) -> dict[int, ImageScores]:
        """Images by their place among those that have a score, from 1; everything where no rule is asked for.

        Args:
            images: best first by ``metric``, those without its score last.
            metric: the first metric.
        """
        places = dict(enumerate(images, start=1))
        if self.is_everything:
            return places
        scored = [place for place, image in places.items() if metric in image.scores]
        # rounded first: 100 images of which 90 % are to be passed are 10 and not 11
        last = math.ceil(round(len(scored) * (100 - (self.percentile or 0)) / 100, 6))
        kept = [place for place in scored if place <= last and self.keeps(places[place].scores[metric])]
        return {place: places[place] for place in self._ends(kept)}

    def _ends(self, places: Sequence[int]) -> list[int]:
        if self.top is None and self.worst is None:
            return list(places)
        ends = [*places[: self.top or 0], *(places[-self.worst :] if self.worst else [])]
        return list(dict.fromkeys(ends))
