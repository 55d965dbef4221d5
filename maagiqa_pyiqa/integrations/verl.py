"""A reward for verl's training of image generators (verl-omni), by name alone where ``maagiqa serve`` runs.

In the launch script::

    +reward.reward_functions.maagiqa.path=pkg://maagiqa_pyiqa.integrations.verl
    +reward.reward_functions.maagiqa.name=compute_score
    +reward.reward_functions.maagiqa.weight=1.0
    +reward.reward_functions.maagiqa.server_url=http://127.0.0.1:8410
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, TypeAlias

import numpy as np

from maagiqa_pyiqa.client import RewardClient
from maagiqa_pyiqa.serving import wire
from maagiqa_pyiqa.support.judged_images import require_reward_each

ComputeScore: TypeAlias = Callable[..., Awaitable[dict[str, float]]]


def reward_function(reward: Callable[..., tuple[Any, Any]]) -> ComputeScore:
    """A coroutine function that verl's visual reward manager awaits for every image.

    Args:
        reward: a ``RewardClient``, or what ``make_reward`` gives.
    """

    async def compute_score(
        data_source: str,
        solution_image: Any,
        ground_truth: str,
        extra_info: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> dict[str, float]:
        """Reward of an image, and of several their mean.

        Args:
            data_source: not looked at.
            solution_image: (C, H, W) or (N, C, H, W) of uint8, or floats in [0, 1]; or a PIL image.
            ground_truth: not looked at, nor is what follows.
            extra_info: see there.
            **others: what verl tells of its reward model.

        Returns:
            ``score``, each metric's own score by its name, and by ``NAME/distance`` how far images are from the
            training images of those of which that is known.

        Raises:
            ValueError: an image has no reward.
        """
        scores, info = await asyncio.to_thread(reward, _images(solution_image))
        require_reward_each(info["errors"])
        means = {name: float(np.mean(values)) for name, values in info["raw"].items()}
        far = {f"{name}/distance": float(np.mean(values)) for name, values in info["distances"].items()}
        return {**means, **far, "score": float(np.mean(np.asarray(scores, float)))}

    return compute_score


async def compute_score(
    data_source: str,
    solution_image: Any,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    server_url: str = f"http://{wire.HOST}:{wire.PORT}",
    metric: str | Mapping[str, float] | None = None,
    normalize: Literal["mos", "unit", "zscore"] | None = None,
    **others: Any,
) -> dict[str, float]:
    """Reward of an image by a server; see ``reward_function``.

    Args:
        data_source: not looked at.
        solution_image: see ``reward_function``.
        ground_truth: not looked at.
        extra_info: not looked at.
        server_url: of ``maagiqa serve``.
        metric: one that is served there, or several with their weights; by default the server's first.
        normalize: scale of the scores, as for ``make_reward``.
        **others: what verl tells of its reward model.

    Raises:
        ServerError: no scores came back.
        ValueError: an image has no reward.
    """
    weights = metric if metric is None or isinstance(metric, str) else tuple(metric.items())
    by_server = _by_server(server_url, weights, normalize)
    return await by_server(data_source, solution_image, ground_truth, extra_info)


@functools.cache
def _by_server(
    url: str, metric: str | tuple[tuple[str, float], ...] | None, normalize: Literal["mos", "unit", "zscore"] | None
) -> ComputeScore:
    """Once for all images, so that connections are used again."""
    weights = dict(metric) if isinstance(metric, tuple) else metric
    return reward_function(RewardClient(url, metric=weights, normalize=normalize))


def _images(given: Any) -> Any:
    """As rewards take them: channels of 8-bit pixels come last there."""
    if not hasattr(given, "ndim"):
        return [given]
    images = given[None] if given.ndim == 3 else given
    is_bytes = str(images.dtype).endswith("uint8")
    if is_bytes and images.shape[-1] != 3:
        images = images.permute(0, 2, 3, 1) if hasattr(images, "permute") else images.transpose(0, 2, 3, 1)
    return images.cpu().numpy() if is_bytes and hasattr(images, "cpu") else images
