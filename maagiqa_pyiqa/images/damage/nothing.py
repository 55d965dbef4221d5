"""Images without content, of the size and in the colours of another: noise, gradients, patterns, a texture.

Every function takes an image (H, W, 3), uint8, a measure of how coarse, and a generator of random numbers, and returns
as much.
"""

from __future__ import annotations

import numpy as np
from PIL import Image


def noise(image: np.ndarray, cell: float, rng: np.random.Generator) -> np.ndarray:
    """Squares of ``cell`` of the shorter side (0: single pixels) in colours of any kind."""
    height, width = image.shape[:2]
    side = max(1, round(cell * min(height, width)))
    small = rng.integers(0, 256, (-(-height // side), -(-width // side), 3), dtype=np.uint8)
    return small.repeat(side, 0).repeat(side, 1)[:height, :width].copy()


def clouds(image: np.ndarray, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise with mean and deviation of the image's colours; an octave has 2^-``slope`` of the one below."""
    height, width = image.shape[:2]
    total = np.zeros((3, height, width), np.float32)
    cells = 4
    while cells <= min(height, width):
        octave = rng.standard_normal((3, cells, cells)).astype(np.float32) * (cells / 4) ** -slope
        total += [np.asarray(Image.fromarray(c).resize((width, height), Image.Resampling.BICUBIC)) for c in octave]
        cells *= 2
    total -= total.mean((1, 2), keepdims=True)
    mean, deviation = _colour_statistics(image)
    total *= (deviation / np.maximum(total.std((1, 2)), 1e-6))[:, None, None]
    total += mean[:, None, None]
    return np.ascontiguousarray(np.clip(total, 0, 255, out=total).astype(np.uint8).transpose(1, 2, 0))


def gradient(image: np.ndarray, stops: float, rng: np.random.Generator) -> np.ndarray:
    """A gradient of a random direction through ``stops`` of the image's colours."""
    colours = _colours(image, int(stops), rng)
    position = _along(image, rng.uniform(0, 2 * np.pi))
    position = (position - position.min()) / max(np.ptp(position), 1e-6) * 255
    palette = [np.interp(np.arange(256), np.linspace(0, 255, len(colours)), channel) for channel in colours.T]
    return np.stack(palette, axis=-1).round().astype(np.uint8)[position.astype(np.uint8)]


def stripes(image: np.ndarray, width: float, rng: np.random.Generator) -> np.ndarray:
    """Stripes of ``width`` of the shorter side in two of the image's colours, in a random direction."""
    stripe = np.floor(_along(image, rng.uniform(0, np.pi)) / _pixels(image, width)).astype(int) % 2
    return _colours(image, 2, rng)[stripe]


def checks(image: np.ndarray, width: float, rng: np.random.Generator) -> np.ndarray:
    """A chessboard of squares of ``width`` of the shorter side in two of the image's colours."""
    rows, columns = (np.arange(length) // _pixels(image, width) for length in image.shape[:2])
    return _colours(image, 2, rng)[((rows[:, None] + columns[None, :]) % 2).astype(int)]


def texture(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """A patch of ``share`` of the shorter side, mirrored again and again until the picture is full."""
    height, width = image.shape[:2]
    side = max(2, round(_pixels(image, share)))
    top, left = (int(rng.integers(0, length - min(side, length) + 1)) for length in (height, width))
    tile = image[top : top + side, left : left + side]
    tile = np.concatenate([tile, tile[::-1]])
    tile = np.concatenate([tile, tile[:, ::-1]], axis=1)
    repeats = -(-height // tile.shape[0]), -(-width // tile.shape[1]), 1
    return np.tile(tile, repeats)[:height, :width].copy()


def _pixels(image: np.ndarray, share: float) -> float:
    return max(1.0, share * min(image.shape[:2]))


def _along(image: np.ndarray, angle: float) -> np.ndarray:
    """How far each pixel lies in a direction, (H, W), in pixels."""
    rows, columns = (np.arange(length, dtype=np.float32) for length in image.shape[:2])
    return columns[None, :] * np.float32(np.cos(angle)) + rows[:, None] * np.float32(np.sin(angle))


def _colours(image: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Colours of pixels drawn at random, (count, 3)."""
    return image.reshape(-1, 3)[rng.integers(0, image.shape[0] * image.shape[1], count)]


def _colour_statistics(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each channel, of every fourth row and column."""
    pixels = image[::4, ::4].reshape(-1, 3).astype(np.float32)
    return pixels.mean(0), pixels.std(0)
