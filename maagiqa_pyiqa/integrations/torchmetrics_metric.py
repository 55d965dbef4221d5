"""Image quality as a torchmetrics ``Metric``: mean and quantiles of an evaluation, over any number of processes."""

from collections.abc import Sequence
from typing import Any

import torch

from maagiqa_pyiqa.api.given_images import Inputs, name_images
from maagiqa_pyiqa.api.scorers import OneMetric, make_scorers
from maagiqa_pyiqa.api.scoring import score_given
from maagiqa_pyiqa.support.errors import InputError

try:
    from torchmetrics import Metric
    from torchmetrics.utilities import dim_zero_cat
except ImportError as error:
    raise ImportError("ImageQuality needs torchmetrics: pip install 'maagiqa_pyiqa[torchmetrics]'") from error


class ImageQuality(Metric):
    """Mean and quantiles of the scores of all images that were seen.

    The network that scores is no sub-module: it is neither in ``state_dict()`` nor in ``parameters()`` of the model
    that holds this metric, and follows ``.to(device)`` when it scores.

    Args:
        metric: NAME, NAME=CHECKPOINT or LABEL=NAME=CHECKPOINT as after ``-m`` of ``maagiqa score``, or a metric that
            ``pyiqa.create_metric`` gave.
        quantiles: each from 0 to 1.
        batch_size: images of one size scored at once.
        workers: threads that decode files.
        kwargs: those of ``torchmetrics.Metric``.

    Raises:
        ValueError: a quantile out of range or named twice; an unknown metric, or one that cannot run here.

    Examples:
        >>> import torch
        >>> from maagiqa_pyiqa.integrations.torchmetrics_metric import ImageQuality
        >>> quality = ImageQuality("maagiqa-lite", quantiles=(0.1, 0.5))
        >>> quality.update(torch.full((2, 3, 64, 64), 0.5))
        >>> result = quality.compute()
        >>> list(result)
        ['mean', 'q0.1', 'q0.5', 'failed']
        >>> bool(result["q0.1"] <= result["q0.5"]), int(result["failed"])
        (True, 0)
    """

    is_differentiable = False
    full_state_update = False
    scores: list[torch.Tensor]
    failed: torch.Tensor

    def __init__(
        self,
        metric: OneMetric = "maagiqa-lite",
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
        batch_size: int = 8,
        workers: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.quantiles = tuple(quantiles)
        if len(set(self.quantiles)) < len(self.quantiles) or not all(0 <= q <= 1 for q in self.quantiles):
            raise InputError(f"quantiles must be different numbers from 0 to 1, got {self.quantiles}.")
        self.batch_size = batch_size
        self.workers = workers
        self._scorers = make_scorers(metric, self.device)  # in a dictionary, where torch sees no sub-module
        self.add_state("scores", default=[], dist_reduce_fx="cat")
        self.add_state("failed", default=torch.tensor(0), dist_reduce_fx="sum")

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]  # torchmetrics lets nobody set it either
        """Whether higher scores are better, as pyiqa says."""
        (scorer,) = self._scorers.values()
        return not getattr(scorer, "lower_better", False)

    def update(self, images: Inputs) -> None:
        """Score images.

        Args:
            images: as for ``maagiqa_pyiqa.score``, such as a tensor (N, 3, H, W), RGB in [0, 1].

        Raises:
            TypeError, ValueError, FileNotFoundError: as ``maagiqa_pyiqa.score``.
        """
        given = name_images(images)
        scorers = {name: scorer.to(self.device) for name, scorer in self._scorers.items()}
        results = score_given(given, scorers, self.batch_size, self.workers)
        scores = [score for result in results for score in result.scores.values()]
        self.scores.append(torch.tensor(scores, device=self.device))
        self.failed += len(results) - len(scores)

    def compute(self) -> dict[str, torch.Tensor]:
        """Figures of all images so far, each a scalar.

        Returns:
            ``mean`` and, for each quantile q, ``qQ`` such as ``q0.5`` (linear between neighbours), of the images that
            have a score, NaN where there is none; ``failed``, how many images have none.
        """
        scores = dim_zero_cat(self.scores) if len(self.scores) else torch.empty(0, device=self.device)
        figures = {"mean": scores.mean()}
        for q in self.quantiles:
            figures[f"q{q:g}"] = scores.quantile(q) if len(scores) else scores.mean()
        return {**figures, "failed": self.failed}
