"""How far long work has come: a bar on a terminal, a line every half minute in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any

from tqdm import tqdm

LINE_SECONDS = 30.0
_SILENT = ContextVar("silent", default=False)


@contextlib.contextmanager
def without_progress(silent: bool = True) -> Iterator[None]:
    """Show no progress while the block runs."""
    token = _SILENT.set(silent)
    try:
        yield
    finally:
        _SILENT.reset(token)


def progress(
    items: Iterable[Any] = (), *, total: int, unit: str = "image", what: str = "", initial: int = 0
) -> tqdm[Any] | ProgressLines:
    """Count work on standard error, while ``items`` are gone through or by ``update``; a context manager.

    Args:
        items: what is worked on, if it is gone through.
        total: how many there are.
        unit: what one of them is.
        what: the name of the work.
        initial: how much of it was done before.
    """
    if sys.stderr.isatty() and not _SILENT.get():
        return tqdm(items or None, total=total, unit=unit, desc=what or None, initial=initial, disable=not total)
    return ProgressLines(items, total, unit, what, initial)


class ProgressLines:
    """Where there is no terminal: ``cnniqa: 120 of 597 images, 4.0/s, about 119 s left``; see ``progress``."""

    def __init__(self, items: Iterable[Any], total: int, unit: str, what: str, initial: int = 0) -> None:
        self.n = self._initial = initial
        self._items, self._total, self._unit = items, total, unit
        self._name = f"{what}: " if what else ""
        self._remark = ""
        self._start = self._last = time.monotonic()

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            yield item
            self.update()

    def __enter__(self) -> ProgressLines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def set_postfix_str(self, remark: str, refresh: bool = True) -> None:
        """Say something more in each line, as a bar does."""
        self._remark = f", {remark}" if remark else ""

    def update(self, n: float = 1) -> None:
        """Count, and print a line if the last is half a minute ago."""
        self.n += int(n)
        now = time.monotonic()
        if self._total and now - self._last >= LINE_SECONDS and not _SILENT.get():
            self._last = now
            print(f"{self._name}{self._state(now - self._start)}", file=sys.stderr, flush=True)

    def _state(self, seconds: float) -> str:
        rate = (self.n - self._initial) / seconds
        left = f", about {(self._total - self.n) / rate:.0f} s left" if rate else ""
        units = f"{self._unit}{'' if self._total == 1 else 's'}"
        return f"{self.n} of {self._total} {units}, {rate:.2g}/s{left}{self._remark}"
