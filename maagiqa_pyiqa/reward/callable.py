"""What training code calls: ``(images, prompts, metadata) -> (scores, info)``."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import torch

from maagiqa_pyiqa.api.given_images import Inputs, name_images
from maagiqa_pyiqa.api.scorers import Scorers, create_scorers
from maagiqa_pyiqa.api.scoring import score_given
from maagiqa_pyiqa.reward.gradients import score_with_gradients
from maagiqa_pyiqa.reward.judgement import Judgement, of_results
from maagiqa_pyiqa.reward.members import Member, MetricWeights, parse_members
from maagiqa_pyiqa.reward.normalisation import Normalisation
from maagiqa_pyiqa.support.judged_images import (
    FailedImagesError,
    Info,
    OnError,
    info_of,
    is_failure,
    require_prompt_each,
)
from maagiqa_pyiqa.support.options import require_choice, require_integer
from maagiqa_pyiqa.support.per_process import PerProcess


class RewardError(FailedImagesError):
    """Images without a score where that is not to be NaN, or not one image with a score."""


@dataclass(frozen=True)
class Reward:
    """A reward of images, higher for better ones; make it by ``make_reward``.

    It holds names and options only, so that it goes through pickle to other processes; each makes the metrics when it
    first scores. Threads may share it: they take turns.

    Attributes:
        members: metrics with their weights and scales.
        device: as in torch; None for CUDA where there is one.
        batch_size: images of one size scored at once.
        workers: threads that decode.
        on_error: what becomes of an image that cannot be scored.
        differentiable: whether scores carry gradients.
    """

    members: tuple[Member, ...]
    device: str | None = None
    batch_size: int = 8
    workers: int = 2
    on_error: OnError = "nan"
    differentiable: bool = False
    _metrics: PerProcess[Scorers] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_integer("make_reward", "batch_size", self.batch_size, minimum=1)
        require_integer("make_reward", "workers", self.workers, minimum=0)
        require_choice("make_reward", "on_error", self.on_error, get_args(OnError))
        make = functools.partial(_create, self.members, self.device, self.differentiable)
        object.__setattr__(self, "_metrics", PerProcess(make))

    def prepare(self) -> None:
        """Make the metrics now, which the first call would do.

        Raises:
            ValueError: one cannot run here; says why.
        """
        with self._metrics.lent():
            pass

    def __call__(
        self, images: Inputs, prompts: Sequence[str] | None = None, metadata: object = None
    ) -> tuple[Any, Info]:
        """Score images.

        Args:
            images: a tensor (N, 3, H, W) in [0, 1], an array (N, H, W, 3) of uint8, or a list of PIL images, paths and
                other images as ``maagiqa_pyiqa.score`` takes them. A differentiable reward takes such a tensor alone.
            prompts: one an image. The metrics judge images by themselves, so that only their number is looked at.
            metadata: not looked at; trainers hand it to every reward.

        Returns:
            Scores (N,), float32, higher for better images, NaN for an image that could not be scored: a numpy array,
            of a differentiable reward a tensor on the images' device. And what stands behind them.

        Raises:
            TypeError: what is no image.
            ValueError: another shape or type, another number of prompts, or a metric that cannot run here.
            RewardError: no image could be scored, or with ``on_error='raise'`` one could not.
        """
        judge = self._with_gradients if self.differentiable else self._without
        judgement = judge(images, prompts)
        if is_failure(judgement.errors, self.on_error):
            raise RewardError(judgement.errors)
        return self._combine(judgement.raw), _info(judgement)

    def _without(self, images: Inputs, prompts: Sequence[str] | None) -> Judgement:
        given = name_images(images)
        require_prompt_each(prompts, len(given))
        with self._metrics.lent() as (metrics, readers):
            results = score_given(given, metrics, self.batch_size, self.workers, readers)
        return of_results(results, list(metrics), readers)

    def _with_gradients(self, images: Inputs, prompts: Sequence[str] | None) -> Judgement:
        if torch.is_tensor(images):
            require_prompt_each(prompts, len(images))
        with self._metrics.lent() as (metrics, readers):
            return score_with_gradients(images, metrics, readers, self.device, self.batch_size)

    def _combine(self, raw: Mapping[str, Any]) -> Any:
        """The weighted sum of the scores of each image, float32."""
        total = sum(member.share(raw[member.name]) for member in self.members)
        return total.float() if torch.is_tensor(total) else np.asarray(total, np.float32)


def make_reward(
    metric: MetricWeights = "maagiqa-lite",
    *,
    device: str | torch.device | None = None,
    batch_size: int = 8,
    workers: int = 2,
    normalize: Normalisation = None,
    on_error: OnError = "nan",
    differentiable: bool = False,
    semantics: str | None = None,
) -> Reward:
    """Make a reward as trainers of generators call it, ``(images, prompts, metadata) -> (scores, info)``.

    Args:
        metric: NAME, NAME=CHECKPOINT or LABEL=NAME=CHECKPOINT as after ``-m`` of ``maagiqa score``, or a mapping of
            these to weights, ``{'maagiqa-lite': 0.7, 'piqe': -0.3}``, whose weighted sum is the reward. A weight has
            the sign of its metric's direction, negative where lower scores are better, and multiplies the score as it
            is where ``normalize`` is None. A single metric of which lower scores are better counts negatively.
        device: as in torch; by default CUDA where there is one.
        batch_size: images of one size scored at once.
        workers: threads that decode files; 0 decodes in the thread that calls.
        normalize: scale of each metric's scores before they are weighed: ``mos`` (0 to 5), ``unit`` (0 to 1) or
            ``zscore``, with constants measured on AGIQA-3k; None, as they are. No scale is cut off at its ends.
        on_error: ``nan`` gives an image that cannot be scored NaN, with the reason in ``info``; ``raise`` raises.
        differentiable: scores are tensors that carry gradients to the images; see ``Reward``.
        semantics: where metrics that take semantic features have them from, as ``--semantics``.

    Raises:
        TypeError, ValueError: an unknown metric (nearest named), a weight of the wrong sign, an option that does not
            exist, or a scale that is not known of a metric.
        FileNotFoundError: no such checkpoint.

    Examples:
        >>> import torch
        >>> from maagiqa_pyiqa.reward import make_reward
        >>> reward = make_reward({"maagiqa-lite": 0.7, "piqe": -0.3}, normalize="unit", device="cpu")
        >>> scores, info = reward(torch.full((2, 3, 64, 64), 0.5), prompts=["a wall", "a wall"])
        >>> scores.shape, sorted(info["raw"]), info["errors"]
        ((2,), ['maagiqa-lite', 'piqe'], [None, None])
    """
    members = parse_members(metric, normalize, semantics)
    place = None if device is None else str(device)
    return Reward(members, place, batch_size, workers, on_error, differentiable)


def _create(members: Sequence[Member], device: str | None, differentiable: bool) -> Scorers:
    scorers = create_scorers({member.name: member.entrant for member in members}, device)
    if differentiable:
        for metric in scorers.metrics.values():
            metric.requires_grad_(False)  # gradients are for the images
    return scorers


def _info(judgement: Judgement) -> Info:
    raw, distances = (
        {name: _plain(values) for name, values in found.items()} for found in (judgement.raw, judgement.distances)
    )
    return info_of(judgement.errors, raw, judgement.gates, distances)


def _plain(values: np.ndarray | torch.Tensor) -> np.ndarray:
    return np.asarray(values.detach().cpu() if torch.is_tensor(values) else values, np.float32)
