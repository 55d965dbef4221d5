"""Files moved so that it can be gone on with after any stop, and undone: a list says what goes where before it goes.

No file is ever written over: a file appears in its new place by a link, which fails where there is one already, and
leaves its old place last.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
import itertools
import os
import re
import secrets
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from maagiqa_pyiqa.support.csv_files import as_csv, read_csv
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.files import ASIDE_SUFFIX, write_whole
from maagiqa_pyiqa.support.text import from_encodable, from_spreadsheet

# what a file system says that has no hard links, or where the other place is on another one
NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)
LONGEST_NAME = 200  # of a file's own in that of its copy's parts
PART = re.compile(rf"\.(.*)\.[0-9a-f]{{16}}{re.escape(ASIDE_SUFFIX)}", re.DOTALL)


class Move(NamedTuple):
    """A file's place before and after, both absolute, and why it was moved."""

    source: Path
    target: Path
    reason: str


def write_moves(path: Path, moves: Sequence[Move]) -> None:
    """Write the list: columns ``from``, ``to`` and ``reason``."""
    write_whole(path, as_csv(("from", "to", "reason"), [(str(a), str(b), reason) for a, b, reason in moves]))


def read_moves(path: str | Path) -> list[Move]:
    """Read the list.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is no list of moves.
    """
    table = read_csv(path, as_text=True)
    if [*table.columns] != ["from", "to", "reason"]:
        raise InputError(f"'{path}' is no list of moves: it has the columns {', '.join(table.columns)}.")
    rows = ([from_encodable(from_spreadsheet(cell)) for cell in row] for row in table.itertuples(index=False))
    moves = [Move(Path(source), Path(target), reason) for source, target, reason in rows]
    for move in moves:
        if not (move.source.is_absolute() and move.target.is_absolute()):
            raise InputError(f"'{path}' is no list of moves: '{move.source}' to '{move.target}' are not whole paths.")
    return moves


def finish(moves: Sequence[Move]) -> list[str]:
    """Bring every file to its new place, as far as it is not there; returns what could not be, and why."""
    _remove_parts_of_copies(moves)
    return [problem for move in moves if (problem := _carry(move.source, move.target))]


def undo(moves: Sequence[Move]) -> list[str]:
    """Bring every file back, as far as it is not there; returns what could not be, and why."""
    _remove_parts_of_copies(moves)
    return [problem for move in moves if (problem := _carry(move.target, move.source))]


def _remove_parts_of_copies(moves: Sequence[Move]) -> None:
    """Remove what a run that was killed while it copied has left beside the files' places."""
    names = defaultdict(set)
    for place in itertools.chain.from_iterable(move[:2] for move in moves):
        names[place.parent].add(place.name[:LONGEST_NAME])
    for folder, those in names.items():
        with contextlib.suppress(OSError):
            for found in os.listdir(folder):
                part = PART.fullmatch(found)
                if part and part[1] in those:
                    (folder / found).unlink(missing_ok=True)


def _carry(start: Path, end: Path) -> str | None:
    """Bring a file from one place to another; says why it is not there, if so."""
    try:
        if not os.path.lexists(start):
            return None if os.path.lexists(end) else f"'{start}' is gone"
        if not os.path.lexists(end):
            end.parent.mkdir(parents=True, exist_ok=True)
            _appear(start, end)
        elif not _are_same(start, end):
            return f"'{end}' is another file, so '{start}' stays where it is"
        start.unlink()
    except OSError as error:
        return f"'{start}' could not be moved to '{end}': {error.strerror or error}"
    return None


def _appear(start: Path, end: Path) -> None:
    try:
        os.link(start, end, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        _copy(start, end)


def _copy(start: Path, end: Path) -> None:
    """Copy to another file system, whole or not at all."""
    aside = end.with_name(f".{end.name[:LONGEST_NAME]}.{secrets.token_hex(8)}{ASIDE_SUFFIX}")
    try:
        shutil.copy2(start, aside)
        with open(aside, "rb") as file:
            os.fsync(file.fileno())
        try:
            os.link(aside, end)
        except OSError as error:
            if error.errno not in NO_LINKS or os.path.lexists(end):
                raise
            aside.rename(end)
    finally:
        with contextlib.suppress(FileNotFoundError):
            aside.unlink()


def _are_same(start: Path, end: Path) -> bool:
    """Whether a killed run left one file in both places."""
    return os.path.samefile(start, end) or filecmp.cmp(start, end, shallow=False)
