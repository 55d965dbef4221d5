"""Layers that compute in the dtype of what they are given, whatever dtype their weights are kept in."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import nn


class TensorModule(nn.Module):
    """A module that gives a tensor, as type checkers would not know otherwise."""

    __call__: Callable[..., torch.Tensor]


class Linear(nn.Linear):
    """Linear layer in the dtype of its input."""

    __call__: Callable[..., torch.Tensor]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype))


class LayerNorm(nn.LayerNorm):
    """Layer norm in the dtype of its input."""

    __call__: Callable[..., torch.Tensor]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps)


class RMSNorm(TensorModule):
    """Llama's norm: the statistic in fp32, the rest in the dtype of the input."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = x.float().square().mean(-1, keepdim=True).add(self.eps).rsqrt()
        return (x * scale).to(x.dtype) * self.weight.to(x.dtype)


class Layers(nn.Module):
    """A list under the name the checkpoints give it."""

    def __init__(self, layers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
