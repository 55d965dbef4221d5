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
    pixels = x.shape[-2] * x.shape[-1]
    if pixels <= CLOSE_VIEW_FROM * WHOLE_VIEW_PIXELS:
        return [[x]]
    close = [x] if pixels <= close_view_pixels else tiles(x, close_view_pixels // TILE**2)
    return [[reduce_to(x, WHOLE_VIEW_PIXELS)], close]


def tiles(x: torch.Tensor, count: int) -> list[torch.Tensor]:
    """At most ``count`` tiles of TILE pixels a side, spread evenly over images that are larger.

    Args:
        x: (N, 3, H, W).
        count: of tiles.

    Returns:
        Views of ``x``, (N, 3, h, w), h and w TILE at most.
    """
    height, width = x.shape[-2:]
    rows = max(1, min(count, math.ceil(height / TILE), round(math.sqrt(count * height / width))))
    columns = max(1, min(count // rows, math.ceil(width / TILE)))
    return [
        x[..., top : top + TILE, left : left + TILE]
        for top in _starts(height, rows)
        for left in _starts(width, columns)
    ]


def _starts(length: int, count: int) -> list[int]:
    """Where ``count`` tiles begin, each in the middle of its share of the length."""
    room = max(length - TILE, 0)
    return [round(min(max((place + 0.5) * length / count - TILE / 2, 0), room)) for place in range(count)]


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
