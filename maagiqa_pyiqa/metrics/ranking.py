"""The best of many images: in order by one metric, over all or within each group."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from maagiqa_pyiqa.images.sources import ImagePath
from maagiqa_pyiqa.metrics.scoring import ImageScores


def sort_best_first(results: Sequence[ImageScores], metric: str, lower_better: bool = False) -> list[ImageScores]:
    """Order by one metric, best first whichever way it counts; images without a score last, equals by path."""
    sign = 1 if lower_better else -1
    return sorted(results, key=lambda result: (sign * result.scores.get(metric, sign * math.inf), str(result.path)))


def rank_by_group(
    results: Sequence[ImageScores],
    metric: str,
    groups: Mapping[ImagePath, str],
    top: int | None = None,
    lower_better: bool = False,
) -> dict[str, list[ImageScores]]:
    """Rank the images of each group, such as those of one prompt.

    Args:
        results: scores of every image; one without a score is left out.
        metric: the metric that ranks.
        groups: group of each image.
        top: how many of each group to keep; all by default.
        lower_better: whether lower scores are better.

    Returns:
        Images by group, best first; groups in the order of ``groups``.
    """
    scored = sorted((result for result in results if metric in result.scores), key=lambda result: str(result.path))
    scores = [result.scores[metric] for result in scored]
    places = best_places(scores, [groups[result.path] for result in scored], top, lower_better)
    return {group: [scored[place] for place in places.get(group, [])] for group in groups.values()}


def best_places(
    scores: Sequence[float], groups: Sequence[str], top: int | None = None, lower_better: bool = False
) -> dict[str, list[int]]:
    """Places of the best of each group, best first and equals in the order given.

    Args:
        scores: one an image; those that are NaN are left out.
        groups: of each image.
        top: how many of each group; all by default.
        lower_better: whether lower scores are better.
    """
    sign = 1 if lower_better else -1
    best: dict[str, list[int]] = {group: [] for group in groups}
    scored = [place for place, score in enumerate(scores) if not math.isnan(score)]
    for place in sorted(scored, key=lambda place: sign * scores[place]):
        best[groups[place]].append(place)
    return {group: places[:top] for group, places in best.items()}
