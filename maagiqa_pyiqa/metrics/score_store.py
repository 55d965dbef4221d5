"""Scores kept in one SQLite file: whatever was scored once is never scored again, and a killed run loses a second.

A score belongs to the pixels of an image and to a participant's key (see ``metrics/identity.py``); names of files and
of metrics are not part of it. Every commit is whole or not there, also when the process or the machine dies.
"""

from __future__ import annotations

import functools
import itertools
import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from PIL import Image

from maagiqa_pyiqa.cache.keys import pixel_key
from maagiqa_pyiqa.images.ahead import map_files_ahead
from maagiqa_pyiqa.images.decoding import UnreadableImageError, decode
from maagiqa_pyiqa.images.sources import ImagePath, ImageSource
from maagiqa_pyiqa.metrics.cost import Cost
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.progress import progress

T = TypeVar("T")
FORMAT = 1
BUSY_SECONDS = 60.0  # how long a commit waits for another process
COMMIT_IMAGES = 256  # pixel keys that are committed at once
QUERY_VALUES = 500  # in a query; every SQLite takes 999
SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, pixel_key BLOB
);
CREATE TABLE IF NOT EXISTS scores (
    participant TEXT, pixel_key BLOB, score REAL, gate TEXT, error TEXT, PRIMARY KEY (participant, pixel_key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS costs (
    participant TEXT PRIMARY KEY,
    images INTEGER, seconds REAL, parameters INTEGER, peak_memory_bytes INTEGER, device TEXT
);
"""


class KeptScore(NamedTuple):
    """What is known of one image: a score, with gate weights if the metric gives them, or the reason of a failure."""

    score: float | None
    gate: list[float] | None = None
    error: str | None = None


class ScoreStore:
    """The file; use it as a context manager.

    Args:
        path: made where absent.

    Raises:
        ValueError: not a store, or one of a later version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(self.path, timeout=BUSY_SECONDS)
        try:
            with self._database as database:
                version = database.execute("PRAGMA user_version").fetchone()[0]
                database.executescript(SCHEMA)
                database.execute(f"PRAGMA user_version = {FORMAT}")
        except sqlite3.DatabaseError as error:
            raise InputError(f"'{self.path}' cannot be used as a store of scores: {error}; move it away.") from error
        if version > FORMAT:
            raise InputError(f"'{self.path}' was written by a later version of maagiqa_pyiqa (format {version}).")

    def __enter__(self) -> ScoreStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    # ---------------------------------------------------------------------------------------------------------- scores

    def read(self, participant: str, keys: Iterable[bytes] | None = None) -> dict[bytes, KeptScore]:
        """What is kept of a participant for those of the images, by default of all, that it has seen."""
        query = "SELECT pixel_key, score, gate, error FROM scores WHERE participant = ?"
        if keys is None:
            rows: Iterable[Any] = self._database.execute(query, (participant,))
        else:
            rows = itertools.chain.from_iterable(
                self._database.execute(f"{query} AND pixel_key IN {_marks(part)}", (participant, *part))
                for part in _parts(set(keys))
            )
        return {key: KeptScore(score, json.loads(gate) if gate else None, error) for key, score, gate, error in rows}

    def write(self, participant: str, scores: Mapping[bytes, KeptScore]) -> None:
        """Keep scores, all of them or, if this is interrupted, none."""
        rows = [
            (participant, key, kept.score, json.dumps(kept.gate) if kept.gate else None, kept.error)
            for key, kept in scores.items()
        ]
        with self._database as database:
            database.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?)", rows)

    def forget_failures(self, participant: str) -> None:
        """Drop what failed, so that it is tried again."""
        with self._database as database:
            database.execute("DELETE FROM scores WHERE participant = ? AND score IS NULL", (participant,))

    # ----------------------------------------------------------------------------------------------------------- costs

    def cost(self, participant: str) -> Cost | None:
        """What a participant's scores took so far."""
        row = self._database.execute(
            "SELECT images, seconds, parameters, peak_memory_bytes, device FROM costs WHERE participant = ?",
            (participant,),
        ).fetchone()
        return Cost(*row) if row else None

    def add_cost(self, participant: str, cost: Cost) -> None:
        """Add what a run took; a run on another device starts anew."""
        before = self.cost(participant)
        values = asdict(cost)
        if before is not None and before.device == cost.device:
            values["images"] += before.images
            values["seconds"] += before.seconds
            values["peak_memory_bytes"] = max(before.peak_memory_bytes, cost.peak_memory_bytes)
        with self._database as database:
            database.execute(
                "INSERT OR REPLACE INTO costs VALUES "
                "(:participant, :images, :seconds, :parameters, :peak_memory_bytes, :device)",
                {"participant": participant, **values},
            )

    # ----------------------------------------------------------------------------------------------------- pixel keys

    def is_known(self, path: ImagePath) -> bool:
        """Whether ``pixel_keys`` knows an image's key without decoding it."""
        query = "SELECT 1 FROM files WHERE path = ? AND size = ? AND mtime_ns = ?"
        state = _state(path)
        return state is not None and self._database.execute(query, state).fetchone() is not None

    def pixel_keys(
        self, paths: Sequence[ImagePath], workers: int = 0, see: Callable[[ImagePath, Image.Image], None] | None = None
    ) -> list[bytes | str]:
        """Key of each image by its pixels, or why it cannot be read.

        A file is decoded only where its path, size or time of change is new.

        Args:
            paths: images.
            workers: threads that decode; 0 decodes here.
            see: is given, in any thread, each image that had to be decoded.
        """
        states = [_state(path) for path in paths]
        query = "SELECT path, size, mtime_ns, pixel_key FROM files WHERE path IN "
        known = {
            (path, size, changed): key
            for part in _parts({state[0] for state in states if state})
            for path, size, changed, key in self._database.execute(query + _marks(part), part)
        }
        images = {state: path for state, path in zip(states, paths, strict=True) if state and state not in known}
        new = list(images)
        decoded_key = functools.partial(_decoded_key, see)
        decoded = map_files_ahead(decoded_key, [*images.values()], workers=workers, count=2 * workers)
        with progress(total=len(new), what="reading images") as bar:
            for start in range(0, len(new), COMMIT_IMAGES):
                found = dict(zip(new[start : start + COMMIT_IMAGES], decoded, strict=False))
                known.update(found)
                self._keep_keys({state: key for state, key in found.items() if isinstance(key, bytes)})
                bar.update(len(found))
        return [
            known[state] if state else "no such file" if isinstance(path, Path) else decoded_key(path)
            for state, path in zip(states, paths, strict=True)
        ]

    def _keep_keys(self, keys: Mapping[tuple[str, int, int], bytes]) -> None:
        with self._database as database:
            rows = [(*state, key) for state, key in keys.items()]
            database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", rows)


def _parts(values: Collection[T]) -> Iterator[tuple[T, ...]]:
    """Values in parts that one query of any SQLite takes."""
    rest = iter(values)
    while part := tuple(itertools.islice(rest, QUERY_VALUES)):
        yield part


def _marks(values: Sequence[object]) -> str:
    return f"({', '.join('?' * len(values))})"


def _state(path: ImagePath) -> tuple[str, int, int] | None:
    try:
        if isinstance(path, ImageSource):
            return path.state()
        found = path.stat()
    except Exception:  # also whatever a storage raises
        return None
    return str(path.absolute()), found.st_size, found.st_mtime_ns


def _decoded_key(see: Callable[[ImagePath, Image.Image], None] | None, path: ImagePath) -> bytes | str:
    try:
        image = decode(path)
        if see is not None:
            see(path, image)
        return pixel_key(image)
    except UnreadableImageError as error:
        return str(error)
