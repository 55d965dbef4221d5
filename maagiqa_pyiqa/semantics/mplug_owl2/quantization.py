"""The decoder's weights in 8 or 4 bits, by bitsandbytes: a third of the memory, other numbers, another fingerprint."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from maagiqa_pyiqa.semantics.mplug_owl2.layers import Linear

QUANTIZATIONS: MappingProxyType[str, str] = MappingProxyType(
    {"none": "full weights", "8bit": "LLM.int8", "4bit": "NF4"}
)


def quantize_linears(module: nn.Module, quantization: str, device: torch.device, dtype: torch.dtype) -> None:
    """Replace, in place, each linear layer inside ``module`` whose weights have arrived.

    Raises:
        ImportError: bitsandbytes is not installed.
    """
    for name, child in list(module.named_children()):
        if isinstance(child, Linear):
            if not child.weight.is_meta:
                setattr(module, name, _quantized(child, quantization, device, dtype))
        else:
            quantize_linears(child, quantization, device, dtype)


def _quantized(linear: Linear, quantization: str, device: torch.device, dtype: torch.dtype) -> nn.Module:
    try:
        import bitsandbytes
    except ImportError as error:
        raise ImportError(f"quantization '{quantization}' needs bitsandbytes: pip install bitsandbytes") from error
    sizes = linear.in_features, linear.out_features
    weight = linear.weight.data.cpu()  # bitsandbytes quantizes on the way to the device
    layers: Any = bitsandbytes.nn
    quantized: nn.Module
    if quantization == "8bit":
        quantized = layers.Linear8bitLt(*sizes, bias=False, has_fp16_weights=False)
        quantized.weight = layers.Int8Params(weight.half(), requires_grad=False, has_fp16_weights=False)
    else:
        quantized = layers.Linear4bit(*sizes, bias=False, compute_dtype=dtype, quant_type="nf4")
        quantized.weight = layers.Params4bit(weight, requires_grad=False, quant_type="nf4")
    return quantized.to(device)
