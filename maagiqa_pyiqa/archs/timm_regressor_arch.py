"""A plain regressor on any timm backbone, pooled features and one linear layer: the peer that all else must beat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from maagiqa_pyiqa.archs.checkpoints.backbone import load_backbone_weights
from maagiqa_pyiqa.archs.checkpoints.read import load_checkpoint
from maagiqa_pyiqa.images.tensors import INTERPOLATIONS, check_images, squash
from maagiqa_pyiqa.support.options import require_choice


class TimmRegressor(nn.Module):
    """No-reference metric without any idea of ours; scores are on the training set's MOS scale, higher is better.

    Args:
        backbone: timm name.
        input_size: side of the square images are squashed to.
        interpolation: ``cubic`` or ``cubic-antialias``.
        mean: of the normalisation, for every channel.
        std: of the normalisation, for every channel.
        drop: dropout before the linear layer.
        backbone_weights: None (random), ``timm``, ``package:NAME`` or a file.
        pretrained_model_path: checkpoint of the whole regressor; nobody publishes one, so it is no metric of pyiqa's.

    Raises:
        ValueError: an unknown interpolation, or weights that do not fit.
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        input_size: int = 224,
        interpolation: str = "cubic",
        mean: float = 0.5,
        std: float = 0.5,
        drop: float = 0.1,
        backbone_weights: str | None = None,
        pretrained_model_path: str | Path | None = None,
    ) -> None:
        super().__init__()
        require_choice("TimmRegressor", "interpolation", interpolation, INTERPOLATIONS)
        self.input_size, self.interpolation, self.mean, self.std = input_size, interpolation, mean, std
        net: Any = timm.create_model(backbone, pretrained=False, num_classes=0)
        self.backbone = net
        self.head = nn.Sequential(nn.Dropout(drop), nn.Linear(net.num_features, 1))
        if pretrained_model_path is not None:
            load_checkpoint(self, pretrained_model_path)
        elif backbone_weights is not None:
            load_backbone_weights(self.backbone, backbone, backbone_weights)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Score images (N, 3, H, W) in [0, 1]; returns (N, 1)."""
        x = squash(check_images(x), self.input_size, self.interpolation)
        return self.head(self.backbone((x - self.mean) / self.std))
