"""Scoring on a Ray cluster: actors hold the metrics and read images; only scores come back."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence

from maagiqa_pyiqa.images.sources import ImagePath
from maagiqa_pyiqa.metrics.scoring import ImageScores, Maker, create_metrics, score_images
from maagiqa_pyiqa.support.ray_pool import device_in_actor, run_tasks, split_tasks


def score_with_ray(
    paths: Sequence[ImagePath],
    makers: Mapping[str, Maker],
    *,
    device: str | None,
    actors: int,
    batch_size: int,
    workers: int,
) -> tuple[dict[str, str], Iterator[ImageScores]]:
    """Score images with the metrics in each of up to ``actors`` actors; else as ``scoring.score_images``.

    Args:
        paths: images that every node can read.
        makers: of the metrics, see ``scoring.create_metrics``.
        device: as in torch; on CUDA each actor takes one GPU, else one CPU.
        actors: maximum number of actors at once.
        batch_size: images of one size scored at once.
        workers: threads that decode, in each actor.

    Returns:
        Metrics that could not be created with the reason, and the scores as they become ready.
    """
    make = functools.partial(_Scorer, makers, device_in_actor(device), batch_size, workers)
    results = run_tasks(make, split_tasks(paths, actors, batch_size), actors, device)
    first = next(results)
    unavailable, _ = first
    scores = (
        _with_reasons(result, reasons, known=unavailable)
        for reasons, part in itertools.chain([first], results)
        for result in part
    )
    return unavailable, scores


def _with_reasons(result: ImageScores, reasons: Mapping[str, str], known: Mapping[str, str]) -> ImageScores:
    """Note what this node lacks and the first did not."""
    result.errors.update({name: reason for name, reason in reasons.items() if name not in known})
    return result


class _Scorer:
    """Scores lists of images; lives in an actor."""

    def __init__(self, makers: Mapping[str, Maker], device: str | None, batch_size: int, workers: int) -> None:
        metrics, self._unavailable = create_metrics(makers, device)
        self._score = functools.partial(score_images, metrics=metrics, batch_size=batch_size, workers=workers)

    def __call__(self, paths: Sequence[ImagePath]) -> tuple[dict[str, str], list[ImageScores]]:
        return self._unavailable, list(self._score(paths))
