"""A worse version of an image, drawn anew each time: what a training learns to rank below it."""

from __future__ import annotations

import random

import numpy as np

from maagiqa_pyiqa.images.damage.table import ROWS, Damage

SHARES = {"degradation": 0.45, "incoherence": 0.45, "nothing": 0.1}  # pictures of nothing are the easiest to learn


def trainable(kind: str) -> list[Damage]:
    """Damages of a kind that may be trained on."""
    return [row for row in ROWS if row.kind == kind and not row.held_out]


def damage_at_random(image: np.ndarray) -> np.ndarray:
    """Damage an image, each kind as often as SHARES says, at any of the damage's strengths.

    Args:
        image: (H, W, 3), uint8, RGB.

    Returns:
        (H, W, 3), uint8; what is drawn comes from Python's ``random``, which the training engine seeds.
    """
    (kind,) = random.choices(list(SHARES), list(SHARES.values()))
    damage = random.choice(trainable(kind))
    return damage(image, random.choice(damage.strengths), random.getrandbits(32))
