"""Output files that are whole or not there, and never in place of what is no regular file.

A file is written aside under a name nobody can guess, synced to the disk, and moved into place. What a killed process
left aside goes when the next one writes to the same place. Devices, pipes and symbolic links are written through;
``-`` is standard output.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

if os.name == "posix":
    import fcntl

STANDARD_OUTPUT = "-"
ASIDE_SUFFIX = ".aside"
REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG)


def require_writable(path: str | Path) -> None:
    """Check an output before the work that fills it: its folder is made, and a file can be created there.

    Raises:
        IsADirectoryError: the path is a folder.
        OSError: nothing can be written there; names the path.
    """
    if str(path) == STANDARD_OUTPUT:
        return
    target = _through_links(path)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, f"output '{path}' is a folder; name a file in it.")
    try:
        if _is_special(target):
            _require_permission(target)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with _aside(target):
            pass
    except OSError as error:
        raise OSError(error.errno, f"output '{path}' cannot be written: {error.strerror}.") from error


@contextlib.contextmanager
def written_whole(path: str | Path) -> Iterator[Path]:
    """Give a path to write to, and bring what was written into place if nothing went wrong.

    Args:
        path: a file, made with its folder if absent; a device, a pipe or a link, which is written through.
    """
    target = _through_links(path)
    if _is_special(target):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder, target.name)
            with open(Path(folder, target.name), "rb") as content, open(target, "wb") as special:
                shutil.copyfileobj(content, special)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    with _aside(target) as aside:
        mode = _mode_of(target)
        yield aside
        with open(aside, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(aside, mode)
        os.replace(aside, target)


def write_whole(path: str | Path, content: str | bytes) -> None:
    r"""Write a file, whole or not at all; ``-`` is standard output.

    What is not Unicode in a text, such as a file's name in another encoding, is written out as ``\udcXX``.

    Raises:
        OSError: the place refuses it, as a full disk does; says where the content went instead.
    """
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    if str(path) == STANDARD_OUTPUT:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        with written_whole(path) as aside:
            aside.write_bytes(data)
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        reason = f"'{path}' could not be written: {error.strerror}. {keep_elsewhere(path, data)}"
        raise OSError(error.errno, reason) from error


def keep_elsewhere(path: str | Path, data: bytes) -> str:
    """Write what had no place elsewhere into the folder for temporary files; say where, or that this failed too."""
    try:
        descriptor, kept = tempfile.mkstemp(suffix=f"-{Path(path).name}")
        with open(descriptor, "wb") as file:
            file.write(data)
    except OSError as error:
        return f"It could not be kept in '{tempfile.gettempdir()}' either: {error.strerror}."
    return f"What was to be written is in '{kept}'."


def _mode_of(path: Path) -> int:
    """Permissions of a file, or those that a new file gets."""
    if path.exists():
        return path.stat().st_mode & 0o7777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _require_permission(special: Path) -> None:
    """Check a device by opening it; a pipe is left alone: its reader would take the closing for the end."""
    if not special.is_fifo():
        os.close(os.open(special, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0)))
    elif not os.access(special, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _through_links(path: str | Path) -> Path:
    path = Path(path).expanduser()
    # /dev/stdout and what a shell puts for >(command) are links to what has no path
    return Path(os.path.realpath(path)) if path.is_symlink() and not _is_special(path) else path


def _is_special(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


@contextlib.contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """An empty file beside the target, created exclusively and locked for as long as its writer lives."""
    aside = target.with_name(f".{target.name[:200]}.{secrets.token_hex(8)}{ASIDE_SUFFIX}")
    descriptor = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        if os.name == "posix":
            with contextlib.suppress(OSError):  # a file system without locks: then nothing is swept there
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield aside
    finally:
        os.close(descriptor)
        aside.unlink(missing_ok=True)


def _sweep(target: Path) -> None:
    """Remove what writers of this target that are gone left aside: nobody holds its lock."""
    if os.name != "posix":
        return
    prefix = f".{target.name[:200]}."
    with contextlib.suppress(OSError):
        for name in os.listdir(target.parent):
            if name.startswith(prefix) and name.endswith(ASIDE_SUFFIX):
                _remove_if_abandoned(target.parent / name)


def _remove_if_abandoned(aside: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(aside, os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            aside.unlink()
        finally:
            os.close(descriptor)
