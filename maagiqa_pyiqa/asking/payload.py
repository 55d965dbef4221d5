"""An image as a request holds it: with the pixels that are decoded here, never compressed anew with loss."""

from __future__ import annotations

import base64
import io

from PIL import Image

from maagiqa_pyiqa.cache.keys import ImageFile

SENT_AS_THEY_ARE = ("JPEG", "PNG", "WEBP")  # which every endpoint decodes
ORIENTATION = 0x0112  # a tag of EXIF, by which some turn a picture


def as_data_url(file: ImageFile) -> str:
    """A ``data:`` URL of the file as it is, or of a PNG where others might see other pixels than are decoded here.

    That is so with other formats, transparency, palettes, several frames, more than 8 bits and a turn by EXIF.

    Raises:
        UnreadableImageError: the reason.
    """
    kind, content = _kind_as_it_is(file.content), file.content
    if kind is None:
        with io.BytesIO() as png:
            file.image.save(png, "PNG")
            kind, content = "PNG", png.getvalue()
    return f"data:image/{kind.lower()};base64,{base64.b64encode(content).decode('ascii')}"


def _kind_as_it_is(content: bytes) -> str | None:
    try:
        with Image.open(io.BytesIO(content), formats=SENT_AS_THEY_ARE) as opened:
            plain = opened.mode == "RGB" and "transparency" not in opened.info and getattr(opened, "n_frames", 1) == 1
            upright = opened.getexif().get(ORIENTATION, 1) in (0, 1)
            return opened.format if plain and upright else None
    except Exception:  # whatever Pillow's decoders raise; who decodes it says what is wrong
        return None
