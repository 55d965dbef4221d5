"""A folder that one process at a time works in: a second one is refused and told who is there."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import IO

if os.name == "posix":
    import fcntl

LOCK_FILE = ".lock"
_held: set[IO[str]] = set()


@contextlib.contextmanager
def folder_lock(
    folder: str | Path, what: str, remedy: str = "Give this one another name", *, beside: bool = False
) -> Iterator[None]:
    """Hold a folder while the block runs.

    The lock is the system's and ends with the process, however that ends. Where hosts share a folder without sharing
    locks, the file's content tells of the other one.

    Args:
        folder: made if absent.
        what: runs in it, for the message, such as ``training``.
        remedy: what to do while another process holds it.
        beside: keep the lock beside the folder, which may then be moved and made again meanwhile.

    Raises:
        OSError: the lock file is a link, which could lead to any file.
        FileExistsError: another process holds it; names its pid, host and start, and the file to remove if it is gone.
    """
    folder = Path(folder)
    path = folder.with_name(f".{folder.name}{LOCK_FILE}") if beside else folder / LOCK_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="utf-8", opener=_open_itself) as file:
        _take(file, path, f"{what} runs in '{folder}'", remedy)
        file.truncate(0)
        json.dump(_this_process(), file)
        file.flush()
        _held.add(file)
        try:
            yield
        finally:
            _held.discard(file)
            file.truncate(0)


def _let_go() -> None:
    for file in _held:
        file.close()


if hasattr(os, "register_at_fork"):
    # what this process forks, such as workers that load images, may outlive it for seconds, and must not hold the lock
    os.register_at_fork(after_in_child=_let_go)


def _open_itself(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _take(file: IO[str], path: Path, what: str, remedy: str) -> None:
    free = _lock(file)
    file.seek(0)
    holder = _parse(file.read())
    if free and holder.get("host", socket.gethostname()) == socket.gethostname():
        return
    raise FileExistsError(
        f"another {what}: process {holder.get('pid', 'unknown')} on "
        f"{holder.get('host', 'an unknown host')}, since {holder.get('since', 'an unknown time')}. {remedy}; "
        f"if that process is gone, remove '{path}'."
    )


def _lock(file: IO[str]) -> bool:
    """Take the system's lock; False where another process holds it. Where the system has none, the content decides."""
    if os.name != "posix":
        file.seek(0)
        return not file.read()
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        file.seek(0)
        return not file.read()
    return True


def _parse(text: str) -> dict[str, object]:
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _this_process() -> dict[str, object]:
    since = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
