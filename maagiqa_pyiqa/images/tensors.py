"""From an image tensor as pyiqa hands it over to what the quality branch takes: checks, squash to a square."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from maagiqa_pyiqa.support.errors import InputError, InputTypeError

INTERPOLATIONS = ("cubic", "cubic-antialias")
RANGE_TOLERANCE = 1e-6  # pyiqa's own


def check_images(x: torch.Tensor) -> torch.Tensor:
    """Check a batch of images; grayscale is repeated to three channels.

    Args:
        x: (N, 3 or 1, H, W), floating point, RGB in [0, 1].

    Returns:
        The batch as (N, 3, H, W).

    Raises:
        TypeError: not a floating-point tensor.
        ValueError: wrong rank or channels; NaN or out-of-range pixels (not looked at where gradients or a compiler
            are at work, as pyiqa does for losses).
    """
    if not torch.is_tensor(x):
        raise InputTypeError(f"images must be a tensor (N, 3, H, W), got {type(x).__name__}.")
    if not x.is_floating_point():
        raise InputTypeError(f"images must be floating point in [0, 1], got {x.dtype}; convert with x.float() / 255.")
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise InputError(f"images must have shape (N, 3, H, W), RGB, got {tuple(x.shape)}.{_shape_hint(x)}")
    if not (torch.is_grad_enabled() or torch.compiler.is_compiling()):
        _check_range(x)
    return x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x


def _shape_hint(x: torch.Tensor) -> str:
    if x.ndim == 3:
        return " For one image use x.unsqueeze(0)."
    if x.ndim == 4 and x.shape[3] in (1, 3):
        return " Channels seem to be last; use x.permute(0, 3, 1, 2)."
    return " Drop the alpha channel first." if x.ndim == 4 and x.shape[1] == 4 else ""


def _check_range(x: torch.Tensor) -> None:
    if x.numel() == 0:
        raise InputError(f"images are empty: shape {tuple(x.shape)}.")
    low, high = (value.item() for value in torch.aminmax(x))
    if not (low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE):  # false for NaN too
        bad = (~x.isfinite()).flatten(1).any(1).nonzero().flatten().tolist()
        values = (
            f"NaN or infinite pixels in images {bad[:10]} of the batch" if bad else f"min {low:.4g}, max {high:.4g}"
        )
        raise InputError(f"images must be RGB in [0, 1], got {values}.")


def squash(x: torch.Tensor, size: int, interpolation: str = "cubic") -> torch.Tensor:
    """Resize to ``size`` x ``size`` without keeping the aspect ratio, as the authors do, in 8-bit steps.

    ``cubic`` is OpenCV's INTER_CUBIC (a = -0.75, no antialiasing), which the authors use; ``cubic-antialias``
    filters before shrinking. The result is rounded to 8-bit levels as OpenCV's is; gradients pass the rounding.

    Args:
        x: (N, 3, H, W) in [0, 1].
        size: side in pixels; an image that has it already is returned as it is.
        interpolation: ``cubic`` or ``cubic-antialias``.

    Returns:
        (N, 3, size, size) in [0, 1], float32.
    """
    return x if x.shape[-2:] == (size, size) else _resize(x, (size, size), interpolation == "cubic-antialias")


def reduce_to(x: torch.Tensor, max_pixels: int) -> torch.Tensor:
    """Reduce images of more than ``max_pixels`` to no more, keeping their shape as far as whole pixels let them.

    Args:
        x: (N, 3, H, W) in [0, 1].
        max_pixels: of one image; one that has no more is returned as it is.

    Returns:
        (N, 3, h, w) in [0, 1], in 8-bit steps where it was reduced.
    """
    return x if x.shape[-2] * x.shape[-1] <= max_pixels else resize_to(x, max_pixels)


def resize_to(x: torch.Tensor, pixels: int) -> torch.Tensor:
    """Reduce or enlarge images to as many pixels at most, keeping their shape as far as whole pixels let them.

    Args:
        x: (N, 3, H, W) in [0, 1].
        pixels: of one image.

    Returns:
        (N, 3, h, w) in [0, 1], in 8-bit steps unless it had this size.
    """
    height, width = x.shape[-2:]
    factor = math.sqrt(pixels / (height * width))
    smaller = max(1, int(min(height, width) * factor))  # a strip cannot get thinner than a pixel
    larger = max(1, min(int(max(height, width) * factor), pixels // smaller))
    size = (smaller, larger) if height <= width else (larger, smaller)
    return x if size == (height, width) else _resize(x, size, antialias=True)


def _resize(x: torch.Tensor, size: tuple[int, int], antialias: bool) -> torch.Tensor:
    """To another size in 8-bit steps, float32; gradients pass the rounding."""
    x = F.interpolate(x.float(), size, mode="bicubic", align_corners=False, antialias=antialias).clamp(0, 1)
    return x + ((x * 255).round() / 255 - x).detach()


def squash_image(image: Image.Image, size: int, interpolation: str = "cubic") -> torch.Tensor:
    """``squash`` of an 8-bit RGB image, a channel at a time: it holds 6 bytes a pixel, as a float tensor would 24.

    Args:
        image: of Pillow.
        size: as for ``squash``.
        interpolation: as for ``squash``.

    Returns:
        (3, size, size) in [0, 1], float32, the same to the bit.
    """
    channels = []
    for name in image.getbands():
        levels = torch.from_numpy(np.array(image.getchannel(name)))
        channels.append(squash(levels.float().div_(255)[None, None], size, interpolation)[0])
        del levels
    return torch.cat(channels)
