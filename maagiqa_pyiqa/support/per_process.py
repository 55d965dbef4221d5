"""What every process makes for itself, such as a network: neither pickled nor shared, and safe to fork around."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

Made = TypeVar("Made")


class PerProcess(Generic[Made]):
    """Makes something when it is first used, once in a process, and lends it to one thread at a time.

    A pickled or copied one holds only how to make it. In a forked process what was made before is there, and the lock
    is open whoever held it.

    Args:
        make: without arguments; picklable where this is to be pickled.
    """

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make = make
        self._made: Made | None = None
        self.open_lock()
        _all.add(self)

    def open_lock(self) -> None:
        """In a process that was just forked, where the thread that holds the lock may be missing."""
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def lent(self) -> Iterator[Made]:
        """Give it to this thread alone while the block runs."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            yield self._made

    def __deepcopy__(self, memo: dict[int, Any]) -> PerProcess[Made]:
        return PerProcess(self._make)

    def __reduce__(self) -> tuple[type[PerProcess[Made]], tuple[Callable[[], Made]]]:
        return PerProcess, (self._make,)


_all: weakref.WeakSet[PerProcess[Any]] = weakref.WeakSet()


def _open_locks() -> None:
    for one in _all:
        one.open_lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open_locks)
