"""Pixels of what a request holds: files decoded as everywhere, tensors checked, each within the limits."""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from maagiqa_pyiqa.images.decoding import UnreadableImageError, count_pixels, decode
from maagiqa_pyiqa.images.tensors import RANGE_TOLERANCE
from maagiqa_pyiqa.serving.bodies import Part
from maagiqa_pyiqa.serving.limits import Account
from maagiqa_pyiqa.serving.settings import ServerSettings
from maagiqa_pyiqa.serving.wire import TENSOR_SHAPES, TENSOR_TYPES

KINDS = "PNG, WebP, JPEG or safetensors"
MAX_TENSOR_HEADER = 4096


class Pixels(NamedTuple):
    """One image of a request: pixels (H, W, 3) of uint8 or (3, H, W) of float32, or why there are none."""

    name: str
    values: np.ndarray | None
    error: str | None = None


def kind_of(content: bytes) -> str | None:
    """Told by content, whatever a request calls it; None where it is nothing that is taken."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "WebP"
    if content.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    return "safetensors" if content[8:9] == b"{" else None


def read_part(part: Part, settings: ServerSettings, account: Account) -> list[Pixels]:
    """Images of a part: one of a file, any number of a tensor, one without pixels of what cannot be read.

    Raises:
        RefusedError: there is no memory for its pixels now.
    """
    kind = kind_of(part.content)
    try:
        if kind is None:
            raise UnreadableImageError(f"not a {KINDS} file" if part.content else "empty file (0 bytes)")
        if kind == "safetensors":
            return _of_tensor(part, settings, account)
        return [Pixels(part.name, _of_file(part.content, settings, account))]
    except UnreadableImageError as error:
        return [Pixels(part.name, None, str(error))]


def _of_file(content: bytes, settings: ServerSettings, account: Account) -> np.ndarray:
    pixels = count_pixels(content)
    _check_size(pixels, settings)
    account.take(3 * pixels)
    return np.asarray(decode(content))


def _check_size(pixels: int, settings: ServerSettings) -> None:
    if pixels > settings.max_megapixels * 1e6:
        raise UnreadableImageError(
            f"{pixels / 1e6:.1f} megapixels are more than the {settings.max_megapixels} that are taken here"
        )


def _of_tensor(part: Part, settings: ServerSettings, account: Account) -> list[Pixels]:
    account.take(2 * len(part.content))
    values = _checked_tensor(part.content)
    if values.ndim == 3:
        values = values[None]
    pixels = values[0].size // 3
    _check_size(pixels, settings)
    floating = values.dtype != np.uint8
    if len(values) == 1:
        return [_of_values(part.name, values[0], floating)]
    return [_of_values(f"{part.name}[{place}]", image, floating) for place, image in enumerate(values)]


def _checked_tensor(content: bytes) -> np.ndarray:
    """The one tensor, of a shape and type that is taken.

    Raises:
        UnreadableImageError: says what else it is.
    """
    header = int.from_bytes(content[:8], "little")
    if header > MAX_TENSOR_HEADER:
        raise UnreadableImageError(
            f"a safetensors header of {header} bytes is more than the {MAX_TENSOR_HEADER} taken here"
        )
    try:
        _only_known_types(content[8 : 8 + header])
        (values,) = load(content).values()
    except UnreadableImageError:
        raise
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableImageError(f"not a safetensors file that holds one tensor: {error}"[:300]) from error
    channels_at = -1 if values.dtype == np.uint8 else -3
    if values.ndim not in (3, 4) or values.shape[channels_at] != 3 or not values.size:
        raise UnreadableImageError(f"a tensor must be {TENSOR_SHAPES}; got {values.shape} of {values.dtype}")
    return values


def _only_known_types(header: bytes) -> None:
    """Refuse types that numpy lacks, before they are looked for there."""
    tensors = {name: tensor for name, tensor in json.loads(header).items() if name != "__metadata__"}
    dtypes = [str(tensor["dtype"]) for tensor in tensors.values()]
    if len(dtypes) != 1:
        raise ValueError(f"it holds {len(dtypes)}")
    if dtypes[0] not in TENSOR_TYPES:
        raise UnreadableImageError(f"a tensor must be {TENSOR_SHAPES}; got {dtypes[0][:20]}")


def _of_values(name: str, values: np.ndarray, floating: bool) -> Pixels:
    if not floating:
        return Pixels(name, values)
    values = values.astype(np.float32, copy=False)
    low, high = float(values.min()), float(values.max())
    if not (low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE):  # false for NaN too
        return Pixels(name, None, f"pixels must be in [0, 1], got min {low:.4g}, max {high:.4g}")
    return Pixels(name, values)
