"""Training that an image is better than damaged versions of itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import margin_ranking_loss

from maagiqa_pyiqa.support.errors import InputError


@dataclass(frozen=True)
class DamageLoss:
    """How far damaged versions are to score below their images, on the scale of the MOS, and what it weighs."""

    margin: float
    loss_weight: float = 1.0

    def __post_init__(self) -> None:
        for name in ("margin", "loss_weight"):
            if getattr(self, name) <= 0:
                raise InputError(f"train: damage_loss_opt {name} must be above 0, got {getattr(self, name)}.")

    def __call__(self, scores: torch.Tensor, damaged: torch.Tensor) -> torch.Tensor:
        """Mean of what is missing to the margin, from scores (N, 1) of images and of their damaged versions.

        Images learn their MOS and nothing from this: a poor one shall not seem better than it is.
        """
        lower = torch.ones_like(damaged)
        return self.loss_weight * margin_ranking_loss(scores.detach(), damaged, lower, margin=self.margin)
