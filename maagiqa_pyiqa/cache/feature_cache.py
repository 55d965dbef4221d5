"""Semantic features on disk, extracted once: written by any number of processes at once, read without locks.

A cache is a directory (or fsspec URL) with ``manifest.json``, append-only ``part-*.arrow`` files and
``failures-*.jsonl``. A part appears whole or not at all. Only "absent" is a miss: other features, a damaged part or a
wrong shape is an error that says what to do.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow
import torch

from maagiqa_pyiqa.cache.index import ABSENT, KeyIndex
from maagiqa_pyiqa.cache.manifest import MANIFEST, REMEDY, DamagedCacheError, Manifest
from maagiqa_pyiqa.cache.part import PATTERN, TORCH_DTYPES, Entry, Part, encode_part, part_name, stored_source
from maagiqa_pyiqa.cache.storage import Storage, open_storage
from maagiqa_pyiqa.semantics.protocol import FeatureMaker

PART_BYTES = 256 * 2**20  # what small parts are joined up to
SMALL_PARTS = 64  # a writer joins its own parts when it has so many of a size
FAILURES = "failures-*.jsonl"
AMBIGUOUS = -2  # in place of a row: several images were read under one name


class Failure(NamedTuple):
    """An image that could not be extracted, and why; ``file_key`` is hexadecimal."""

    source: str
    file_key: str
    reason: str


class FeatureCache:
    """An open cache. Make one with ``create`` or ``open``.

    Rows are numbered within what was open when they were asked for; ``refresh`` and ``compact`` number them anew.
    Copies made by pickling see the same rows, so that workers of a DataLoader agree.

    Attributes:
        manifest: what all features have in common.
        location: directory or URL.
    """

    def __init__(self, storage: Storage, manifest: Manifest, names: Sequence[str] | None = None) -> None:
        self._storage = storage
        self.location = storage.location
        self.manifest = manifest
        self._lock = threading.RLock()  # threads look up keys while another appends
        self._parts: list[Part] = []
        self._own_parts: dict[str, int] = {}  # size in bytes of parts this process wrote
        if names is None:
            self.refresh()
        else:
            self._load(names)

    @classmethod
    def create(cls, location: str | os.PathLike[str], extractor: FeatureMaker, dtype: str = "float16") -> FeatureCache:
        """Open a cache for writing an extractor's features, making it if it is not there.

        Args:
            location: directory or fsspec URL.
            extractor: whose features will be written.
            dtype: ``float16`` or ``float32`` on disk, where the cache is new.

        Raises:
            CacheMismatchError: it holds another extractor's features; shows what differs.
            DamagedCacheError: a file is damaged.
        """
        storage = open_storage(location)
        own = Manifest.of_extractor(extractor, dtype)
        storage.create(MANIFEST, own.to_json().encode())
        cache = cls(storage, _read_manifest(storage))
        cache.require(own, "the extractor's")
        cache._remove_replaced()
        return cache

    @classmethod
    def open(cls, location: str | os.PathLike[str], extractor: FeatureMaker | None = None) -> FeatureCache:
        """Open a cache for reading.

        Args:
            location: directory or fsspec URL.
            extractor: whose features are expected, if that is known.

        Raises:
            FileNotFoundError: there is no cache; names the command that makes one.
            CacheMismatchError: it holds another extractor's features.
            DamagedCacheError: a file is damaged.
        """
        storage = open_storage(location)
        cache = cls(storage, _read_manifest(storage))
        if extractor is not None:
            cache.require(Manifest.of_extractor(extractor), "the extractor's")
        return cache

    def require(self, manifest: Manifest, what: str) -> None:
        """Raise CacheMismatchError unless the cache is about the same features."""
        self.manifest.require_same(manifest, f"cache '{self.location}'", what)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.location, self.manifest, [part.name for part in self._parts])

    # ------------------------------------------------------------------------------------------------------- reading

    def refresh(self) -> None:
        """See what other processes have written since; rows are numbered anew."""
        before = None
        while True:
            names = self._storage.names(PATTERN)
            if self._parts and {part.name for part in self._parts} == set(names):
                return
            try:
                self._load(names)
                return
            except FileNotFoundError:  # joined into a larger part since the listing
                if names == before:
                    raise
                before = names

    def _load(self, names: Sequence[str]) -> None:
        known = {part.name: part for part in self._parts}
        parts = [known.get(name) or self._open_part(name) for name in names]
        replaced = frozenset().union(*(part.replaces for part in parts))
        with self._lock:
            self._replaced = [name for name in names if name in replaced]  # left behind by a writer that was killed
            self._parts = [part for part in parts if part.name not in replaced]
            self._starts = np.cumsum([0, *map(len, self._parts)])
            self._indices: dict[str, Any] = {}
            here = {part.name for part in self._parts}
            self._own_parts = {name: size for name, size in self._own_parts.items() if name in here}

    def _open_part(self, name: str) -> Part:
        part = Part(name, self._storage.map(name), self.location)
        part.manifest.require_same(self.manifest, f"part '{name}' of cache '{self.location}'", "its manifest says")
        return part

    def __len__(self) -> int:
        """Number of different images."""
        return self._pixel_index().count_distinct()

    @property
    def rows(self) -> int:
        """Number of rows, images extracted twice counted twice."""
        return int(self._starts[-1])

    def _pixel_index(self) -> KeyIndex:
        return self._index("pixel", lambda: KeyIndex([part.pixel_keys for part in self._parts]))

    def _index(self, kind: str, build: Callable[[], Any]) -> Any:
        with self._lock:
            if kind not in self._indices:
                self._indices[kind] = build()
            return self._indices[kind]

    def find_pixels(self, key: bytes) -> int:
        """Row of an image by its ``keys.pixel_key``, or ABSENT."""
        return self._pixel_index().find(key)

    def find_file(self, key: bytes) -> int:
        """Row of an image by its ``keys.file_key``, or ABSENT."""
        return self._index("file", lambda: KeyIndex([part.file_keys for part in self._parts])).find(key)

    def find_source(self, name: str) -> int:
        """Row of an image by the name it was read under, or ABSENT; content is not looked at.

        Raises:
            ValueError: different images were read under that name.
        """
        row = self._index("source", self._rows_by_source).get(stored_source(name), ABSENT)
        if row == AMBIGUOUS:
            raise ValueError(
                f"different images in cache '{self.location}' were read under the name '{name}'; look it up by content."
            )
        return row

    def _rows_by_source(self) -> dict[str, int]:
        names = (source for part in self._parts for source in part.sources)
        rows: dict[str, int] = {}
        for row, name in enumerate(names):
            first = rows.setdefault(name, row)
            if first != row and (first == AMBIGUOUS or self._pixel_key(first) != self._pixel_key(row)):
                rows[name] = AMBIGUOUS
        return rows

    def _pixel_key(self, row: int) -> bytes:
        part, within = self._locate(row)
        return part.pixel_keys[within].tobytes()

    def _locate(self, row: int) -> tuple[Part, int]:
        index = int(self._starts.searchsorted(row, "right")) - 1
        return self._parts[index], row - int(self._starts[index])

    def get(self, rows: Sequence[int]) -> torch.Tensor:
        """Features of rows, (N, E, D) float32, a copy.

        Raises:
            IndexError: a row that is not there, ABSENT among them.
        """
        out = torch.empty(len(rows), *self.manifest.shape)
        for target, row in zip(out, rows, strict=True):
            if not 0 <= row < self._starts[-1]:
                raise IndexError(f"cache '{self.location}' has {self.rows} rows, no row {row}.")
            part, within = self._locate(row)
            target.copy_(part.features[within])
        return out

    def statistics(self) -> dict[str, Any]:
        """What it holds, as readable facts."""
        row = self.manifest.feature_dim * len(self.manifest.prompts) * TORCH_DTYPES[self.manifest.dtype].itemsize
        return {
            "location": self.location,
            "images": len(self),
            "rows": self.rows,
            "failures": len(self.failures()),
            "parts": len(self._parts),
            "bytes": sum(part.bytes for part in self._parts),
            "feature_bytes": row * self.rows,
            "features": f"{' x '.join(map(str, self.manifest.shape))} {self.manifest.dtype}",
            "prompts": ", ".join(self.manifest.prompts),
            "fingerprint": self.manifest.fingerprint,
            "made by": dict(self.manifest.parts),
        }

    def entries(self) -> Iterator[Entry]:
        """All entries, in the order of rows."""
        for part in self._parts:
            yield from part.entries()

    # ------------------------------------------------------------------------------------------------------- writing

    def append(self, entries: Sequence[Entry], features: torch.Tensor) -> None:
        """Write features of images, as one part; rows may be numbered anew.

        Args:
            entries: one per image.
            features: (N, E, D), floating point.

        Raises:
            ValueError: wrong shape, NaN, or values beyond half precision.
            OSError: the disk is full or the storage fails; the cache stays as it was.
        """
        if not entries:
            return
        self._write(entries, self._checked(entries, features))
        self._join_own_parts()

    def _checked(self, entries: Sequence[Entry], features: torch.Tensor) -> torch.Tensor:
        expected = (len(entries), *self.manifest.shape)
        if tuple(features.shape) != expected:
            raise ValueError(f"features must have shape (N, E, D) = {expected}, got {tuple(features.shape)}.")
        stored = features.detach().cpu().to(TORCH_DTYPES[self.manifest.dtype])
        if not stored.isfinite().all():
            bad = [e.source for e, row in zip(entries, stored, strict=True) if not row.isfinite().all()]
            raise ValueError(
                f"features of {bad[:3]} are not finite in {self.manifest.dtype}; a cache of dtype float32 holds "
                "values beyond 65504, NaN is never written."
            )
        return stored

    def _write(self, entries: Sequence[Entry], stored: torch.Tensor, replaces: Sequence[str] = ()) -> None:
        content = encode_part(self.manifest, entries, stored, replaces)
        name = part_name(content)
        self._store(name, content, f"features of {len(entries)} images")
        try:
            part = self._open_part(name)
        except FileNotFoundError:  # another process has joined it already
            self.refresh()
            return
        with self._lock:
            self._own_parts[name] = content.size
            self._add_to_indices(entries)
            self._parts.append(part)
            self._starts = np.append(self._starts, self._starts[-1] + len(part))

    def _store(self, name: str, content: bytes | pyarrow.Buffer, what: str) -> None:
        try:
            self._storage.write(name, content)
        except OSError as error:
            message = (
                f"{what} could not be written to cache '{self.location}': {error.strerror or error}. "
                "What was written before is kept; the next run goes on from there."
            )
            raise (OSError(error.errno, message) if error.errno else ConnectionError(message)) from error

    def _add_to_indices(self, entries: Sequence[Entry]) -> None:
        if "pixel" in self._indices:
            self._indices["pixel"].add((entry.pixel_key for entry in entries), self.rows)
        if "file" in self._indices:
            self._indices["file"].add((entry.file_key or b"" for entry in entries), self.rows)
        self._indices.pop("source", None)

    def _join_own_parts(self) -> None:
        """Join small parts that this process wrote, so that a long run leaves few and large ones."""
        if self._own_parts_to_join():
            self.refresh()  # another process may have joined them already
        while names := self._own_parts_to_join():
            self._join(names)

    def _own_parts_to_join(self) -> list[str]:
        """Parts of about one size, once they are many or fill a large one."""
        small = {name: size for name, size in self._own_parts.items() if size < PART_BYTES / 2}
        smallest = min(small.values(), default=0)
        alike = [name for name, size in small.items() if size < 8 * smallest]
        enough = len(alike) >= SMALL_PARTS or sum(small[name] for name in alike) >= PART_BYTES
        return alike if enough else []

    def _join(self, names: Sequence[str]) -> None:
        """Write parts anew as one that replaces them, each image once, then remove them."""
        chosen = set(names)
        entries, features = _distinct([part for part in self._parts if part.name in chosen])
        self._write(entries, features, replaces=names)
        self._load([part.name for part in self._parts])
        self._remove_replaced()

    def _remove_replaced(self) -> None:
        for name in self._replaced:
            self._storage.remove(name)
        self._replaced = []

    def compact(self) -> None:
        """Join parts into few large ones, in each of which an image is once. Safe while others read and write."""
        self.refresh()
        self._remove_replaced()
        row_bytes = TORCH_DTYPES[self.manifest.dtype].itemsize * self.manifest.feature_dim * len(self.manifest.prompts)
        group: list[str] = []
        rows = 0
        for part in list(self._parts):
            if rows and (rows + len(part)) * row_bytes > PART_BYTES:
                self._join_if_useful(group)
                group, rows = [], 0
            group.append(part.name)
            rows += len(part)
        self._join_if_useful(group)

    def _join_if_useful(self, group: Sequence[str]) -> None:
        if len(group) > 1:
            self._join(group)

    def merge(self, other: FeatureCache) -> int:
        """Add another cache's features to this one; return how many images were new.

        Raises:
            CacheMismatchError: the other cache holds other features; shows both.
        """
        self.require(other.manifest, f"cache '{other.location}'")
        added = 0
        for part in list(other._parts):
            new = {key.tobytes(): row for row, key in enumerate(part.pixel_keys)}
            rows = [row for key, row in new.items() if self.find_pixels(key) == ABSENT]
            self.append(part.entries(rows), part.features[rows])
            added += len(rows)
        return added

    # ------------------------------------------------------------------------------------------------------ failures

    def record_failures(self, failures: Sequence[Failure]) -> None:
        """Note images that could not be extracted."""
        if failures:
            lines = "".join(json.dumps(failure._asdict()) + "\n" for failure in failures)
            name = FAILURES.replace("*", uuid.uuid4().hex)
            self._store(name, lines.encode(), f"notes of {len(failures)} images that failed")

    def failures(self) -> list[Failure]:
        """All images that could not be extracted, each file once.

        Raises:
            DamagedCacheError: a file of notes is damaged.
        """
        found = [failure for name in self._storage.names(FAILURES) for failure in read_failures(self._storage, name)]
        return list({(failure.source, failure.file_key): failure for failure in found}.values())

    def forget_failures(self) -> None:
        """Remove the notes of failed images, before they are tried again."""
        for name in self._storage.names(FAILURES):
            self._storage.remove(name)


def read_failures(storage: Storage, name: str) -> list[Failure]:
    """Notes in one file; none if it was removed meanwhile.

    Raises:
        DamagedCacheError: it is not what was written.
    """
    try:
        return [Failure(**json.loads(line)) for line in storage.read(name).splitlines()]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise DamagedCacheError(f"'{name}' of the cache '{storage.location}' is damaged ({error}). {REMEDY}") from error


def read_manifest(location: str | os.PathLike[str]) -> Manifest:
    """What a cache's features have in common, without opening its parts; errors as ``FeatureCache.open``."""
    return _read_manifest(open_storage(location))


def _read_manifest(storage: Storage) -> Manifest:
    try:
        text = storage.read(MANIFEST)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(
            f"'{storage.location}' is no feature cache: it holds no {MANIFEST}. Make one with "
            f"'maagiqa extract IMAGES --cache {storage.location}'."
        ) from error
    return Manifest.from_json(text, f"'{storage.location}/{MANIFEST}'")


def _reopen(location: str, manifest: Manifest, names: list[str]) -> FeatureCache:
    try:
        return FeatureCache(open_storage(location), manifest, names)
    except FileNotFoundError as error:
        raise DamagedCacheError(f"cache '{location}' was compacted while it was in use; open it again.") from error


def _distinct(parts: Iterable[Part]) -> tuple[list[Entry], torch.Tensor]:
    """Entries and features of parts, each image once."""
    seen: set[bytes] = set()
    entries, features = [], []
    for part in parts:
        rows = []
        for row, entry in enumerate(part.entries()):
            if entry.pixel_key not in seen:
                seen.add(entry.pixel_key)
                entries.append(entry)
                rows.append(row)
        features.append(part.features[rows])
    return entries, torch.cat(features)
