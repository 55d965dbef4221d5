"""Tables with a row for each image, as people have them: CSV, Parquet or JSON lines, told by the name's ending.

What has no name of its own, such as standard input, is told by its content.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas

from maagiqa_pyiqa.support.csv_files import parse_csv, read_csv
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.text import encodable

PARQUET = ".parquet"
JSON_LINES = (".jsonl", ".ndjson")
SUFFIXES = (".csv", ".tsv", PARQUET, *JSON_LINES)


def is_table(path: str | Path) -> bool:
    """Whether the name is that of a table."""
    return Path(path).suffix.lower() in SUFFIXES


def read_table(path: str | Path, *, as_text: bool = False) -> pandas.DataFrame:
    """Read a table by the name's ending, CSV where there is no other; see ``parse_table``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: as ``parse_table``.
    """
    path = Path(path).expanduser()
    if path.suffix.lower() not in (PARQUET, *JSON_LINES):
        return read_csv(path, as_text=as_text)
    if not path.is_file():
        raise FileNotFoundError(f"table '{path}' does not exist.")
    return parse_table(path.read_bytes(), str(path), as_text=as_text)


def parse_table(content: bytes, name: str, *, as_text: bool = False) -> pandas.DataFrame:
    """A table from a file's content; columns of lists, objects and bytes are left out.

    Args:
        content: of the file.
        name: of the file, whose ending says what it is; with none of SUFFIXES the content does.
        as_text: make every cell a string, empty where there is none.

    Raises:
        ValueError: it is no such table; names the file, the line if there are any, and what to do.
    """
    suffix = Path(name).suffix.lower()
    unnamed = suffix not in SUFFIXES
    if suffix == PARQUET or (unnamed and content.startswith(b"PAR1")):
        return _parse_parquet(content, name, as_text)
    if suffix in JSON_LINES or (unnamed and content.lstrip().startswith(b"{")):
        return parse_json_lines(content, name, as_text=as_text)
    return parse_csv(content, name, as_text=as_text)


def parse_json_lines(content: bytes, name: str, *, as_text: bool = False) -> pandas.DataFrame:
    """A table from lines of JSON, each an object; see ``parse_table``."""
    rows = [_parse_line(line, name, number) for number, line in enumerate(content.splitlines(), 1) if line.strip()]
    if not rows:
        raise InputError(f"'{name}' is empty; it needs an object of JSON a line, one for each image.")
    columns = dict.fromkeys(column for row in rows for column in row)
    if as_text:
        return pandas.DataFrame([[_as_text(row.get(column)) for column in columns] for row in rows], columns=[*columns])
    return pandas.DataFrame(rows, columns=[*columns])


def as_parquet(columns: Mapping[str, str], rows: Iterable[Sequence[object]]) -> bytes:
    """A Parquet file of rows.

    Args:
        columns: name of each and its type, such as ``string``, ``int64`` and ``double``.
        rows: their cells; None is null, and of texts what is no Unicode is written as escapes.
    """
    import pyarrow
    from pyarrow import parquet

    cells = [*zip(*rows, strict=True)] or [()] * len(columns)
    arrays = [
        pyarrow.array([encodable(cell) if isinstance(cell, str) else cell for cell in column], kind)
        for column, kind in zip(cells, columns.values(), strict=True)
    ]
    content = io.BytesIO()
    parquet.write_table(pyarrow.table(arrays, list(columns)), content)
    return content.getvalue()


def _parse_line(line: bytes, name: str, number: int) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"'{name}', line {number} is no JSON: {error}. Each line has to be one object.") from error
    if not isinstance(row, dict):
        raise InputError(f"'{name}', line {number} is no object of JSON but {line[:40].decode(errors='replace')!r}.")
    cells = {encodable(column): cell for column, cell in row.items() if not isinstance(cell, (dict, list))}
    return {column: encodable(cell) if isinstance(cell, str) else cell for column, cell in cells.items()}


def _parse_parquet(content: bytes, name: str, as_text: bool) -> pandas.DataFrame:
    import pyarrow
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(io.BytesIO(content))
        table = file.read(columns=[field.name for field in file.schema_arrow if _is_plain(field.type)])
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"'{name}' cannot be read as Parquet: {reason[:200]}") from error
    if not as_text:
        return table.to_pandas()
    return pandas.DataFrame({column: [*map(_as_text, table[column].to_pylist())] for column in table.column_names})


def _is_plain(kind: Any) -> bool:
    from pyarrow import types

    return not (types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind))


def _as_text(cell: Any) -> str:
    return "" if cell is None else str(cell)
