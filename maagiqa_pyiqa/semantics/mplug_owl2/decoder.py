"""The language decoder of mPLUG-Owl2: Llama with weights of their own for text and for image tokens.

Sequences are laid out (length, batch, width), where a run of text or of image tokens is one contiguous slice, so that
the two-way layers need no gather.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from maagiqa_pyiqa.semantics.mplug_owl2.config import MplugOwl2Config
from maagiqa_pyiqa.semantics.mplug_owl2.layers import Linear, RMSNorm, TensorModule

TEXT, IMAGE = 0, 1  # index of a two-way layer's weights


class Run(NamedTuple):
    """A contiguous run of tokens of one kind: ``way`` is TEXT or IMAGE, positions ``start`` to ``stop``."""

    way: int
    start: int
    stop: int


def make_runs(*lengths: tuple[int, int]) -> tuple[Run, ...]:
    """Runs from (way, length) pairs in order; empty ones are left out."""
    runs: list[Run] = []
    for way, length in lengths:
        start = runs[-1].stop if runs else 0
        if length:
            runs.append(Run(way, start, start + length))
    return tuple(runs)


KeysValues = tuple[torch.Tensor, torch.Tensor]  # each (length, batch, heads, width / heads)


class Rotary(NamedTuple):
    """Cosines and sines of rotary positions, each (length, 1, 1, width / heads)."""

    cos: torch.Tensor
    sin: torch.Tensor

    def turn(self, x: torch.Tensor) -> torch.Tensor:
        """Rotate (length, batch, heads, width / heads)."""
        first, second = x.chunk(2, dim=-1)
        return x * self.cos + torch.cat([-second, first], dim=-1) * self.sin


class Multiway(TensorModule):
    """A layer that has weights of its own for text and for image tokens."""

    def __init__(self, text: nn.Module, image: nn.Module) -> None:
        super().__init__()
        self.multiway = nn.ModuleList([text, image])

    def forward(self, x: torch.Tensor, runs: Sequence[Run]) -> torch.Tensor:
        """Apply to (length, batch, width), run by run."""
        parts = [self.multiway[run.way](x[run.start : run.stop]) for run in runs]
        return torch.cat(parts) if len(parts) > 1 else parts[0]


class DecoderAttention(nn.Module):
    """Causal self-attention; text and image tokens share queries and output, not keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = Linear(width, width, bias=False)
        self.k_proj = Multiway(Linear(width, width, bias=False), Linear(width, width, bias=False))
        self.v_proj = Multiway(Linear(width, width, bias=False), Linear(width, width, bias=False))
        self.o_proj = Linear(width, width, bias=False)

    def forward(
        self, x: torch.Tensor, runs: Sequence[Run], rotary: Rotary, past: KeysValues | None
    ) -> tuple[torch.Tensor, KeysValues]:
        """Attend from (length, batch, width) to ``past`` and to itself."""
        query, key, value = (
            torch.unflatten(projected, -1, (self.heads, -1))  # (length, batch, heads, width / heads)
            for projected in (self.q_proj(x), self.k_proj(x, runs), self.v_proj(x, runs))
        )
        query, key = rotary.turn(query), rotary.turn(key)
        if past is not None:
            key, value = (
                torch.cat([p.expand(-1, x.shape[1], -1, -1), own]) for p, own in zip(past, (key, value), strict=True)
            )
        attended = _causal_attention(query, key, value)  # (length, batch, heads, width / heads)
        return self.o_proj(attended.flatten(2)), (key, value)


def _causal_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Attention in which the last query is at the last key's position; all (length, batch, heads, width / heads)."""
    length, total = len(query), len(key)
    mask = None
    if 1 < length < total:
        mask = torch.ones(length, total, dtype=torch.bool, device=query.device).tril(total - length)
    query, key, value = (x.permute(1, 2, 0, 3) for x in (query, key, value))  # (batch, heads, length, width / heads)
    attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=length == total)
    return attended.permute(2, 0, 1, 3)


class DecoderMLP(TensorModule):
    """SwiGLU."""

    def __init__(self, width: int, intermediate: int) -> None:
        super().__init__()
        self.gate_proj = Linear(width, intermediate, bias=False)
        self.up_proj = Linear(width, intermediate, bias=False)
        self.down_proj = Linear(intermediate, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class DecoderLayer(nn.Module):
    """Pre-norm transformer layer with two-way norms, keys and values."""

    def __init__(self, config: MplugOwl2Config) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.rms_norm_eps
        self.self_attn = DecoderAttention(width, config.num_attention_heads)
        self.mlp = DecoderMLP(width, config.intermediate_size)
        self.input_layernorm = Multiway(RMSNorm(width, eps), RMSNorm(width, eps))
        self.post_attention_layernorm = Multiway(RMSNorm(width, eps), RMSNorm(width, eps))

    def forward(
        self, x: torch.Tensor, runs: Sequence[Run], rotary: Rotary, past: KeysValues | None
    ) -> tuple[torch.Tensor, KeysValues]:
        """Apply to (length, batch, width); also return keys and values, past ones included."""
        attended, keys_values = self.self_attn(self.input_layernorm(x, runs), runs, rotary, past)
        x = x + attended
        return x + self.mlp(self.post_attention_layernorm(x, runs)), keys_values
