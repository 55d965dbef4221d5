"""Small pictures for pages."""

from __future__ import annotations

import base64
import io
from typing import NamedTuple

from maagiqa_pyiqa.images.decoding import UnreadableImageError, decode
from maagiqa_pyiqa.images.sources import ImagePath

JPEG_QUALITY = 82


class Thumbnail(NamedTuple):
    """A small JPEG, and the size of the image that it shows."""

    jpeg: bytes
    width: int
    height: int


def make_thumbnail(path: ImagePath, side: int) -> Thumbnail | None:
    """Reduce an image so that no side is longer than ``side``; None where it cannot be read."""
    try:
        image = decode(path)
    except UnreadableImageError:
        return None
    width, height = image.size
    image.thumbnail((side, side))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return Thumbnail(file.getvalue(), width, height)


def as_data_url(jpeg: bytes) -> str:
    """A JPEG as a URL that holds it."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
