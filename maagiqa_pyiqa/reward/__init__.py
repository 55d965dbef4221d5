"""Rewards for who trains or guides a generator: ``make_reward``.

On top of ``api`` and ``metrics``: ``members`` parses what a reward is made of, ``normalisation`` brings scores to one
scale, ``callable`` is what training code calls.
"""

from maagiqa_pyiqa.reward.callable import Reward, RewardError, make_reward
from maagiqa_pyiqa.support.judged_images import Info

__all__ = ["Info", "Reward", "RewardError", "make_reward"]
