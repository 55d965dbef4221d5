"""The text of any of the formats, told by a file's first bytes."""

from __future__ import annotations

from types import ModuleType

from maagiqa_pyiqa.images.metadata import jpeg, png, webp
from maagiqa_pyiqa.images.metadata.errors import MetadataError

FORMATS = "PNG, JPEG and WebP"


def with_text(content: bytes, text: str) -> bytes:
    """A file's content with the text in place of an earlier one; all else is as it was, and so is every pixel.

    Args:
        content: of an image file.
        text: ASCII.

    Raises:
        MetadataError: another format, a damaged file, or one that nothing can be put into safely.
    """
    changed: bytes = _format_of(content).with_text(content, text)
    return changed


def read_text(content: bytes) -> str | None:
    """The text in a file's content, if there is one.

    Raises:
        MetadataError: another format, or a damaged file.
    """
    text: str | None = _format_of(content).read_text(content)
    return text


def _format_of(content: bytes) -> ModuleType:
    for kind in (png, jpeg, webp):
        if kind.is_format(content):
            return kind
    raise MetadataError(f"a text can be put into {FORMATS} only")
