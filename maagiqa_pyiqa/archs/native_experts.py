"""Semantic experts of the native branch: the paper's two questions, answered by what the trunk sees.

Paper: section 3.2, where a large multi-modality model answers them. Here each is a small network over the last map of
the whole view, trained by self-supervision and frozen then: *existence* tells pictures from patterns without content,
*coherence* a picture from itself with its parts out of place.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

EXPERTS = ("existence", "coherence")


class Answer(NamedTuple):
    """An expert's view: ``vector`` (N, D), a semantic feature, and ``logit`` (N,), higher for yes."""

    vector: torch.Tensor
    logit: torch.Tensor


class Expert(nn.Module):
    """One question about the map of a picture (N, C, h, w).

    Args:
        channels: C.
        dim: D, length of the vector.
        drop: dropout rate of channels of the map and of the vector.
    """

    def __init__(self, channels: int, dim: int, drop: float = 0.0) -> None:
        super().__init__()
        self.look = nn.Sequential(
            nn.Dropout2d(drop),
            nn.Conv2d(channels, dim, 1),
            nn.GELU(),
            nn.Conv2d(dim, dim, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(dim, dim, 3, padding=1, stride=2),
            nn.GELU(),
            nn.Conv2d(dim, dim, 3, padding=1),
            nn.GELU(),
        )
        self.sum_up = nn.Sequential(nn.Linear(2 * dim, dim), nn.ReLU(), nn.Dropout(drop))
        self.answer = nn.Linear(dim, 1)

    def forward(self, last_map: torch.Tensor) -> Answer:
        """(N, C, h, w) to what is seen everywhere and anywhere: mean and maximum over positions."""
        seen = self.look(last_map).flatten(2)  # (N, D, positions)
        vector = self.sum_up(torch.cat([seen.mean(-1), seen.amax(-1)], dim=1))
        return Answer(vector, self.answer(vector).squeeze(1))


class Experts(nn.ModuleDict):
    """All of EXPERTS by name; on the map of a picture they give its semantic features (N, E, D)."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__({name: Expert(channels, dim) for name in EXPERTS})

    def forward(self, last_map: torch.Tensor) -> torch.Tensor:
        """(N, C, h, w) to (N, E, D)."""
        return torch.stack([expert(last_map).vector for expert in self.values()], dim=1)
