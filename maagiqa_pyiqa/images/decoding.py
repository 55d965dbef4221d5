"""Decoding images to 8-bit RGB, with every failure named."""

from __future__ import annotations

import functools
import io
import os
import struct
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from maagiqa_pyiqa.images.sources import ImagePath, ImageSource, is_url
from maagiqa_pyiqa.support.errors import InputError

# raster formats only, told by content: Pillow would start Ghostscript for PostScript, whatever a file is called
FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP",
)  # fmt: skip
MAX_MEGAPIXELS = 128  # of one image, told by its header; Pillow holds 4 bytes a pixel, 8 while it converts
SIXTEEN_BIT_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_OF_DECODERS = (
    OSError, ValueError, SyntaxError, EOFError, MemoryError, RuntimeError, struct.error, LookupError, TypeError,
    AttributeError,
)  # fmt: skip


class UnreadableImageError(InputError):
    """An image that cannot be decoded; the message gives the reason in a few words."""


def read_image(path: str | ImagePath | bytes) -> torch.Tensor:
    """Decode an image file or its content to a uint8 tensor (3, H, W); see ``decode``."""
    return as_tensor(decode(path))


def as_tensor(image: Image.Image) -> torch.Tensor:
    """An 8-bit RGB image as a uint8 tensor (3, H, W)."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def count_pixels(image: ImagePath | bytes) -> int:
    """How many pixels a file or its content will have once it is decoded, by its header.

    It is 0 where that says nothing, and behind a URL, from where an image would be fetched twice.
    """
    try:
        if isinstance(image, ImageSource):
            return 0 if is_url(image.path) else count_pixels(image.read())
        with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image, formats=_known_formats()) as opened:
            return opened.width * opened.height
    except Exception:  # whatever Pillow's many decoders raise; who decodes it says what is wrong
        return 0


def decode(image: str | ImagePath | bytes | Image.Image) -> Image.Image:
    """Decode an image file or its content, or convert an open image, to 8-bit RGB.

    Grayscale, palette and CMYK are converted, alpha is dropped, 16-bit is scaled to 8, of an animation the first
    frame is taken; EXIF rotation is ignored, all as pyiqa does (which however clips 16-bit to white). Images of more
    than MAX_MEGAPIXELS are refused before they are decoded: reducing them would change what is measured.

    Raises:
        UnreadableImageError: says whether the file is absent, empty, cut short, too large or no image.
    """
    try:
        if isinstance(image, Image.Image):
            return _to_rgb(_of_allowed_size(image))
        with Image.open(io.BytesIO(read_content(image)), formats=_known_formats()) as opened:
            return _to_rgb(_of_allowed_size(opened))
    except UnreadableImageError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableImageError(f"not an image of a format that is read here ({', '.join(FORMATS)})") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(f"too many pixels, refused as a decompression bomb ({error})") from error
    except _OF_DECODERS as error:
        raise UnreadableImageError(f"cannot be decoded: {error or type(error).__name__}") from error
    except Exception as error:  # whatever else Pillow's many decoders raise
        raise UnreadableImageError(str(error)) from error


def read_content(image: str | ImagePath | bytes) -> bytes:
    """Bytes of an image file.

    Raises:
        UnreadableImageError: says whether the file is absent, empty or cannot be read.
    """
    if isinstance(image, bytes):
        content = image
    else:
        try:
            content = image.read() if isinstance(image, ImageSource) else Path(image).read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:  # the latter of what a tar does not hold
            raise UnreadableImageError(_absence(error.filename or str(image))) from error
        except Exception as error:  # also whatever a storage raises
            raise UnreadableImageError(f"cannot be read: {error or type(error).__name__}") from error
    if not content:
        raise UnreadableImageError("empty file (0 bytes)")
    return content


def _absence(name: str) -> str:
    return f"a link to '{os.readlink(name)}', which is not there" if os.path.islink(name) else f"no such file: '{name}'"


@functools.cache
def _known_formats() -> tuple[str, ...]:
    """FORMATS as far as this Pillow was built with them."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _of_allowed_size(image: Image.Image) -> Image.Image:
    megapixels = image.width * image.height / 1e6
    if megapixels > MAX_MEGAPIXELS:
        raise UnreadableImageError(
            f"{image.width} x {image.height} are {megapixels:.0f} megapixels, more than the {MAX_MEGAPIXELS} that are "
            "decoded here; reduce the image first"
        )
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in SIXTEEN_BIT_MODES:
        values = np.asarray(image).astype(np.float32)
        values /= 257  # in place, as all of this: an image may be large
        # 16-bit samples may come in Pillow's 32-bit mode
        values.round(out=values).clip(0, 255, out=values)
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise UnreadableImageError("floating-point pixels have no agreed range; save it as 8 or 16 bit")
    return image.convert("RGB")
