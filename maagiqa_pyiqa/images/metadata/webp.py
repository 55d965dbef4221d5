"""WebP: XMP in a chunk of the extended layout (VP8X), which a plain file is given for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from maagiqa_pyiqa.images.metadata import xmp
from maagiqa_pyiqa.images.metadata.errors import MetadataError

HEAD = 12  # RIFF, size, WEBP
XMP = b"XMP "
HAS_XMP, HAS_ALPHA = 0x04, 0x10


class _Chunk(NamedTuple):
    kind: bytes
    data: bytes


def is_format(content: bytes) -> bool:
    """Whether it is a WebP."""
    return content[:4] == b"RIFF" and content[8:HEAD] == b"WEBP"


def with_text(content: bytes, text: str) -> bytes:
    """See ``files.with_text``."""
    chunks = list(_chunks(content))
    new = _Chunk(XMP, xmp.put(_packet(chunks), text))
    known = [chunk.kind for chunk in chunks]
    if XMP in known:
        chunks[known.index(XMP)] = new
    else:
        chunks.append(new)
    body = b"".join(map(_as_bytes, _extended(chunks)))
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WEBP" + body + content[_end(content) :]


def read_text(content: bytes) -> str | None:
    """See ``files.read_text``."""
    return xmp.get(_packet(list(_chunks(content))))


def _packet(chunks: list[_Chunk]) -> bytes | None:
    return next((chunk.data for chunk in chunks if chunk.kind == XMP), None)


def _extended(chunks: list[_Chunk]) -> list[_Chunk]:
    """The chunks after one that says that there is XMP."""
    first = chunks[0]
    if first.kind == b"VP8X":
        return [_Chunk(b"VP8X", bytes((first.data[0] | HAS_XMP,)) + first.data[1:]), *chunks[1:]]
    flags, width, height = _describe(first)
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return [_Chunk(b"VP8X", bytes((flags | HAS_XMP, 0, 0, 0)) + size), *chunks]


def _describe(pixels: _Chunk) -> tuple[int, int, int]:
    """Flags, width and height of a plain file by the head of its pixels."""
    if pixels.kind == b"VP8 " and pixels.data[3:6] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(pixels.data[at : at + 2], "little") & 0x3FFF for at in (6, 8))
        return 0, width, height
    if pixels.kind == b"VP8L" and pixels.data[:1] == b"\x2f":
        bits = int.from_bytes(pixels.data[1:5], "little")
        return HAS_ALPHA if bits >> 28 & 1 else 0, (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise MetadataError("a WebP that is damaged")


def _as_bytes(chunk: _Chunk) -> bytes:
    return chunk.kind + len(chunk.data).to_bytes(4, "little") + chunk.data + b"\0" * (len(chunk.data) % 2)


def _end(content: bytes) -> int:
    return 8 + int.from_bytes(content[4:8], "little")


def _chunks(content: bytes) -> Iterator[_Chunk]:
    start, end = HEAD, _end(content)
    if end > len(content) or start + 8 > end:
        raise MetadataError("a WebP that is cut short")
    while start + 8 <= end:
        size = int.from_bytes(content[start + 4 : start + 8], "little")
        if start + 8 + size > end:
            raise MetadataError("a WebP that is damaged")
        yield _Chunk(content[start : start + 4], content[start + 8 : start + 8 + size])
        start += 8 + size + size % 2
