"""Keys by content: two images are the same where their decoded pixels are, or their files' bytes."""

from __future__ import annotations

import functools
import hashlib
import struct

import numpy as np
import torch
from PIL import Image

from maagiqa_pyiqa.images.decoding import decode

KEY_BYTES = 32


class ImageFile:
    """An image file that has been read; it is hashed and decoded when first asked.

    Args:
        content: the file's bytes.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content

    @functools.cached_property
    def file_key(self) -> bytes:
        """SHA-256 of the file's bytes."""
        return file_key(self.content)

    @functools.cached_property
    def image(self) -> Image.Image:
        """The decoded image, 8-bit RGB.

        Raises:
            UnreadableImageError: the reason.
        """
        return decode(self.content)

    @functools.cached_property
    def pixel_key(self) -> bytes:
        """``pixel_key`` of the decoded image."""
        return pixel_key(self.image)


def pixel_key(image: Image.Image | torch.Tensor) -> bytes:
    """SHA-256 of height, width and the decoded 8-bit RGB pixels.

    Args:
        image: RGB image of Pillow, or tensor (3, H, W): uint8, or floating point in [0, 1], which is rounded to 8 bit.
    """
    if isinstance(image, torch.Tensor):
        levels = image if image.dtype == torch.uint8 else image.detach().float().mul(255).round().to(torch.uint8)
        pixels = levels.permute(1, 2, 0).cpu().contiguous().numpy()
    else:
        pixels = np.asarray(image)
    height, width, _ = pixels.shape
    digest = hashlib.sha256(struct.pack("<II", height, width))
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def file_key(content: bytes) -> bytes:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(content).digest()
