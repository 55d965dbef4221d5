"""Two groups of scored images compared, such as those of two generators: pair by pair where images belong together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from maagiqa_pyiqa.agreement.bootstrap import Resampling
from maagiqa_pyiqa.agreement.difference import Difference, compare_groups, compare_pairs
from maagiqa_pyiqa.images.sources import ImagePath

Keys = Mapping[ImagePath, str]  # name or prompt of each image; those of both groups with the same belong together
PairBy = Literal["name", "prompt"]


class Group(NamedTuple):
    """Images with a score by one metric, and what each can be paired by."""

    scores: Mapping[ImagePath, float]
    keys: Keys


class Pair(NamedTuple):
    """What belongs together: mean scores of how many images of each group."""

    key: str
    images_a: int
    images_b: int
    mean_a: float
    mean_b: float

    @property
    def difference(self) -> float:
        """A less B."""
        return self.mean_a - self.mean_b


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Group A against group B by one metric.

    ``pairs`` is empty where nothing belongs together; then all images of A stand against all of B. ``images_a`` and
    ``images_b`` are how many have a score, ``left_out_a`` and ``left_out_b`` how many of these have no partner.
    """

    metric: str
    paired_by: PairBy | None
    figures: Difference
    images_a: int
    images_b: int
    left_out_a: int
    left_out_b: int
    pairs: tuple[Pair, ...]

    @property
    def lower_better(self) -> bool:
        """Whether lower scores of the metric are better."""
        return self.figures.lower_better


def compare_images(
    metric: str, a: Group, b: Group, pair_by: PairBy, resampling: Resampling, lower_better: bool = False
) -> Comparison:
    """Compare two groups, by pairs of the same key where there are any; each pair counts once.

    Args:
        metric: what scored.
        a: images of A, at least one.
        b: images of B, at least one.
        pair_by: what the keys are; where several images share a key, their mean counts.
        resampling: of the pairs, or else of the images.
        lower_better: whether lower scores are better.
    """
    pairs = _pairs(a, b)
    if pairs:
        mean_a, mean_b = (np.array([getattr(pair, name) for pair in pairs]) for name in ("mean_a", "mean_b"))
        figures = compare_pairs(mean_a, mean_b, resampling, lower_better)
    else:
        scores_a, scores_b = (np.array(list(group.scores.values())) for group in (a, b))
        figures = compare_groups(scores_a, scores_b, resampling, lower_better)
    return Comparison(
        metric=metric,
        paired_by=pair_by if pairs else None,
        figures=figures,
        images_a=len(a.scores),
        images_b=len(b.scores),
        left_out_a=len(a.scores) - sum(pair.images_a for pair in pairs) if pairs else 0,
        left_out_b=len(b.scores) - sum(pair.images_b for pair in pairs) if pairs else 0,
        pairs=pairs,
    )


def _pairs(a: Group, b: Group) -> tuple[Pair, ...]:
    of_a, of_b = _by_key(a), _by_key(b)
    return tuple(
        Pair(key, len(scores), len(of_b[key]), float(np.mean(scores)), float(np.mean(of_b[key])))
        for key, scores in of_a.items()
        if key in of_b
    )


def _by_key(group: Group) -> dict[str, list[float]]:
    """Scores by key, without images that have none."""
    found: dict[str, list[float]] = defaultdict(list)
    for path, score in group.scores.items():
        if key := group.keys.get(path):
            found[key].append(score)
    return found
