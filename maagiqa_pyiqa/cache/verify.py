"""Looking for damage in a cache, byte by byte, and mending it: whole rows are kept, nothing else is touched."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow

from maagiqa_pyiqa.cache.failures import FAILURES, FailureNotes
from maagiqa_pyiqa.cache.manifest import MANIFEST, CacheMismatchError, DamagedCacheError, Manifest
from maagiqa_pyiqa.cache.part import PATTERN, Part, part_name, untruthful
from maagiqa_pyiqa.cache.storage import Storage, open_storage
from maagiqa_pyiqa.cache.writer import TIDYING, CacheWriter


@dataclass
class Verification:
    """Number of whole rows, and a line for each damaged file."""

    rows: int = 0
    damage: dict[str, str] = field(default_factory=dict)


def verify(location: str | os.PathLike[str], repair: bool = False) -> Verification:
    """Read every byte of a cache.

    Args:
        location: directory or URL.
        repair: write whole rows of damaged parts anew, set the damaged files aside as ``damaged-*``, and write a
            damaged manifest anew from the parts.

    Raises:
        FileNotFoundError: there is no cache.
        DamagedCacheError: the manifest is damaged and no part is left to write it anew from.
        FileExistsError: it is to be repaired while another process compacts or repairs it.
        ValueError: a newer format.
    """
    storage = open_storage(location)
    names = storage.names(PATTERN)
    if not storage.names(MANIFEST) and not names:
        raise FileNotFoundError(f"'{storage.location}' is no feature cache.")
    with storage.held_for(TIDYING) if repair else contextlib.nullcontext():
        return _verify(storage, repair)


def _verify(storage: Storage, repair: bool) -> Verification:
    names = storage.names(PATTERN)
    verifier = _Verifier(storage, repair)
    manifest = verifier.verify_manifest(names)
    for name in names:
        with contextlib.suppress(FileNotFoundError):  # joined into a larger part meanwhile
            verifier.verify_part(name, manifest)
    verifier.verify_claims()
    for name in storage.names(FAILURES):
        verifier.verify_failures(name)
    return verifier.outcome


@dataclass
class _Verifier:
    storage: Storage
    repair: bool
    outcome: Verification = field(default_factory=Verification)
    whole: list[Part] = field(default_factory=list)

    def verify_manifest(self, part_names: Sequence[str]) -> Manifest:
        """Return the manifest, or what it must have been."""
        try:
            text = self.storage.read(MANIFEST)
            manifest = Manifest.from_json(text, MANIFEST)
            manifest.require_written_as(text, MANIFEST)
            agreements = (_is_of(part, manifest) for part in self._readable_parts(part_names))
            if next(agreements, True) or any(agreements):
                return manifest
            self.outcome.damage[MANIFEST] = "it is another cache's: no part agrees with it"
        except (DamagedCacheError, FileNotFoundError) as error:
            self.outcome.damage[MANIFEST] = str(error)
        for part in self._readable_parts(part_names):
            if self.repair:
                with contextlib.suppress(FileNotFoundError):
                    self.storage.rename(MANIFEST, f"damaged-{MANIFEST}")
                self.storage.write(MANIFEST, part.manifest.to_json().encode())
            return part.manifest
        raise DamagedCacheError(
            f"the manifest of '{self.storage.location}' is damaged and no part is whole: nothing can be saved; "
            "remove the directory and extract again."
        )

    def _readable_parts(self, names: Sequence[str]) -> Iterator[Part]:
        for name in names:
            with contextlib.suppress(DamagedCacheError, FileNotFoundError):
                yield _salvaged(name, self.storage.map(name), self.storage.location)

    def verify_part(self, name: str, manifest: Manifest) -> None:
        try:
            content = self.storage.map_anew(name)
            part = _salvaged(name, content, self.storage.location)
            part.manifest.require_same(manifest, f"part '{name}'", "the manifest says")
        except (DamagedCacheError, CacheMismatchError) as error:
            self._note_and_set_aside(name, str(error))
            return
        if part.is_as_written:
            self.outcome.rows += len(part)
            self.whole.append(part)
            return
        rows = part.whole_rows()
        self.outcome.rows += len(rows)
        self.outcome.damage[name] = f"it is not what was written; of its {len(part)} rows {len(rows)} are whole"
        if self.repair:
            self.storage.write(f"damaged-{name}", content)
            CacheWriter(self.storage, manifest, []).append(part.entries(rows), part.rows(rows))
            if part_name(self.storage.map_anew(name)) != name:  # where every row is whole, they have just replaced it
                self.storage.remove(name)

    def verify_claims(self) -> None:
        for part in untruthful(self.whole):
            self.outcome.rows -= len(part)
            self._note_and_set_aside(part.name, "it claims to replace parts of which it lacks images, and is ignored")

    def verify_failures(self, name: str) -> None:
        try:
            FailureNotes(self.storage).read_file(name)
        except DamagedCacheError as error:
            self._note_and_set_aside(name, str(error))

    def _note_and_set_aside(self, name: str, reason: str) -> None:
        self.outcome.damage[name] = reason
        if self.repair:
            self.storage.rename(name, f"damaged-{name}")


def _is_of(part: Part, manifest: Manifest) -> bool:
    try:
        part.manifest.require_same(manifest, "", "")
    except CacheMismatchError:
        return False
    return True


def _salvaged(name: str, content: pyarrow.Buffer, where: str) -> Part:
    try:
        return Part(name, content, where)
    except DamagedCacheError as error:
        with contextlib.suppress(DamagedCacheError):
            return Part(name, content, where, salvage=True)
        raise error
