"""Weights for a checkpoint in the authors' layout that anybody can make again: those of the recorded outputs."""

import zlib
from collections.abc import Mapping, Sequence

import torch

COMPUTED = ("relative_position_index", "attn_mask")  # made from sizes, so without weights


def seeded_weights(shapes: Mapping[str, Sequence[int]], seed: int) -> dict[str, torch.Tensor]:
    """Fill every tensor from a generator of its own, seeded by its name."""
    filled = {
        name: _fill(name, shape, seed) for name, shape in shapes.items() if not any(part in name for part in COMPUTED)
    }
    if "fc_score.3.bias" in filled:
        filled["fc_score.3.bias"] = torch.tensor([1.0])  # lifts patch scores above their ReLU
    return filled


def _fill(name: str, shape: Sequence[int], seed: int) -> torch.Tensor:
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode()) + seed))
    if noise.dim() > 1:
        return noise * (0.75 / noise[0].numel() ** 0.5)
    return 1 + 0.1 * noise if name.endswith("weight") else 0.1 * noise
