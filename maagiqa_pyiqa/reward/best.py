"""The best of several generations of each prompt, by a reward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from maagiqa_pyiqa.api.given_images import Inputs, name_images
from maagiqa_pyiqa.metrics.ranking import best_places
from maagiqa_pyiqa.reward.callable import Reward, make_reward
from maagiqa_pyiqa.reward.members import MetricWeights
from maagiqa_pyiqa.support.judged_images import require_prompt_each
from maagiqa_pyiqa.support.options import require_integer


class Choice(NamedTuple):
    """One that was chosen: ``place`` among the images, from 0, the image as it was given, and its reward."""

    place: int
    image: Any
    score: float


def select_best(
    images: Inputs,
    prompts: Sequence[str] | None = None,
    n: int = 1,
    reward: Reward | MetricWeights = "maagiqa-lite",
) -> dict[str, list[Choice]]:
    """Select the best images of each prompt; the order is that of ``maagiqa rank``.

    Args:
        images: as ``maagiqa_pyiqa.score`` takes them.
        prompts: one an image; without them all images are of one prompt, ``""``.
        n: how many of each prompt at most.
        reward: of ``make_reward``, or what that takes for its metric.

    Returns:
        By prompt, in the order in which they first come, what was chosen, best first and equals in the order given.
        Images that cannot be scored are left out.

    Raises:
        TypeError, ValueError, RewardError: as the reward does; or n is not positive.

    Examples:
        >>> import torch
        >>> import maagiqa_pyiqa
        >>> images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        >>> best = maagiqa_pyiqa.select_best(images, ["a cat", "a cat", "a dog", "a dog"], n=1)
        >>> list(best), [choice.place // 2 for chosen in best.values() for choice in chosen]
        (['a cat', 'a dog'], [0, 1])
    """
    require_integer("select_best", "n", n, minimum=1)
    contents = [given.content for given in name_images(images)]
    require_prompt_each(prompts, len(contents))
    groups = [""] * len(contents) if prompts is None else list(prompts)
    score = reward if isinstance(reward, Reward) else make_reward(reward)
    scores = [float(value) for value in score(images)[0]] if contents else []
    places = best_places(scores, groups, n)
    return {group: [Choice(at, contents[at], scores[at]) for at in chosen] for group, chosen in places.items()}
