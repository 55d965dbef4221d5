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
    ranking: dict[str, list[ImageScores]] = {group: [] for group in groups.values()}
    scored = [result for result in results if metric in result.scores]
    for result in sort_best_first(scored, metric, lower_better):
        ranking[groups[result.path]].append(result)
    return {group: images[:top] for group, images in ranking.items()}
