"""Images as programs have them: files, PIL images, arrays and tensors, each with a name and its pixels."""

from __future__ import annotations

import glob
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias, cast

import numpy as np
import torch
from PIL import Image

from maagiqa_pyiqa.images.ahead import map_ahead
from maagiqa_pyiqa.images.decoding import UnreadableImageError, count_pixels, decode, read_image
from maagiqa_pyiqa.images.sources import ImagePath, ImageSource, find_images, is_url
from maagiqa_pyiqa.images.tensors import RANGE_TOLERANCE
from maagiqa_pyiqa.metrics.scoring import Decoded, ImageScores
from maagiqa_pyiqa.support.errors import InputError, InputTypeError
from maagiqa_pyiqa.support.tables import is_table

OneInput: TypeAlias = str | os.PathLike[str] | Image.Image | np.ndarray | torch.Tensor
Inputs: TypeAlias = OneInput | Sequence[OneInput]
KINDS = (
    "a path, a PIL image, a numpy array (H, W, 3) or (N, H, W, 3) of uint8, or a tensor (3, H, W) or (N, 3, H, W) in "
    "[0, 1]"
)

ONE_AT_A_TIME = threading.Lock()  # an open image may be given twice, and Pillow decodes it where it is


class GivenImage(NamedTuple):
    """One image, and the scores to fill in; their path is its own, or where it was given, such as ``images[3]``.

    Bytes are those of a file.
    """

    scores: ImageScores
    content: ImagePath | bytes | Image.Image | np.ndarray | torch.Tensor

    def count_pixels(self) -> int:
        """How many pixels it holds once it is decoded."""
        if isinstance(self.content, (Path, ImageSource, bytes)):
            return count_pixels(self.content)
        if isinstance(self.content, Image.Image):
            return self.content.width * self.content.height
        return self.content.size // 3 if isinstance(self.content, np.ndarray) else self.content[0].numel()

    def read(self) -> torch.Tensor:
        """Pixels (3, H, W): uint8, or float32 in [0, 1] as a tensor was given.

        Raises:
            UnreadableImageError: it cannot be decoded, or holds no pixels, NaN or values out of range.
        """
        if isinstance(self.content, (Path, ImageSource, bytes)):
            return read_image(self.content)
        if isinstance(self.content, torch.Tensor):
            return _checked(self.content.detach().cpu().float())
        if isinstance(self.content, Image.Image):
            with ONE_AT_A_TIME:
                pixels = np.array(decode(self.content))
        else:
            pixels = np.array(self.content)
        return _checked(torch.from_numpy(pixels).permute(2, 0, 1))


def name_images(images: Inputs) -> list[GivenImage]:
    """Every image of an input, in order, named and not yet read.

    Args:
        images: KINDS, or a sequence of any of these. A path may also be a folder, a glob, a tar or a list of paths, as
            for ``maagiqa score``; one that does not exist is an image that cannot be read.

    Raises:
        TypeError: of another kind.
        ValueError: an array or tensor of another shape or type.
        FileNotFoundError: a folder or glob without images.
    """
    if isinstance(images, (list, tuple)):
        return [found for place, image in enumerate(images) for found in _named(image, f"images[{place}]")]
    return list(_named(cast("OneInput", images), "images"))


def read_ahead(images: Sequence[GivenImage], workers: int) -> Iterator[Decoded]:
    """Images with their pixels or the reason why there are none, in order; threads decode a few ahead.

    Args:
        images: of ``name_images``.
        workers: threads; 0 decodes here.
    """
    count = 2 * workers
    sized = map_ahead(lambda image: (image, image.count_pixels()), images, workers=workers, count=count)
    return map_ahead(lambda pair: _read(pair[0]), sized, workers=workers, count=count, pixels=lambda pair: pair[1])


def _read(image: GivenImage) -> Decoded:
    try:
        return image.scores, image.read()
    except UnreadableImageError as error:
        return image.scores, str(error)


def _named(image: OneInput, name: str) -> Iterator[GivenImage]:
    """The images of one input that is no sequence."""
    if isinstance(image, (str, os.PathLike)):
        yield from (GivenImage(ImageScores(path), path) for path in _files(os.fspath(image)))
    elif isinstance(image, Image.Image):
        yield GivenImage(ImageScores(Path(name)), image)
    elif isinstance(image, np.ndarray):
        _check(image.dtype == np.uint8 and image.ndim in (3, 4) and image.shape[-1] == 3, name, image)
        yield from _of_batch(image, name)
    elif isinstance(image, torch.Tensor):
        _check(image.is_floating_point() and image.ndim in (3, 4) and image.shape[-3] == 3, name, image)
        yield from _of_batch(image, name)
    else:
        raise InputTypeError(f"{name} must be {KINDS}; got {type(image).__name__}.")


def _of_batch(pixels: np.ndarray | torch.Tensor, name: str) -> Iterator[GivenImage]:
    """One image, or each of a batch."""
    if pixels.ndim == 3:
        yield GivenImage(ImageScores(Path(name)), pixels)
    else:
        yield from (GivenImage(ImageScores(Path(f"{name}[{row}]")), one) for row, one in enumerate(pixels))


def _files(path: str) -> list[ImagePath]:
    """What a path stands for; a file by itself may be absent."""
    if is_url(path):
        raise InputError(f"'{path}' is not a file on this machine; copy it here first.")
    is_glob = glob.has_magic(path) and not os.path.exists(path)
    several = os.path.isdir(path) or is_table(path) or path.lower().endswith(".tar") or is_glob
    return find_images([path]).paths if several else [Path(path)]


def _check(fits: bool, name: str, image: np.ndarray | torch.Tensor) -> None:
    if not fits:
        raise InputError(f"{name} must be {KINDS}; got {_describe(image)}.{_remedy(image)}")


def _describe(image: np.ndarray | torch.Tensor) -> str:
    kind = "an array" if isinstance(image, np.ndarray) else "a tensor"
    return f"{kind} {tuple(image.shape)} of {str(image.dtype).removeprefix('torch.')}"


def _remedy(image: np.ndarray | torch.Tensor) -> str:
    if isinstance(image, np.ndarray):
        return "" if image.dtype == np.uint8 else " Scale it to 0 to 255 and use .astype('uint8')."
    if not image.is_floating_point():
        return " Use x.float() / 255."
    return " Use x.movedim(-1, -3)." if image.ndim in (3, 4) and image.shape[-1] == 3 else ""


def _checked(image: torch.Tensor) -> torch.Tensor:
    """The image, if its pixels can be scored."""
    if image.numel() == 0:
        raise UnreadableImageError(f"no pixels: shape {tuple(image.shape)}")
    if image.is_floating_point():
        low, high = (value.item() for value in torch.aminmax(image))
        if not (low >= -RANGE_TOLERANCE and high <= 1 + RANGE_TOLERANCE):  # false for NaN too
            raise UnreadableImageError(f"pixels must be in [0, 1], got min {low:.4g}, max {high:.4g}")
    return image
