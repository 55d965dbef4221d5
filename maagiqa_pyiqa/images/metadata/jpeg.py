"""JPEG: XMP in an APP1 segment, after those of JFIF and Exif."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from maagiqa_pyiqa.images.metadata import xmp
from maagiqa_pyiqa.images.metadata.errors import MetadataError

START = b"\xff\xd8"
XMP = b"http://ns.adobe.com/xap/1.0/\0"
APP0, APP1, APP2, SCAN, END = 0xE0, 0xE1, 0xE2, 0xDA, 0xD9
MAX_SEGMENT = 0xFFFF  # with the two bytes of its size


class _Segment(NamedTuple):
    marker: int
    data: bytes
    start: int
    end: int


def is_format(content: bytes) -> bool:
    """Whether it is a JPEG."""
    return content.startswith(START + b"\xff")


def with_text(content: bytes, text: str) -> bytes:
    """See ``files.with_text``."""
    segments = list(_segments(content))
    if any(segment.marker == APP2 and segment.data.startswith(b"MPF\0") for segment in segments):
        raise MetadataError("a JPEG that holds several images, whose places would change")
    old = _packet(segments)
    data = XMP + xmp.put(old.data[len(XMP) :] if old else None, text)
    if len(data) + 2 > MAX_SEGMENT:
        raise MetadataError("its XMP is as large as it can be")
    segment = bytes((0xFF, APP1)) + (len(data) + 2).to_bytes(2, "big") + data
    start, end = (old.start, old.end) if old else (_place(segments),) * 2
    return content[:start] + segment + content[end:]


def read_text(content: bytes) -> str | None:
    """See ``files.read_text``."""
    old = _packet(list(_segments(content)))
    return xmp.get(old.data) if old else None


def _packet(segments: list[_Segment]) -> _Segment | None:
    return next((one for one in segments if one.marker == APP1 and one.data.startswith(XMP)), None)


def _place(segments: list[_Segment]) -> int:
    """After the segments that have to come first."""
    place = len(START)
    for segment in segments:
        if segment.marker != APP0 and not (segment.marker == APP1 and segment.data.startswith(b"Exif\0")):
            break
        place = segment.end
    return place


def _segments(content: bytes) -> Iterator[_Segment]:
    """All segments before the pixels."""
    start = len(START)
    while start + 4 <= len(content) and content[start] == 0xFF:
        marker = content[start + 1]
        if marker == 0xFF:  # a fill byte
            start += 1
            continue
        if marker in (SCAN, END):
            return
        end = start + 2 + int.from_bytes(content[start + 2 : start + 4], "big")
        if end < start + 4:
            break
        yield _Segment(marker, content[start + 4 : end], start, end)
        start = end
    raise MetadataError("a JPEG that is damaged or cut short")
