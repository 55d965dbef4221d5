"""File names and other words of strangers as data: shown without effect on a terminal or in a spreadsheet."""

from __future__ import annotations

import re

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def printable(text: object) -> str:
    r"""Text for a terminal: control, formatting and undecodable characters are written out, such as ``\x1b``.

    A name with a line break or an escape sequence can then neither forge a row nor change what stands elsewhere.
    """
    return "".join(character if character.isprintable() else _escaped(character) for character in str(text))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def spreadsheet_safe(cell: str) -> str:
    """A cell of text for a CSV: what a spreadsheet would run as a formula gets an apostrophe before it.

    Cells that begin with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return are meant; numbers are not text.
    ``from_spreadsheet`` undoes it.
    """
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell


def from_spreadsheet(cell: str) -> str:
    """Undo ``spreadsheet_safe``."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA_STARTS) else cell


def encodable(text: str) -> str:
    r"""Text that any Unicode format takes: what is not, as in a file's name of another encoding, becomes ``\udcXX``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def from_encodable(text: str) -> str:
    """Undo ``encodable``."""
    return re.sub(r"\\udc([89a-f][0-9a-f])", lambda found: chr(0xDC00 + int(found[1], 16)), text)
