"""Long work that ends in order when it is told to: at Ctrl-C or SIGTERM."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def set_by_signals(stop: threading.Event) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end a run after its current batch; a second one ends it at once."""

    def set_or_interrupt(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        print("\nstopping after this batch; once more to stop now", file=sys.stderr)
        stop.set()

    if threading.current_thread() is not threading.main_thread():  # elsewhere no signal can be caught
        yield
        return
    previous = {number: signal.signal(number, set_or_interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
