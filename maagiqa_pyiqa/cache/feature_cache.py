"""Semantic features on disk, extracted once: written by any number of processes at once, read without locks.

A cache is a directory (or fsspec URL) with ``manifest.json``, append-only ``part-*.arrow`` files and
``failures-*.jsonl``. A part appears whole or not at all. Only "absent" is a miss: other features, a damaged part or a
wrong shape is an error that says what to do.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from maagiqa_pyiqa.cache.index import ABSENT, KeyIndex
from maagiqa_pyiqa.cache.manifest import MANIFEST, DamagedCacheError, Extractor, Manifest
from maagiqa_pyiqa.cache.part import PATTERN, TORCH_DTYPES, Entry, Part, encode_part, new_name
from maagiqa_pyiqa.cache.storage import Storage, open_storage

PART_BYTES = 256 * 2**20  # what small parts are joined up to
SMALL_PARTS = 64  # a writer joins its own parts when it has so many of a size


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
        self._parts: list[Part] = []
        self._own_parts: dict[str, int] = {}  # size in bytes of small parts this process wrote
        self._load(storage.names(PATTERN) if names is None else names)

    @classmethod
    def create(cls, location: str | os.PathLike[str], extractor: Extractor, dtype: str = "float16") -> FeatureCache:
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
        return cache

    @classmethod
    def open(cls, location: str | os.PathLike[str], extractor: Extractor | None = None) -> FeatureCache:
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
        self._load(self._storage.names(PATTERN))

    def _load(self, names: Sequence[str]) -> None:
        known = {part.name: part for part in self._parts}
        parts = (known.get(name) or self._open_part(name) for name in names)
        self._parts = [part for part in parts if part is not None]
        self._starts = np.cumsum([0, *map(len, self._parts)])
        self._indices: dict[str, Any] = {}

    def _open_part(self, name: str) -> Part | None:
        try:
            part = Part(name, self._storage.map(name), self.location)
        except FileNotFoundError:
            return None  # joined into a larger part since the listing
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
        indices = self._indices  # another thread may append, and replace them
        if kind not in indices:
            indices[kind] = build()
        return indices[kind]

    def find_pixels(self, key: bytes) -> int:
        """Row of an image by its ``keys.pixel_key``, or ABSENT."""
        return self._pixel_index().find(key)

    def find_file(self, key: bytes) -> int:
        """Row of an image by its ``keys.file_key``, or ABSENT."""
        return self._index("file", lambda: KeyIndex([part.file_keys for part in self._parts])).find(key)

    def find_source(self, name: str) -> int:
        """Row of an image by the name it was read under, or ABSENT; content is not looked at."""
        return self._index("source", self._rows_by_source).get(name, ABSENT)

    def _rows_by_source(self) -> dict[str, int]:
        names = (source for part in self._parts for source in part.sources)
        return dict(zip(names, range(self.rows), strict=True))

    def get(self, rows: Sequence[int]) -> torch.Tensor:
        """Features of rows, (N, E, D) float32, a copy.

        Raises:
            IndexError: a row that is not there, ABSENT among them.
        """
        out = torch.empty(len(rows), *self.manifest.shape)
        for target, row in zip(out, rows, strict=True):
            if not 0 <= row < self._starts[-1]:
                raise IndexError(f"cache '{self.location}' has {self.rows} rows, no row {row}.")
            part = int(self._starts.searchsorted(row, "right")) - 1
            target.copy_(self._parts[part].features[row - int(self._starts[part])])
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

    def _write(self, entries: Sequence[Entry], stored: torch.Tensor) -> None:
        name = new_name()
        content = encode_part(self.manifest, entries, stored)
        try:
            self._storage.write(name, content)
        except OSError as error:
            raise OSError(
                error.errno,
                f"features of {len(entries)} images could not be written to cache '{self.location}': "
                f"{error.strerror or error}. What was written before is kept; the next run goes on from there.",
            ) from error
        part = Part(name, self._storage.map(name), self.location)
        self._own_parts[name] = content.size
        self._add_to_indices(entries)
        self._parts.append(part)
        self._starts = np.append(self._starts, self._starts[-1] + len(part))

    def _add_to_indices(self, entries: Sequence[Entry]) -> None:
        if "pixel" in self._indices:
            self._indices["pixel"].add((entry.pixel_key for entry in entries), self.rows)
        if "file" in self._indices:
            self._indices["file"].add((entry.file_key or b"" for entry in entries), self.rows)
        self._indices.pop("source", None)

    def _join_own_parts(self) -> None:
        """Join small parts of about one size that this process wrote, so that a long run leaves few."""
        smallest = min(self._own_parts.values())
        alike = [name for name, size in self._own_parts.items() if size < 8 * smallest and size < PART_BYTES / 2]
        if len(alike) >= SMALL_PARTS:
            self._join(alike)

    def _join(self, names: Sequence[str]) -> None:
        """Write parts anew as one, each image once, then remove them; at any moment every feature is in some part."""
        chosen = set(names)
        parts = [part for part in self._parts if part.name in chosen]
        entries, features = _distinct(parts)
        self._write(entries, features)
        self._parts = [part for part in self._parts if part.name not in chosen]
        for name in chosen:
            self._own_parts.pop(name, None)
            self._storage.remove(name)
        self._load([part.name for part in self._parts])

    def compact(self) -> None:
        """Join all parts into few large ones, each image once. Safe while others read and write."""
        self.refresh()
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
        for part in other._parts:
            rows = [row for row, key in enumerate(part.pixel_keys) if self.find_pixels(key.tobytes()) == ABSENT]
            if rows:
                self.append(part.entries(rows), part.features[rows])
                added += len(rows)
        return added

    # ------------------------------------------------------------------------------------------------------ failures

    def record_failures(self, failures: Sequence[Failure]) -> None:
        """Note images that could not be extracted."""
        if failures:
            lines = "".join(json.dumps(failure._asdict()) + "\n" for failure in failures)
            self._storage.write(f"failures-{uuid.uuid4().hex}.jsonl", lines.encode())

    def failures(self) -> list[Failure]:
        """All images that could not be extracted, each file once."""
        lines = (
            line for name in self._storage.names("failures-*.jsonl") for line in self._storage.read(name).splitlines()
        )
        found = [Failure(**json.loads(line)) for line in lines]
        return list({(failure.source, failure.file_key): failure for failure in found}.values())

    def forget_failures(self) -> None:
        """Remove the notes of failed images, before they are tried again."""
        for name in self._storage.names("failures-*.jsonl"):
            self._storage.remove(name)


def _read_manifest(storage: Storage) -> Manifest:
    try:
        text = storage.read(MANIFEST)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"'{storage.location}' is no feature cache: it holds no {MANIFEST}. Make one with "
            f"'maagiqa extract IMAGES --cache {storage.location}'."
        ) from error
    return Manifest.from_json(text, f"'{storage.location}/{MANIFEST}'")


def _reopen(location: str, manifest: Manifest, names: list[str]) -> FeatureCache:
    cache = FeatureCache(open_storage(location), manifest, names)
    if len(cache._parts) != len(names):
        raise DamagedCacheError(f"cache '{location}' was compacted while it was in use; open it again.")
    return cache


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
