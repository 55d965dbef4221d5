"""``maagiqa_pyiqa.score``: from images of any kind to a table of scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas
import torch

from maagiqa_pyiqa.api.given_images import GivenImage, Inputs, name_images, read_ahead
from maagiqa_pyiqa.api.scorers import MetricWords, make_scorers
from maagiqa_pyiqa.metrics.score_tables import ScoreTable
from maagiqa_pyiqa.metrics.scoring import NO_READERS, ImageScores, Metrics, Reader, score_decoded
from maagiqa_pyiqa.support.options import require_integer


def score(
    images: Inputs,
    metric: MetricWords = "maagiqa-lite",
    *,
    device: str | torch.device | None = None,
    batch_size: int = 8,
    workers: int = 2,
) -> pandas.DataFrame:
    """Score images by any no-reference metrics of pyiqa; the scores are those of ``maagiqa score``.

    Args:
        images: a path, a PIL image, a numpy array (H, W, 3) or (N, H, W, 3) of uint8, a tensor (3, H, W) or
            (N, 3, H, W), RGB in [0, 1], or a list of any of these. A path may also be a folder, a glob, a tar or a
            list of paths (CSV, Parquet, JSON lines).
        metric: NAME, NAME=CHECKPOINT or LABEL=NAME=CHECKPOINT as after ``-m`` of ``maagiqa score``, a metric that
            ``pyiqa.create_metric`` gave, or a list of these.
        device: of metrics that are made here, as in torch; by default CUDA where there is one. A metric that is made
            already stays where it is.
        batch_size: images of one size scored at once.
        workers: threads that decode; 0 decodes here.

    Returns:
        A row for every image, in the order given, with columns

        - ``image``: its path, or where it stands in what was given, such as ``images[3]``;
        - one for each metric, by its name or label: the score, NaN where there is none. Higher is better unless
          pyiqa's ``metric.lower_better`` says otherwise;
        - ``error``: why a score is lacking, None where none is.

    Raises:
        TypeError: an image or metric of another kind.
        ValueError: an array or tensor of another shape or type, an unknown metric (nearest named), or one that cannot
            run here.
        FileNotFoundError: a folder or glob without images, or no such checkpoint.

    Examples:
        >>> import numpy as np
        >>> import maagiqa_pyiqa
        >>> gray = np.full((64, 64, 3), 128, dtype=np.uint8)
        >>> table = maagiqa_pyiqa.score([gray, "absent.png"], "maagiqa-lite", device="cpu")
        >>> list(table.columns)
        ['image', 'maagiqa-lite', 'error']
        >>> table["maagiqa-lite"].notna().tolist()
        [True, False]
        >>> table["error"][1]
        "no such file: 'absent.png'"
    """
    given = name_images(images)
    metrics = make_scorers(metric, device)
    return ScoreTable(score_given(given, metrics, batch_size, workers), list(metrics)).as_frame()


def score_given(
    images: Sequence[GivenImage],
    metrics: Metrics,
    batch_size: int,
    workers: int,
    readers: Mapping[str, Reader] = NO_READERS,
) -> list[ImageScores]:
    """Scores of images in their order, by metrics that are made.

    Raises:
        ValueError: no positive batch size, or a negative number of workers.
    """
    require_integer("score", "batch_size", batch_size, minimum=1)
    require_integer("score", "workers", workers, minimum=0)
    for _ in score_decoded(read_ahead(images, workers), metrics, batch_size=batch_size, readers=readers):
        pass  # each fills in its own
    return [image.scores for image in images]
