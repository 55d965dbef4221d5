"""Semantic features on disk, extracted once: found by an image's content, memory-mapped, read without locks.

A cache is a directory (or fsspec URL) with ``manifest.json``, append-only ``part-*.arrow`` files and
``failures-*.jsonl``. A part appears whole or not at all. Only "absent" is a miss: other features, a damaged part or a
wrong shape is an error that says what to do.
"""

from __future__ import annotations

import bisect
import itertools
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch

from maagiqa_pyiqa.cache.failures import FailureNotes
from maagiqa_pyiqa.cache.index import ABSENT, KeyIndex
from maagiqa_pyiqa.cache.keys import ImageFile
from maagiqa_pyiqa.cache.manifest import MANIFEST, REMEDY, DamagedCacheError, Manifest
from maagiqa_pyiqa.cache.part import PATTERN, Entry, Part, replaced, untruthful
from maagiqa_pyiqa.cache.storage import Storage, open_storage

if TYPE_CHECKING:
    from typing import Self  # Python 3.11

KeyColumn = Literal["pixel_keys", "file_keys"]  # attributes of a Part


class CacheReader:
    """An open cache. Make one with ``open``.

    Rows are numbered within what was open when they were asked for; ``refresh`` numbers them anew. Copies made by
    pickling are readers that see the same rows, so that workers of a DataLoader agree.

    Attributes:
        manifest: what all features have in common.
        location: directory or URL.
        failures: notes of images that could not be extracted.
        parts: the open parts, whose rows follow one another.
    """

    def __init__(self, storage: Storage, manifest: Manifest, part_names: Sequence[str] | None = None) -> None:
        self.location = storage.location
        self.manifest = manifest
        self.failures = FailureNotes(storage)
        self._storage = storage
        self._lock = threading.RLock()  # threads look up keys while another appends
        self._show([])
        if part_names is None:
            self.refresh()
        else:
            self._load(part_names)

    @classmethod
    def open(cls, location: str | os.PathLike[str]) -> Self:
        """Open a cache that is there.

        Args:
            location: directory or fsspec URL.

        Raises:
            FileNotFoundError: there is no cache; names the command that makes one.
            DamagedCacheError: a file is damaged.
        """
        storage = open_storage(location)
        return cls(storage, read_manifest(storage))

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.location, self.manifest, [part.name for part in self.parts])

    def refresh(self) -> None:
        """See what other processes have written since; rows are numbered anew."""
        previous = None
        while True:
            names = self._storage.names(PATTERN)
            if {part.name for part in (*self.parts, *self._hidden)} == set(names):
                return
            try:
                self._load(names)
                return
            except FileNotFoundError:  # joined into a larger part since the listing
                if names == previous:
                    raise
                previous = names

    def _load(self, names: Sequence[str]) -> None:
        """Open the parts that are not open yet, and show those that no other replaces."""
        known = {part.name: part for part in (*self.parts, *self._hidden)}
        self._show([known.get(name) or self._open_part(name) for name in names])

    def _open_part(self, name: str) -> Part:
        part = Part(name, self._storage.map(name), self.location)
        part.manifest.require_same(self.manifest, f"part '{name}' of cache '{self.location}'", "its manifest says")
        return part

    def _show(self, parts: Sequence[Part]) -> None:
        lying = untruthful(parts)
        for part in lying:
            warnings.warn(
                f"part '{part.name}' of cache '{self.location}' is ignored: it claims to replace parts of which it "
                f"lacks images. {REMEDY}",
                stacklevel=2,
            )
        truthful = [part for part in parts if part not in lying]
        gone = replaced(truthful)
        with self._lock:
            self._replaced = [part.name for part in truthful if part.name in gone]  # left by a writer that was killed
            self.parts = [part for part in truthful if part.name not in gone]
            self._hidden = [part for part in parts if part not in self.parts]
            self._starts = list(itertools.accumulate(map(len, self.parts), initial=0))
            self._indices: dict[KeyColumn, KeyIndex] = {}

    def __len__(self) -> int:
        """Number of different images."""
        return self._index("pixel_keys").count_distinct()

    @property
    def rows(self) -> int:
        """Number of rows, images extracted twice counted twice."""
        return self._starts[-1]

    def _index(self, column: KeyColumn) -> KeyIndex:
        with self._lock:
            if column not in self._indices:
                self._indices[column] = KeyIndex([getattr(part, column) for part in self.parts])
            return self._indices[column]

    def find(self, file: ImageFile) -> int:
        """Row of an image file, by its bytes or else by its decoded pixels, or ABSENT.

        Raises:
            UnreadableImageError: its bytes are not there and it cannot be decoded.
        """
        row = self.find_file(file.file_key)
        return row if row != ABSENT else self.find_pixels(file.pixel_key)

    def find_file(self, key: bytes) -> int:
        """Row of an image by its ``keys.file_key``, or ABSENT."""
        return self._index("file_keys").find(key)

    def find_pixels(self, key: bytes) -> int:
        """Row of an image by its ``keys.pixel_key``, or ABSENT."""
        return self._index("pixel_keys").find(key)

    def get(self, rows: Sequence[int]) -> torch.Tensor:
        """Features of rows, (N, E, D) float32, a copy.

        Raises:
            IndexError: a row that is not there, ABSENT among them.
            DamagedCacheError: a row is not what was written, found when it is first read.
        """
        features = torch.empty(len(rows), *self.manifest.shape)
        for place, row in enumerate(rows):
            if not 0 <= row < self._starts[-1]:
                raise IndexError(f"cache '{self.location}' has {self.rows} rows, no row {row}.")
            number = bisect.bisect_right(self._starts, row) - 1
            features[place] = self.parts[number].row(row - self._starts[number])
        return features

    def entries(self) -> Iterator[Entry]:
        """All entries, in the order of rows."""
        for part in self.parts:
            yield from part.entries()

    def statistics(self) -> dict[str, Any]:
        """What it holds, as readable facts."""
        return {
            "location": self.location,
            "images": len(self),
            "rows": self.rows,
            "failures": len(self.failures.read()),
            "parts": len(self.parts),
            "bytes": sum(part.bytes for part in self.parts),
            "feature_bytes": self.manifest.row_bytes * self.rows,
            "features": f"{' x '.join(map(str, self.manifest.shape))} {self.manifest.dtype}",
            "prompts": ", ".join(self.manifest.prompts),
            "fingerprint": self.manifest.fingerprint,
            "made by": dict(self.manifest.parts),
        }


def read_manifest(storage: Storage) -> Manifest:
    """What a cache's features have in common, without opening its parts.

    Raises:
        FileNotFoundError: there is no cache; names the command that makes one.
        DamagedCacheError: it was changed or cut short after it was written.
        ValueError: a newer format.
    """
    try:
        text = storage.read(MANIFEST)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(
            f"'{storage.location}' is no feature cache: it holds no {MANIFEST}. Make one with "
            f"'maagiqa extract IMAGES --cache {storage.location}'."
        ) from error
    return Manifest.from_json(text, f"'{storage.location}/{MANIFEST}'")


def _reopen(location: str, manifest: Manifest, part_names: list[str]) -> CacheReader:
    try:
        return CacheReader(open_storage(location), manifest, part_names)
    except FileNotFoundError as error:
        raise DamagedCacheError(f"cache '{location}' was compacted while it was in use; open it again.") from error
