"""What the native branch looks at: the whole picture, and its own pixels, as many of them as a budget allows.

A person sees a large picture as a whole, and its blur and texture close by. Where a picture has no more pixels than a
whole view takes, both are the same, and one is enough.
"""

from __future__ import annotations

import math

import torch

from maagiqa_pyiqa.images.tensors import reduce_to

WHOLE_VIEW_PIXELS = 512 * 512
CLOSE_VIEW_FROM = 1.25  # times as many pixels, from which their own view says more than the whole one
TILE = 512
SMALLEST_COPY = 128  # in pixels of the shorter side: flat images are copies of a single pixel


def views(x: torch.Tensor, close_view_pixels: int) -> list[list[torch.Tensor]]:
    """Images of one size to their views.

    Args:
        x: (N, 3, H, W) in [0, 1].
        close_view_pixels: how many of an image's own pixels are looked at.

    Returns:
        The whole picture, and of larger ones their own pixels, each as a list of tiles (N, 3, h, w): one, or several
        that are parts of the same picture.
    """
    if x.shape[-2] * x.shape[-1] <= CLOSE_VIEW_FROM * WHOLE_VIEW_PIXELS:
        return [[x]]
    return [[reduce_to(x, WHOLE_VIEW_PIXELS)], tiles(x, close_view_pixels)]


def tiles(x: torch.Tensor, pixels: int) -> list[torch.Tensor]:
    """Tiles of TILE pixels a side at most, side by side over the image, or spread evenly where it has more ``pixels``.

    Their borders, which padding makes different, weigh as those of the whole views that were trained on do.

    Args:
        x: (N, 3, H, W).
        pixels: how many the tiles have at most, all together.

    Returns:
        Views of ``x``, (N, 3, h, w), all of one size.
    """
    height, width = x.shape[-2:]
    rows, columns = math.ceil(height / TILE), math.ceil(width / TILE)
    tall, wide = math.ceil(height / rows), math.ceil(width / columns)
    if rows * tall * columns * wide > pixels:
        count = pixels // TILE**2
        rows = max(1, min(count, rows, round(math.sqrt(count * height / width))))
        columns = max(1, min(columns, count // rows))
        tall, wide = min(TILE, height), min(TILE, width)
    return [
        x[..., top : top + tall, left : left + wide]
        for top in _starts(height, rows, tall)
        for left in _starts(width, columns, wide)
    ]


def _starts(length: int, count: int, size: int) -> list[int]:
    """Where ``count`` tiles begin, each in the middle of its share of the length."""
    room = length - size
    return [round(min(max((place + 0.5) * length / count - size / 2, 0), room)) for place in range(count)]


def own_pixels(image: torch.Tensor) -> torch.Tensor:
    """Of an image that was enlarged by copying each pixel k x k times, the pixels before; others as they are.

    Args:
        image: (3, H, W).

    Returns:
        (3, H / k, W / k), k the largest such factor made of twos and threes.
    """
    for factor in (2, 3):
        while _is_copied(image, factor):
            image = image[:, ::factor, ::factor]
    return image


def _is_copied(image: torch.Tensor, factor: int) -> bool:
    height, width = image.shape[-2:]
    if height % factor or width % factor or min(height, width) < SMALLEST_COPY * factor:
        return False
    first = image[:, ::factor, ::factor]
    return all(
        torch.equal(image[:, row::factor, column::factor], first)
        for row in range(factor)
        for column in range(factor)
        if row or column
    )
