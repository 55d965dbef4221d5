"""Files that are whole or not there: written aside, then moved into place."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to, and move what was written into place if nothing went wrong."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_whole(path: str | Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with written_whole(path) as aside:
        aside.write_text(text, encoding="utf-8")
