"""Keys by content: two images are the same where their decoded pixels are, or their files' bytes."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import torch
from PIL import Image

KEY_BYTES = 32


def pixel_key(image: Image.Image | torch.Tensor) -> bytes:
    """SHA-256 of height, width and the decoded 8-bit RGB pixels.

    Args:
        image: RGB image of Pillow, or tensor (3, H, W): uint8, or floating point in [0, 1], which is rounded to 8 bit.
    """
    if torch.is_tensor(image):
        levels = image if image.dtype == torch.uint8 else image.detach().float().mul(255).round().to(torch.uint8)
        pixels = levels.permute(1, 2, 0).cpu().contiguous().numpy()
    else:
        pixels = np.asarray(image)
    height, width, _ = pixels.shape
    digest = hashlib.sha256(struct.pack("<II", height, width))
    digest.update(pixels.tobytes())
    return digest.digest()


def file_key(content: bytes) -> bytes:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(content).digest()
