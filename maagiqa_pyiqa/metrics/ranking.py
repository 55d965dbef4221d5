"""The best of many images: in order by one metric, over all or within each prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from maagiqa_pyiqa.images.sources import ImagePath
from maagiqa_pyiqa.metrics.scoring import ImageScores


def sort_best_first(results: Sequence[ImageScores], metric: str, lower_better: bool = False) -> list[ImageScores]:
    """Order by one metric, best first whichever way it counts; images without a score last, equals by path."""
    sign = 1 if lower_better else -1
    return sorted(results, key=lambda result: (sign * result.scores.get(metric, sign * math.inf), str(result.path)))


def rank_by_prompt(
    results: Sequence[ImageScores],
    metric: str,
    prompts: Mapping[ImagePath, str],
    top: int | None = None,
    lower_better: bool = False,
) -> dict[str, list[ImageScores]]:
    """Rank the images of each prompt.

    Args:
        results: scores of every image; one without a score is left out.
        metric: the metric that ranks.
        prompts: prompt of each image.
        top: how many of each prompt to keep; all by default.
        lower_better: whether lower scores are better.

    Returns:
        Images by prompt, best first; prompts in the order of ``prompts``.
    """
    groups: dict[str, list[ImageScores]] = {prompt: [] for prompt in prompts.values()}
    scored = [result for result in results if metric in result.scores]
    for result in sort_best_first(scored, metric, lower_better):
        groups[prompts[result.path]].append(result)
    return {prompt: images[:top] for prompt, images in groups.items()}
