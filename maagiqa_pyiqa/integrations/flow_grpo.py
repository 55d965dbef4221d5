"""A reward for flow_grpo, whose ``multi_score`` weighs and adds what functions of its table give.

In ``flow_grpo/rewards.py``, one line more in ``score_functions``::

    "maagiqa": score_function(RewardClient("http://127.0.0.1:8410")),
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from maagiqa_pyiqa.support.errors import InputError

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
                ValueError: an image has none. It would spoil the advantages of its whole group, as would a made-up one.
            """
            scores, info = reward(images, prompts, metadata)
            values = np.asarray(scores, float).tolist()
            reasons = [f"images[{place}]: {reason}" for place, reason in enumerate(info["errors"]) if reason]
            if reasons:
                raise InputError(f"{len(reasons)} of {len(values)} images have no reward; {reasons[0]}")
            return values, {}

        return score

    return make
