"""CSV files as people have them: comma, semicolon, tab or bar; UTF-8 with or without a mark, or UTF-16 with one."""

from __future__ import annotations

import codecs
import collections
import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas

from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.text import spreadsheet_safe

DELIMITERS = (",", ";", "\t", "|")
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_csv(path: str | Path, *, as_text: bool = False) -> pandas.DataFrame:
    """Read a table with a header, see ``parse_csv``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: as ``parse_csv``.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"CSV '{path}' does not exist.")
    return parse_csv(path.read_bytes(), str(path), as_text=as_text)


def parse_csv(content: bytes, path: str, *, as_text: bool = False) -> pandas.DataFrame:
    """A table with a header, from a file's content.

    The delimiter is the one that parts the header into most columns. Beside semicolons a comma is a decimal point.

    Args:
        content: of the file.
        path: of the file, for messages.
        as_text: leave every cell a string, such as names like 001 and NA.

    Raises:
        ValueError: another encoding, a row with too many cells, a column named twice, or nothing at all; names the
            file, the row and what to do.
    """
    text = _decode(path, content)
    delimiter = _check_header(path, text)
    options: dict[str, Any] = {"dtype": str, "keep_default_na": False} if as_text else {}
    try:
        return pandas.read_csv(
            io.StringIO(text),
            sep=delimiter,
            index_col=False,
            decimal="," if delimiter == ";" else ".",
            **options,
        )
    except (pandas.errors.ParserError, pandas.errors.EmptyDataError) as error:
        reason = " ".join(str(error).split()).removeprefix("Error tokenizing data. C error: ")
        raise InputError(
            f"CSV '{path}' cannot be read: {reason}. A cell that holds the delimiter '{delimiter}' or a line break "
            'needs quotes (").'
        ) from error


def as_csv(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as text, its words without effect in a spreadsheet; see ``text.spreadsheet_safe``."""
    text = io.StringIO()
    write, write_quoted = (
        csv.writer(text, lineterminator="\n", quoting=quoting).writerow
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )
    for row in (header, *rows):
        cells = [spreadsheet_safe(cell) if isinstance(cell, str) else cell for cell in row]
        # a carriage return ends a row for who reads it, and is left bare where it is not the writer's own line end
        (write_quoted if any("\r" in str(cell) for cell in cells) else write)(cells)
    return text.getvalue()


def frame_as_csv(frame: pandas.DataFrame) -> str:
    """A table of pandas as text, without its index and with its words as ``as_csv`` has them."""
    columns = {
        spreadsheet_safe(str(name)): column
        if pandas.api.types.is_numeric_dtype(column)
        else column.map(lambda cell: spreadsheet_safe(cell) if isinstance(cell, str) else cell)
        for name, column in frame.items()
    }
    return pandas.DataFrame(columns).to_csv(index=False, lineterminator="\n")


def _decode(path: str, content: bytes) -> str:
    encoding = "utf-16" if content.startswith(UTF16_MARKS) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        raise InputError(
            f"CSV '{path}', row {row}: byte 0x{content[error.start]:02x} is not "
            f"{encoding.removesuffix('-sig').upper()}. Save the file as UTF-8 (in a spreadsheet: CSV UTF-8)."
        ) from error
    if "\0" in text:
        row = text[: text.index("\0")].count("\n") + 1
        raise InputError(
            f"CSV '{path}', row {row} holds zero bytes: it is no text, or UTF-16 without a mark. Save it as UTF-8."
        )
    return text


def _check_header(path: str, text: str) -> str:
    """The delimiter, once the header makes sense."""
    first = next((line for line in text.splitlines() if line.strip()), None)
    if first is None:
        raise InputError(f"CSV '{path}' is empty; it needs a row of column names and a row for each image.")
    try:
        headers = {delimiter: next(csv.reader([first], delimiter=delimiter)) for delimiter in DELIMITERS}
    except csv.Error as error:
        raise InputError(f"CSV '{path}': its first row is no header: {error}.") from error
    delimiter = max(headers, key=lambda candidate: len(headers[candidate]))  # the first of equals
    repeated = [name for name, count in collections.Counter(headers[delimiter]).items() if count > 1]
    if repeated:
        raise InputError(f"CSV '{path}': column '{repeated[0]}' stands twice in the header; rename one.")
    return delimiter
