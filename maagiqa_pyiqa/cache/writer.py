"""Adding to a feature cache: any number of processes on any number of machines may do so at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch

from maagiqa_pyiqa.cache.index import ABSENT
from maagiqa_pyiqa.cache.manifest import MANIFEST, Manifest
from maagiqa_pyiqa.cache.part import TORCH_DTYPES, Entry, Part, encode_part, part_name
from maagiqa_pyiqa.cache.reader import CacheReader, read_manifest
from maagiqa_pyiqa.cache.storage import Storage, open_storage, write_to_cache
from maagiqa_pyiqa.semantics.protocol import FeatureMaker
from maagiqa_pyiqa.support.errors import InputError

if TYPE_CHECKING:
    from typing import Self  # Python 3.11

PART_BYTES = 256 * 2**20  # what small parts are joined up to
TIDYING = "compaction or repair"
SMALL_PARTS = 64  # a writer joins its own parts when it has so many of a size


class CacheWriter(CacheReader):
    """A cache that is also added to. Make one with ``create``, or with ``open`` where it is there already.

    Every change may number rows anew.
    """

    def __init__(self, storage: Storage, manifest: Manifest, part_names: Sequence[str] | None = None) -> None:
        super().__init__(storage, manifest, part_names)
        self._own: set[str] = set()  # names of parts that this process wrote

    @classmethod
    def create(cls, location: str | os.PathLike[str], extractor: FeatureMaker, dtype: str = "float16") -> Self:
        """Open a cache for an extractor's features, making it if it is not there.

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
        cache = cls(storage, read_manifest(storage))
        cache._require(own, "the extractor's")
        cache._remove_replaced()
        return cache

    def _require(self, manifest: Manifest, whose: str) -> None:
        self.manifest.require_same(manifest, f"cache '{self.location}'", whose)

    def append(self, entries: Sequence[Entry], features: torch.Tensor) -> None:
        """Write features of images, as one part.

        Args:
            entries: one per image.
            features: (N, E, D), floating point.

        Raises:
            ValueError: wrong shape, NaN, or values beyond half precision.
            OSError: the disk is full or the storage fails; the cache stays as it was.
        """
        if entries:
            self._write(entries, self._checked(entries, features))
            self._join_own_parts()

    def _checked(self, entries: Sequence[Entry], features: torch.Tensor) -> torch.Tensor:
        expected = (len(entries), *self.manifest.shape)
        if tuple(features.shape) != expected:
            raise InputError(f"features must have shape (N, E, D) = {expected}, got {tuple(features.shape)}.")
        stored = features.detach().cpu().to(TORCH_DTYPES[self.manifest.dtype])
        if not stored.isfinite().all():
            bad = [e.source for e, row in zip(entries, stored, strict=True) if not row.isfinite().all()]
            raise InputError(
                f"features of {bad[:3]} are not finite in {self.manifest.dtype}; a cache of dtype float32 holds "
                "values beyond 65504, NaN is never written."
            )
        return stored

    def _write(self, entries: Sequence[Entry], stored: torch.Tensor, replaces: Sequence[str] = ()) -> None:
        content = encode_part(self.manifest, entries, stored, replaces)
        name = part_name(content)
        write_to_cache(self._storage, name, content, f"features of {len(entries)} images")
        try:
            part = self._open_part(name)
        except FileNotFoundError:  # another process has joined it already
            self.refresh()
            return
        with self._lock:
            self._own.add(name)
            self.parts.append(part)
            self._starts.append(self._starts[-1] + len(part))
            for column, index in self._indices.items():
                index.add(getattr(part, column))

    def _join_own_parts(self) -> None:
        """Join small parts that this process wrote, so that a long run leaves few and large ones."""
        if self._own_parts_to_join():
            self.refresh()  # another process may have joined them already
        while parts := self._own_parts_to_join():
            self._join(parts)

    def _own_parts_to_join(self) -> list[Part]:
        """Parts of about one size, once they are many or fill a large one."""
        small = [part for part in self.parts if part.name in self._own and part.bytes < PART_BYTES / 2]
        min_bytes = min((part.bytes for part in small), default=0)
        alike = [part for part in small if part.bytes < 8 * min_bytes]
        enough = len(alike) >= SMALL_PARTS or sum(part.bytes for part in alike) >= PART_BYTES
        return alike if enough else []

    def _join(self, parts: Sequence[Part]) -> None:
        """Write parts anew as one that replaces them, each image once, then remove them."""
        names = [part.name for part in parts]
        self._write(*_distinct(parts), replaces=names)
        self._own.difference_update(names)
        self._show(self.parts)
        self._remove_replaced()

    def _remove_replaced(self) -> None:
        for name in self._replaced:
            self._storage.remove(name)
        self._replaced = []

    def compact(self) -> None:
        """Join parts into few large ones, in each of which an image is once. Safe while others read and write.

        Raises:
            DamagedCacheError: a row is not what was written; what was joined before stays joined.
            FileExistsError: another process compacts or repairs it.
        """
        with self._storage.held_for(TIDYING):
            self.refresh()
            self._remove_replaced()
            for group in self._neighbours():
                if len(group) > 1:
                    self._join(group)

    def _neighbours(self) -> list[list[Part]]:
        """Parts that follow one another, in groups of up to PART_BYTES of features."""
        groups: list[list[Part]] = [[]]
        rows = 0
        for part in self.parts:
            if (rows + len(part)) * self.manifest.row_bytes > PART_BYTES:
                groups.append([])
                rows = 0
            groups[-1].append(part)
            rows += len(part)
        return groups

    def merge(self, other: CacheReader) -> int:
        """Add another cache's features to this one; return how many images were new.

        Raises:
            CacheMismatchError: the other cache holds other features; shows both.
            DamagedCacheError: a row of the other cache is not what was written.
        """
        self._require(other.manifest, f"cache '{other.location}'")
        added = 0
        for part in list(other.parts):
            last_rows = {key.tobytes(): row for row, key in enumerate(part.pixel_keys)}
            rows = [row for key, row in last_rows.items() if self.find_pixels(key) == ABSENT]
            self.append(part.entries(rows), part.rows(rows))
            added += len(rows)
        return added


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
        features.append(part.rows(rows))
    return entries, torch.cat(features)
