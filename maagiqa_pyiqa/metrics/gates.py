"""What gate weights are called: one an expert, quality last."""

from __future__ import annotations

from collections.abc import Sequence

GATE = ("existence", "coherence", "quality")


def name_gates(weights: Sequence[float]) -> list[tuple[str, float]]:
    """Pairs of expert and weight; experts are numbered where they are not the three of MA-AGIQA."""
    experts = GATE if len(weights) == len(GATE) else [f"expert {i + 1}" for i in range(len(weights))]
    return list(zip(experts, weights, strict=True))
