"""The same picture with less quality: blur, compression, noise, lost resolution. Stronger is worse.

Every function takes an image (H, W, 3), uint8, how strong, and a generator of random numbers, and returns as much.
"""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image, ImageFilter

REFERENCE_SIDE = 512  # of a square with as many pixels, at which lengths are given; they grow with the picture


def blur(image: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian blur of ``deviation`` pixels at 512 x 512."""
    radius = deviation * math.sqrt(image.shape[0] * image.shape[1]) / REFERENCE_SIDE
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def compress(image: np.ndarray, coarseness: float, rng: np.random.Generator) -> np.ndarray:
    """JPEG of quality 100 - ``coarseness``."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=round(100 - coarseness))
    return np.asarray(Image.open(file))


def add_noise(image: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of ``deviation`` levels (of 255), of each pixel and channel by itself."""
    noisy = rng.standard_normal(image.shape, dtype=np.float32)
    noisy *= deviation
    noisy += image
    return np.clip(noisy, 0, 255, out=noisy).astype(np.uint8)


def lose_resolution(image: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Reduced by ``factor`` and enlarged again, both bicubic."""
    height, width = image.shape[:2]
    small = max(1, round(width / factor)), max(1, round(height / factor))
    reduced = Image.fromarray(image).resize(small, Image.Resampling.BICUBIC)
    return np.asarray(reduced.resize((width, height), Image.Resampling.BICUBIC))
