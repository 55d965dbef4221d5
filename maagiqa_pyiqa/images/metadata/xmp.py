"""XMP, the packet of XML that JPEG and WebP carry: one property of ours among whatever else is there."""

from __future__ import annotations

import html
import re

from maagiqa_pyiqa.images.metadata.errors import MetadataError

NAMESPACE = "urn:maagiqa:scores:1"
EMPTY = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n</rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>'
)
END = b"</rdf:RDF>"
# as an element, which we write, or as an attribute, which other programs may make of it
VALUE = re.compile(rb'(<maagiqa:scores>|maagiqa:scores=")([^<"]*)')


def put(packet: bytes | None, text: str) -> bytes:
    """A packet with the text in place of an earlier one, or beside what else is in it.

    Raises:
        MetadataError: it is laid out in another way than XMP is written everywhere.
    """
    packet = EMPTY if packet is None else packet
    value = html.escape(text).encode("ascii")
    if VALUE.search(packet):
        return VALUE.sub(lambda found: found[1] + value, packet)
    before, end, after = packet.rpartition(END)
    if not end:
        raise MetadataError("its XMP is written in a way that is not understood here")
    ours = b'<rdf:Description rdf:about="" xmlns:maagiqa="%s"><maagiqa:scores>%s</maagiqa:scores></rdf:Description>\n'
    return before + ours % (NAMESPACE.encode(), value) + end + after


def get(packet: bytes | None) -> str | None:
    """The text in a packet, if there is one."""
    found = VALUE.search(packet or b"")
    return html.unescape(found[2].decode("ascii", "replace")) if found else None
