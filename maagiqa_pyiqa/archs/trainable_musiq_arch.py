"""MUSIQ that can be trained from images; pyiqa's own cuts them into patches only when it does not train."""

from __future__ import annotations

from typing import Any

import torch
from pyiqa.archs.arch_util import load_file_from_url
from pyiqa.archs.musiq_arch import MUSIQ, default_model_urls
from pyiqa.data.multiscale_trans_util import get_multiscale_patches

from maagiqa_pyiqa.archs.checkpoints.read import read_state_dict
from maagiqa_pyiqa.support.errors import InputError


class TrainableMUSIQ(MUSIQ):
    """Multi-scale image quality transformer (Ke et al., ICCV 2021), a peer of the paper's Table 1.

    Its weights are those of pyiqa's ``MUSIQ`` with one output.

    Args:
        pretrained: whether to start from the ImageNet weights that pyiqa fetches, all but the last layer.
        options: further options of pyiqa's MUSIQ.
    """

    def __init__(self, pretrained: bool = True, **options: Any) -> None:
        super().__init__(pretrained=False, **options)
        if pretrained:
            state_dict = read_state_dict(load_file_from_url(default_model_urls["imagenet_pretrain"]))
            body = {name: value for name, value in state_dict.items() if not name.startswith("head.")}
            absent = self.load_state_dict(body, strict=False).missing_keys
            if any(not name.startswith("head.") for name in absent):
                raise InputError(f"MUSIQ: its ImageNet weights lack {len(absent)} tensors, such as '{absent[0]}'.")

    def forward(self, x: torch.Tensor, *arguments: Any, **keywords: Any) -> Any:
        """Score images (N, 3, H, W) in [0, 1]; returns (N, 1), higher is better."""
        if self.training:
            x = get_multiscale_patches((x - 0.5) * 2, **self.data_preprocess_opts)
        return super().forward(x, *arguments, **keywords)
