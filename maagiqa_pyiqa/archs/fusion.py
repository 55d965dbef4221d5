"""Adaptive fusion module: semantic and quality features to a score.

Paper: section 3.3, equation (4). Any number of semantic prompts E >= 0, with or without the quality feature.
The authors' code has no activation after the gate (weights are signed); the paper has a sigmoid.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn


class Fused(NamedTuple):
    """Result of the fusion: ``score`` (N, 1); ``gate`` (N, E+1), semantic prompts in order, then quality."""

    score: torch.Tensor
    gate: torch.Tensor


class AdaptiveFusion(nn.Module):
    """Features of all experts to one score.

    Args:
        num_prompts: E, semantic vectors per image.
        feature_dim: D, width of a semantic vector.
        hidden_dim: common width of the transformed features (the number of patches in the paper).
        use_quality: whether the quality feature takes part.
        mixture: weigh the experts by a gate (True) or concatenate them (False, paper's Table 5).
        gate_activation: ``none`` (authors' code) or ``sigmoid`` (paper).
        drop: dropout rate after each semantic transform.
    """

    def __init__(
        self,
        *,
        num_prompts: int,
        feature_dim: int,
        hidden_dim: int,
        use_quality: bool,
        mixture: bool,
        gate_activation: str,
        drop: float,
    ) -> None:
        super().__init__()
        self.use_quality = use_quality
        self.semantic_transforms = nn.ModuleList(
            nn.Sequential(nn.Linear(feature_dim, hidden_dim), nn.ReLU(), nn.Dropout(drop)) for _ in range(num_prompts)
        )
        self.quality_transform = nn.Linear(hidden_dim, hidden_dim) if use_quality else None
        experts = num_prompts + int(use_quality)
        self.gate = nn.Linear(experts * hidden_dim, experts) if mixture else None
        self.gate_activation = nn.Sigmoid() if gate_activation == "sigmoid" else nn.Identity()
        self.regression = nn.Linear(hidden_dim if mixture else experts * hidden_dim, 1)

    @torch.no_grad()
    def rescale(self, factor: float, shift: float) -> None:
        """Change the last layer such that scores become ``factor * score + shift``."""
        self.regression.weight.mul_(factor)
        self.regression.bias.mul_(factor).add_(shift)

    def forward(self, quality: torch.Tensor, semantic_features: torch.Tensor) -> Fused:
        """Fuse.

        Args:
            quality: quality feature (N, hidden_dim); ignored without ``use_quality``.
            semantic_features: (N, E, D).

        Returns:
            Score and gate. The gate column of an absent quality feature is 0; without a mixture the gate is (N, 0).
        """
        experts = [transform(semantic_features[:, i]) for i, transform in enumerate(self.semantic_transforms)]
        if self.quality_transform is not None:
            experts.append(self.quality_transform(quality))
        together = torch.cat(experts, dim=-1)  # (N, experts * hidden_dim)
        if self.gate is None:
            return Fused(self.regression(together), together.new_empty(len(together), 0))
        gate = self.gate_activation(self.gate(together))  # (N, experts)
        mixed = (torch.stack(experts, dim=1) * gate.unsqueeze(-1)).sum(1)  # (N, experts, hidden) -> (N, hidden)
        absent = gate.new_zeros(len(gate), 0 if self.use_quality else 1)
        return Fused(self.regression(mixed), torch.cat([gate, absent], dim=1))
