"""Batch norms whose statistics stay, computed within the convolution before them: the same function in half the time.

Unlike weights that are folded once, both parameters stay what they were, under their names, and can be trained.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import Conv2dSame, pad_same
from torch import nn


class FrozenNorm(nn.Module):
    """Parameters and statistics of one of timm's batch norms, which ``NormedConv`` applies, and its activation."""

    weight: torch.Tensor
    bias: torch.Tensor
    running_mean: torch.Tensor
    running_var: torch.Tensor
    num_batches_tracked: torch.Tensor

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.weight, self.bias, self.eps, self.act = norm.weight, norm.bias, norm.eps, norm.act
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(norm, name))

    def scale_and_shift(self) -> tuple[torch.Tensor, torch.Tensor]:
        """What each channel is multiplied by, and what is added then."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return scale, self.bias - self.running_mean * scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of the output of ``NormedConv``, (N, C, H, W), the activation."""
        return self.act(x)


class NormedConv(nn.Module):
    """A convolution without a bias, and the batch norm after it.

    Args:
        conv: whose weight it shares.
        norm: stands behind it; it is not registered here, so that parameters keep their names.
    """

    def __init__(self, conv: nn.Conv2d, norm: FrozenNorm) -> None:
        super().__init__()
        self.weight = conv.weight
        self.same = isinstance(conv, Conv2dSame)
        self.stride, self.padding, self.dilation, self.groups = conv.stride, conv.padding, conv.dilation, conv.groups
        self._norm = (norm,)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to what the batch norm makes of the convolution's output, before its activation."""
        weight, bias = self.folded()
        if self.same:
            x = pad_same(x, list(self.weight.shape[-2:]), list(self.stride), list(self.dilation))
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def folded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight and bias of the one convolution that both are."""
        scale, shift = self._norm[0].scale_and_shift()
        return self.weight * scale.view(-1, 1, 1, 1), shift


def fold_norms(module: nn.Module) -> None:
    """Fold every batch norm that follows a convolution inside a timm model, wherever the two stand."""
    children = list(module.named_children())
    for (name, conv), (next_name, norm) in itertools.pairwise(children):
        if isinstance(conv, nn.Conv2d) and conv.bias is None and _is_foldable(norm):
            frozen = FrozenNorm(norm)
            setattr(module, name, NormedConv(conv, frozen))
            setattr(module, next_name, frozen)
    for _, child in children:
        fold_norms(child)


def _is_foldable(norm: nn.Module) -> bool:
    return isinstance(norm, nn.BatchNorm2d) and hasattr(norm, "act") and norm.affine and norm.track_running_stats
