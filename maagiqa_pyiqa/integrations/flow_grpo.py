"""A reward for flow_grpo, whose ``multi_score`` weighs and adds what functions of its table give.

In ``flow_grpo/rewards.py``, one line more in ``score_functions``::

    "maagiqa": score_function(RewardClient("http://127.0.0.1:8410")),
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from maagiqa_pyiqa.support.judged_images import require_reward_each

Scorer: TypeAlias = Callable[[Any, Sequence[str], Any], tuple[list[float], dict[str, Any]]]


def score_function(reward: Callable[..., tuple[Any, Any]]) -> Callable[[], Scorer]:
    """What belongs into flow_grpo's table: called once, without a device, it gives what scores each batch.

    Args:
        reward: a ``RewardClient``, or what ``make_reward`` gives.
    """

    def make() -> Scorer:
        def score(images: Any, prompts: Sequence[str], metadata: Any) -> tuple[list[float], dict[str, Any]]:
            """Rewards of a batch.

            Raises:
                ValueError: an image has none.
            """
            scores, info = reward(images, prompts, metadata)
            require_reward_each(info["errors"])
            return np.asarray(scores, float).tolist(), {}

        return score

    return make
