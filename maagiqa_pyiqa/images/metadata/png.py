"""PNG: an international text chunk (iTXt) of our keyword, before the pixels, where every reader looks."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from maagiqa_pyiqa.images.metadata.errors import MetadataError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KEYWORD = b"maagiqa"
# keyword, no compression, no language, no translated keyword
HEAD = KEYWORD + b"\0\0\0\0\0"


class _Chunk(NamedTuple):
    kind: bytes
    data: bytes
    start: int
    end: int


def is_format(content: bytes) -> bool:
    """Whether it is a PNG."""
    return content.startswith(SIGNATURE)


def with_text(content: bytes, text: str) -> bytes:
    """See ``files.with_text``."""
    data = HEAD + text.encode("ascii")
    ours = len(data).to_bytes(4, "big") + b"iTXt" + data + zlib.crc32(b"iTXt" + data).to_bytes(4, "big")
    parts, last, placed = [], 0, False
    for chunk in _chunks(content):
        if chunk.kind == b"IDAT" and not placed:
            parts += [content[last : chunk.start], ours]
            last, placed = chunk.start, True
        elif _is_ours(chunk):
            parts.append(content[last : chunk.start])
            last = chunk.end
    if not placed:
        raise MetadataError("a PNG without pixels")
    return b"".join([*parts, content[last:]])


def read_text(content: bytes) -> str | None:
    """See ``files.read_text``."""
    texts = [chunk.data[len(HEAD) :] for chunk in _chunks(content) if _is_ours(chunk)]
    return texts[0].decode("ascii", "replace") if texts else None


def _is_ours(chunk: _Chunk) -> bool:
    return chunk.kind == b"iTXt" and chunk.data.startswith(HEAD)


def _chunks(content: bytes) -> Iterator[_Chunk]:
    """All chunks up to the end of the image; what follows it is nobody's."""
    start = len(SIGNATURE)
    while start + 12 <= len(content):
        size = int.from_bytes(content[start : start + 4], "big")
        end = start + 12 + size
        if end > len(content):
            break
        kind = content[start + 4 : start + 8]
        yield _Chunk(kind, content[start + 8 : end - 4] if kind == b"iTXt" else b"", start, end)
        if kind == b"IEND":
            return
        start = end
    raise MetadataError("a PNG that is cut short")
