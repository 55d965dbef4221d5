"""Lists of images: tables with a column of paths, and what comes on standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import pandas

from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import nearest
from maagiqa_pyiqa.support.tables import parse_json_lines, parse_table

COLUMNS = ("name", "path", "image", "img_path", "file", "filename")  # looked for unless a column is named


class ImageList(NamedTuple):
    """Names of images as a list has them, and the cells of each row by column; ``where`` is what the list is called."""

    names: Sequence[str]
    rows: Sequence[Mapping[str, str]]
    where: str


def read_list(content: bytes, where: str, column: str | None = None) -> ImageList:
    """Read a table with a column of paths.

    Args:
        content: of the file.
        where: its name, whose ending says what it is.
        column: by default the first of COLUMNS that is there.

    Raises:
        ValueError: no table, or no such column.
    """
    return _of_table(parse_table(content, where, as_text=True), where, column)  # names such as 001 and NA


def read_standard_input(column: str | None = None) -> ImageList | list[str]:
    """Read a list on standard input: JSON lines, as ``--jsonl`` writes them, or names, one a line or ended by zeros.

    Raises:
        ValueError: it is empty; or as ``read_list``.
    """
    content = sys.stdin.buffer.read()
    if content.lstrip()[:1] == b"{":
        return _of_table(parse_json_lines(content, "standard input", as_text=True), "standard input", column)
    # find -print0 ends names by zeros, since they may hold line breaks
    names = content.split(b"\0") if b"\0" in content else content.splitlines()
    found = [os.fsdecode(name) for name in names if name.strip()]
    if not found:
        raise InputError("standard input names no image; give one path a line, such as: find . -name '*.png'")
    return found


def column_of_paths(columns: Collection[str], where: str, column: str | None = None) -> str:
    """The column of a table that holds paths.

    Args:
        columns: of the table.
        where: what the table is called.
        column: what is asked for; by default the first of COLUMNS that is there.

    Raises:
        ValueError: there is no such column.
    """
    wanted = [column] if column else [name for name in COLUMNS if name in columns][:1]
    if not wanted or wanted[0] not in columns:
        hint = nearest(column, columns) if column else ""
        raise InputError(f"'{where}' has no column {column or ' or '.join(COLUMNS)}.{hint} Name one with --column.")
    return wanted[0]


def _of_table(table: pandas.DataFrame, where: str, column: str | None) -> ImageList:
    wanted = column_of_paths(table.columns, where, column)
    names = [str(name) for name in table.columns]
    rows = [dict(zip(names, row, strict=True)) for row in table.itertuples(index=False, name=None)]
    return ImageList([*table[wanted]], rows, where)
