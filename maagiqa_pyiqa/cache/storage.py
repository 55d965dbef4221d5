"""Where a cache lives: a local directory or any fsspec URL, with files that are whole or absent."""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import os
import stat
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import pyarrow

from maagiqa_pyiqa.cache.manifest import REMEDY, DamagedCacheError
from maagiqa_pyiqa.support.folder_lock import folder_lock

MAX_TEXT_BYTES = 2**26  # of a manifest or of notes


class Storage(Protocol):
    """The few things a cache asks of its place. Names are file names without folders."""

    location: str

    def names(self, pattern: str) -> list[str]:
        """Files that match, sorted."""

    def read(self, name: str) -> bytes:
        """Content of a text file.

        Raises:
            FileNotFoundError: it is not there.
            DamagedCacheError: it is a directory, device or pipe, or larger than any such file (MAX_TEXT_BYTES).
        """

    def map(self, name: str) -> pyarrow.Buffer:
        """Content of a file that never changes, memory-mapped; raises as ``read`` does, whatever the size."""

    def map_anew(self, name: str) -> pyarrow.Buffer:
        """As ``map``, and not from a local copy."""

    def write(self, name: str, content: bytes | pyarrow.Buffer) -> None:
        """Write a file; it appears whole or not at all, and stays after a power cut."""

    def create(self, name: str, content: bytes) -> bool:
        """Write a file unless it is there; return whether it was written."""

    def rename(self, name: str, new_name: str) -> None:
        """Give a file another name."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is still there."""

    def held_for(self, what: str) -> AbstractContextManager[None]:
        """Keep others who ask for this out meanwhile; storage at a URL has no locks, and nothing is kept out.

        Raises:
            FileExistsError: another process holds it; names its pid, host and start.
        """


def open_storage(location: str | os.PathLike[str]) -> Storage:
    """Storage at a local path or an fsspec URL (``s3://``, ``gs://``, ``hf://`` ...)."""
    text = os.fspath(location)
    if "://" in text and not text.startswith("file://"):
        return RemoteStorage(text)
    return LocalStorage(text.removeprefix("file://"))


def write_to_cache(storage: Storage, name: str, content: bytes | pyarrow.Buffer, what: str) -> None:
    """Write a file of a cache.

    Raises:
        OSError: the disk is full or the storage fails; says that ``what`` could not be written and the rest is kept.
    """
    try:
        storage.write(name, content)
    except OSError as error:
        message = (
            f"{what} could not be written to cache '{storage.location}': {error.strerror or error}. "
            "What was written before is kept; the next run goes on from there."
        )
        raise (OSError(error.errno, message) if error.errno else ConnectionError(message)) from error


class LocalStorage:
    """A directory."""

    def __init__(self, location: str) -> None:
        self.folder = Path(location).expanduser()
        self.location = str(self.folder)

    def names(self, pattern: str) -> list[str]:
        """Files that match, sorted."""
        if not self.folder.is_dir():
            return []
        return sorted(name for name in os.listdir(self.folder) if fnmatch.fnmatch(name, pattern))

    def read(self, name: str) -> bytes:
        """Content of a text file."""
        path = self.folder / name
        _require_text(_size(path), path)
        return path.read_bytes()

    def map(self, name: str) -> pyarrow.Buffer:
        """Content of a file, memory-mapped."""
        return _map(self.folder / name)

    map_anew = map

    def write(self, name: str, content: bytes | pyarrow.Buffer) -> None:
        """Write aside, fsync, rename."""
        with self._written_aside(name, content) as aside:
            os.replace(aside, self.folder / name)

    def create(self, name: str, content: bytes) -> bool:
        """Write unless it is there: a link, unlike a rename, never replaces."""
        if (self.folder / name).exists():
            return False
        with self._written_aside(name, content) as aside:
            try:
                os.link(aside, self.folder / name)
            except FileExistsError:
                return False
            return True

    @contextlib.contextmanager
    def _written_aside(self, name: str, content: Any) -> Iterator[Path]:
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = self.folder / f".{name}.{uuid.uuid4().hex}"
        try:
            with aside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield aside
            self._sync_folder()
        finally:
            aside.unlink(missing_ok=True)

    def _sync_folder(self) -> None:
        if os.name == "posix":  # elsewhere a directory cannot be opened
            descriptor = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def rename(self, name: str, new_name: str) -> None:
        """Give a file another name."""
        os.replace(self.folder / name, self.folder / new_name)
        self._sync_folder()

    def remove(self, name: str) -> None:
        """Remove a file, if it is still there."""
        (self.folder / name).unlink(missing_ok=True)

    def held_for(self, what: str) -> AbstractContextManager[None]:
        """Keep others who ask for this out meanwhile."""
        return folder_lock(self.folder, what, "Wait until it has ended")


class RemoteStorage:
    """An fsspec URL. Objects appear whole by themselves; what is mapped is first copied to a local folder."""

    def __init__(self, location: str) -> None:
        import fsspec

        self.location = location.rstrip("/")
        self.filesystem, self.root = fsspec.core.url_to_fs(self.location)
        name = hashlib.sha256(self.location.encode()).hexdigest()[:16]
        user = os.getuid() if hasattr(os, "getuid") else ""  # one user cannot write into another's folder
        default = os.path.join(tempfile.gettempdir(), f"maagiqa-cache-copies-{user}")
        self.copies = Path(os.environ.get("MAAGIQA_CACHE_COPIES", default)) / name

    def names(self, pattern: str) -> list[str]:
        """Files that match, sorted."""
        self.filesystem.invalidate_cache()
        try:
            with self._reaching():
                paths = self.filesystem.ls(self.root, detail=False)
        except FileNotFoundError:
            return []
        names = (path.rsplit("/", 1)[-1] for path in paths)
        return sorted(name for name in names if fnmatch.fnmatch(name, pattern))

    def read(self, name: str) -> bytes:
        """Content of a text object."""
        with self._reaching():
            size = self.filesystem.size(f"{self.root}/{name}")
        _require_text(size or 0, f"{self.location}/{name}")
        return self._fetch(name)

    def _fetch(self, name: str) -> bytes:
        with self._reaching():
            return bytes(self.filesystem.cat_file(f"{self.root}/{name}"))

    def map(self, name: str) -> pyarrow.Buffer:
        """Content of an object that never changes, copied once and memory-mapped."""
        copy = self.copies / name
        if not copy.is_file():
            LocalStorage(str(self.copies)).write(name, self._fetch(name))
        return _map(copy)

    def map_anew(self, name: str) -> pyarrow.Buffer:
        """Content of an object, fetched."""
        return pyarrow.py_buffer(self._fetch(name))

    def write(self, name: str, content: bytes | pyarrow.Buffer) -> None:
        """Write an object; a copy of what it was is removed."""
        (self.copies / name).unlink(missing_ok=True)
        with self._reaching():
            self.filesystem.makedirs(self.root, exist_ok=True)
            self.filesystem.pipe_file(f"{self.root}/{name}", bytes(content))

    def create(self, name: str, content: bytes) -> bool:
        """Write unless it is there; of two writers at the same moment one is refused, where the storage can do that."""
        path = f"{self.root}/{name}"
        try:
            with self._reaching():
                if self.filesystem.exists(path):
                    return False
                self.filesystem.makedirs(self.root, exist_ok=True)
                self.filesystem.pipe_file(path, content, mode="create")
        except FileExistsError:
            return False
        return True

    def rename(self, name: str, new_name: str) -> None:
        """Give an object another name."""
        (self.copies / name).unlink(missing_ok=True)
        with self._reaching():
            self.filesystem.mv(f"{self.root}/{name}", f"{self.root}/{new_name}")

    def held_for(self, what: str) -> AbstractContextManager[None]:
        """Nothing is kept out."""
        return contextlib.nullcontext()

    def remove(self, name: str) -> None:
        """Remove an object, if it is still there, and its copy."""
        (self.copies / name).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError), self._reaching():
            self.filesystem.rm_file(f"{self.root}/{name}")

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        """Make one kind of error of what each file system raises in its own way."""
        try:
            yield
        except OSError:
            raise
        except Exception as error:
            raise ConnectionError(f"'{self.location}' cannot be reached: {error}") from error


def _map(path: Path) -> pyarrow.Buffer:
    size = _size(path)
    if size == 0:  # cannot be mapped
        return pyarrow.py_buffer(b"")
    try:
        with pyarrow.memory_map(str(path)) as file:
            return file.read_buffer()  # the buffer keeps the mapping alive
    except FileNotFoundError:  # joined into a larger part since it was measured; readers list the parts anew
        raise
    except OSError as error:  # such as a limit of the process
        raise OSError(f"'{path}' of a cache ({size:,} bytes) cannot be mapped: {error}") from error


def _size(path: Path) -> int:
    """Size of a file of its own; to open a pipe would wait for its other end."""
    try:
        state = path.stat()
    except OSError as error:
        if path.is_symlink():
            raise DamagedCacheError(f"'{path}' is a link that leads nowhere. {REMEDY}") from error
        raise
    if not stat.S_ISREG(state.st_mode):
        raise DamagedCacheError(f"'{path}' is no file but a directory, a pipe or a device. {REMEDY}")
    return state.st_size


def _require_text(size: int, what: object) -> None:
    if size > MAX_TEXT_BYTES:
        raise DamagedCacheError(f"'{what}' has {size:,} bytes; at most {MAX_TEXT_BYTES:,} are read of it. {REMEDY}")
