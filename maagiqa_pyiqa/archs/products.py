"""Matrix products of 32-bit floats for training on a CPU, at the full width of its vector units.

PyTorch hands them to MKL, which on processors other than Intel's takes twice as long as oneDNN; PyTorch has that on
board too, for other types and for convolutions. Both give the same to rounding. Everything else goes the usual way:
other devices and types, autocast, compiled graphs, and whatever needs no gradients, so that scores stay what they were.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

# what torch.compile puts in the place of a linear layer; with a PyTorch before 2.4 all goes the usual way
_HAS_ONEDNN = torch.backends.mkldnn.is_available() and torch.__version__ >= "2.4"
_ONEDNN: Any = torch.ops.mkldnn._linear_pointwise if _HAS_ONEDNN else None
_WORTH_IT = 2**22  # multiplications


def is_quick(x: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether ``linear`` of the two is left to oneDNN."""
    return (
        _ONEDNN is not None
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and torch.is_grad_enabled()
        and x.numel() * len(weight) >= _WORTH_IT
        and not autocasts_on_cpu()
        and not torch.compiler.is_compiling()
    )


def autocasts_on_cpu() -> bool:
    """Whether a CPU computes in bfloat16 here; False with a PyTorch before 2.4, which cannot be asked."""
    return _HAS_ONEDNN and torch.is_autocast_enabled("cpu")


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """``F.linear``: x (..., K), weight (N, K) and bias (N,) to (..., N)."""
    if not is_quick(x, weight):
        return F.linear(x, weight, bias)
    return _Linear.apply(x.reshape(-1, x.shape[-1]), weight, bias).unflatten(0, x.shape[:-1])


class _Linear(torch.autograd.Function):
    """``F.linear`` of a matrix; its gradients are such products too, with transposed factors."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return _ONEDNN(x, weight, bias, "none", [], "")

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            _Linear.apply(gradient, weight.t(), None) if of_x else None,
            _Linear.apply(gradient.t(), x.t(), None) if of_weight else None,
            gradient.sum(0) if of_bias else None,
        )


class Linear(nn.Linear):
    """``nn.Linear`` by ``linear``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in_features) to (..., out_features)."""
        return linear(x, self.weight, self.bias)


def quicken_linears(module: nn.Module) -> None:
    """Put a Linear with the same parameters in the place of every ``nn.Linear`` inside ``module``."""
    for name, child in module.named_children():
        if type(child) is nn.Linear:
            quick = Linear(child.in_features, child.out_features, child.bias is not None, device="meta")
            quick.weight, quick.bias = child.weight, child.bias
            setattr(module, name, quick)
        else:
            quicken_linears(child)
