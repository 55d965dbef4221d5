"""Which device to use where none is named, and what one is quick at."""

from __future__ import annotations

import torch


def default_device() -> str:
    """CUDA where there is one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def is_quick_in_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is worth computing in.

    On a CPU without AVX-512, as in most laptops, PyTorch's convolutions take ten times and more what they take in
    32-bit floats: oneDNN has none for it there.
    """
    return device.type != "cpu" or torch.backends.cpu.get_cpu_capability().startswith(("AVX512", "AVX10"))
