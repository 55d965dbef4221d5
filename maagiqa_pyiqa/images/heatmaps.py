"""A picture beside itself under the colours of its regions' quality, with the scale below."""

from __future__ import annotations

import functools

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE = 640  # of each of the two pictures, at most
MARGIN, GAP, LEGEND, BAR = 12, 8, 44, 14  # in pixels
COLOURS = "viridis"  # lightness rises evenly with quality
OPACITY = 0.6  # of the colours over the picture in grey
SMALLEST_RANGE = 1.0  # of scores on the scale, so that an even picture looks even
INK = "#1b1b1b"


def draw_heatmap(image: Image.Image, regions: np.ndarray, score: float, window: tuple[float, float]) -> Image.Image:
    """Draw the picture, its map, and a scale with lowest and highest region and a mark at the picture's score.

    Args:
        image: RGB.
        regions: scores (rows, columns) over the whole picture, MOS scale, higher is better.
        score: of the picture.
        window: height and width of a region, as shares of the picture's.
    """
    picture = image.copy()
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
    low, high = limits_of(regions)
    width, height = picture.size
    sheet = Image.new("RGB", (2 * width + GAP + 2 * MARGIN, height + LEGEND + 2 * MARGIN), "white")
    sheet.paste(picture, (MARGIN, MARGIN))
    shares = spread((regions - low) / (high - low), (height, width), window)
    sheet.paste(_overlay(picture, shares), (MARGIN + width + GAP, MARGIN))
    _draw_scale(sheet, MARGIN + width + GAP, MARGIN + height + 10, width, low, high, score)
    return sheet


def limits_of(regions: np.ndarray) -> tuple[float, float]:
    """The scores that get the first and the last colour: lowest and highest region, at least SMALLEST_RANGE apart."""
    low, high = float(regions.min()), float(regions.max())
    missing = max(0.0, SMALLEST_RANGE - (high - low))
    return low - missing / 2, high + missing / 2


def spread(regions: np.ndarray, size: tuple[int, int], window: tuple[float, float]) -> np.ndarray:
    """Values (rows, columns), each at the centre of its region, to pixels (height, width), linear between centres."""
    for axis, (length, share) in enumerate(zip(size, window, strict=True)):
        centres = share / 2 + np.linspace(0, 1 - share, regions.shape[axis])
        pixels = (np.arange(length) + 0.5) / length
        regions = np.apply_along_axis(_interpolated, axis, regions, centres, pixels)
    return regions


def _interpolated(values: np.ndarray, centres: np.ndarray, at: np.ndarray) -> np.ndarray:
    return np.interp(at, centres, values)


def _overlay(picture: Image.Image, shares: np.ndarray) -> Image.Image:
    colours = colours_of_quality()[(np.clip(shares, 0, 1) * 255).round().astype(int)]
    return Image.blend(picture.convert("L").convert("RGB"), Image.fromarray(colours), OPACITY)


def _draw_scale(sheet: Image.Image, left: int, top: int, width: int, low: float, high: float, score: float) -> None:
    draw = ImageDraw.Draw(sheet)
    bar = np.repeat(colours_of_quality()[None, np.linspace(0, 255, width).astype(int)], BAR, axis=0)
    sheet.paste(Image.fromarray(bar), (left, top))
    at = left + round((score - low) / (high - low) * (width - 1))
    draw.line([(at, top - 4), (at, top + BAR + 3)], INK, width=3)
    below, font = top + BAR + 6, ImageFont.load_default(14)
    draw.text((left, below), f"{low:.2f}", INK, font, anchor="lt")
    draw.text((left + width, below), f"{high:.2f}", INK, font, anchor="rt")
    draw.text((MARGIN, top), f"score {score:.2f} (MOS scale)", INK, font, anchor="lt")


@functools.cache
def colours_of_quality() -> np.ndarray:
    """Colours (256, 3), uint8, from poor to good."""
    import matplotlib

    return (matplotlib.colormaps[COLOURS](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
