"""Images as they travel to a server: files as they are, pixels without loss. It imports nothing heavy."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image

from maagiqa_pyiqa.serving import wire
from maagiqa_pyiqa.support.errors import InputTypeError

Encoding = Literal["tensor", "png", "webp"]
KINDS = "(N, 3, H, W) floats in [0, 1], (N, H, W, 3) uint8, or a list of PIL images, paths and such arrays without N"
PNG_MODES = ("1", "L", "LA", "P", "RGBA", "I", "I;16")  # what the server converts to RGB itself, as it does for files


class Encoded(NamedTuple):
    """An image as it travels, or why it cannot."""

    content: bytes
    error: str | None = None


def single_images(images: Any) -> Sequence[Any]:
    """The images of what was given, not yet looked at.

    Raises:
        TypeError: it is none of KINDS.
    """
    if isinstance(images, (list, tuple)):
        return images
    if isinstance(images, (str, os.PathLike, Image.Image)):
        return [images]
    array = _as_array(images)
    if array is None or array.ndim not in (3, 4):
        raise InputTypeError(f"images must be {KINDS}; got {_describe(images, array)}.")
    return list(array) if array.ndim == 4 else [array]


def _as_array(image: Any) -> np.ndarray | None:
    """Of a numpy array or of a tensor, which need not be torch's; None of anything else."""
    if hasattr(image, "detach"):
        image = image.detach().cpu()
        image = image.float() if image.dtype.is_floating_point else image  # numpy has no bfloat16
        return np.asarray(image)
    return image if isinstance(image, np.ndarray) else None


def _describe(image: Any, array: np.ndarray | None) -> str:
    return type(image).__name__ if array is None else f"{array.shape} of {array.dtype}"


def encode(image: Any, encoding: Encoding) -> Encoded:
    """One image.

    Args:
        image: one of KINDS without N.
        encoding: of 8-bit pixels.

    Raises:
        TypeError: something else.
    """
    if isinstance(image, (str, os.PathLike)):
        return _of_file(Path(image))
    if isinstance(image, Image.Image):
        return _of_pillow(image, encoding)
    array = _as_array(image)
    if array is not None and array.ndim == 3 and array.dtype == np.uint8 and array.shape[2] == 3:
        return Encoded(wire.pack(array) if encoding == "tensor" else _saved(Image.fromarray(array), encoding))
    if array is not None and array.ndim == 3 and array.dtype.kind == "f" and array.shape[0] == 3:
        return Encoded(wire.pack(array.astype(np.float32, copy=False)))
    raise InputTypeError(f"images must be {KINDS}; got {_describe(image, array)}.")


def _of_file(path: Path) -> Encoded:
    try:
        return Encoded(path.read_bytes())
    except FileNotFoundError:
        return Encoded(b"", f"no such file: '{path}'")
    except OSError as error:
        return Encoded(b"", f"cannot be read: {error}")


def _of_pillow(image: Image.Image, encoding: Encoding) -> Encoded:
    if image.mode in PNG_MODES:
        return Encoded(_saved(image, "png"))
    if image.mode == "F":
        return Encoded(b"", "floating-point pixels have no agreed range; save it as 8 or 16 bit")
    return encode(np.asarray(image.convert("RGB")), encoding)


def _saved(image: Image.Image, encoding: Encoding) -> bytes:
    content = io.BytesIO()
    if encoding == "webp":
        image.save(content, "WEBP", lossless=True, exact=True, method=0)
    else:
        image.save(content, "PNG", compress_level=1)
    return content.getvalue()
