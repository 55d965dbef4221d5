"""Image quality in a pipeline of Ray Data: a class for ``map_batches``. Ray itself is not imported here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from maagiqa_pyiqa.api.given_images import GivenImage
from maagiqa_pyiqa.api.scorers import MetricWords, make_scorers
from maagiqa_pyiqa.api.scoring import score_given
from maagiqa_pyiqa.metrics.scoring import ImageScores
from maagiqa_pyiqa.support.errors import InputError

ERROR = "error"
Batch = dict[str, np.ndarray]  # of Ray's batch format "numpy"


class ImageScorer:
    """Adds scores to batches: ``dataset.map_batches(ImageScorer, batch_size=64, compute=ActorPoolStrategy(size=2))``.

    Each actor makes the metrics once and scores its batches; the scores are those of ``maagiqa score``.

    Args:
        metric: NAME, NAME=CHECKPOINT or LABEL=NAME=CHECKPOINT as after ``-m`` of ``maagiqa score``, or a list of these.
        column: of the images: paths of files that every node can read, the bytes of files, or arrays (H, W, 3) of uint8
            as ``ray.data.read_images`` gives them.
        device: as in torch; by default the actor's GPU if it was given one (``num_gpus=1``), else the CPU.
        batch_size: images of one size scored at once.
        workers: threads that decode, in each actor.

    Raises:
        ValueError: an unknown metric (nearest named), or one that cannot run here.
        FileNotFoundError: no such checkpoint.
    """

    def __init__(
        self,
        metric: MetricWords = "maagiqa-lite",
        column: str = "path",
        device: str | None = None,
        batch_size: int = 8,
        workers: int = 2,
    ) -> None:
        self._metrics = make_scorers(metric, device)
        self._column, self._batch_size, self._workers = column, batch_size, workers

    def __call__(self, batch: Batch) -> Batch:
        """The batch with a column for each metric, NaN where there is no score, and ``error``, empty where all is well.

        Raises:
            ValueError: no such column of images, or one of the new columns is there already.
        """
        if self._column not in batch:
            raise InputError(f"no column '{self._column}' of images; there are {', '.join(batch)}.")
        new = [*self._metrics, ERROR]
        for name in new:
            if name in batch:
                raise InputError(f"column '{name}' is there already; drop it, or give the metric a label, LABEL=NAME.")
        given = [_given(image, f"{self._column}[{row}]") for row, image in enumerate(batch[self._column])]
        results = score_given(given, self._metrics, self._batch_size, self._workers)
        scores = {name: _floats(one.scores.get(name, np.nan) for one in results) for name in self._metrics}
        return {**batch, **scores, ERROR: np.array([one.error for one in results], dtype=object)}


def _given(image: Any, name: str) -> GivenImage:
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise InputError(f"{name} must be an array (H, W, 3) of uint8; got {image.shape} of {image.dtype}.")
        return GivenImage(ImageScores(Path(name)), image)
    if isinstance(image, bytes):
        return GivenImage(ImageScores(Path(name)), image)
    return GivenImage(ImageScores(Path(image)), Path(image))


def _floats(values: Iterable[float]) -> np.ndarray:
    return np.fromiter(values, dtype=np.float64)
