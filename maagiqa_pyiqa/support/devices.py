"""Which device to use where none is named."""

from __future__ import annotations

import torch


def default_device() -> str:
    """CUDA where there is one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"
