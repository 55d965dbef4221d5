"""Looking for damage in a cache, byte by byte, and mending it: whole rows are kept, nothing else is touched."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow

from maagiqa_pyiqa.cache.feature_cache import FAILURES, FeatureCache, read_failures
from maagiqa_pyiqa.cache.manifest import MANIFEST, CacheMismatchError, DamagedCacheError, Manifest
from maagiqa_pyiqa.cache.part import PATTERN, Part, part_name
from maagiqa_pyiqa.cache.storage import Storage, open_storage


@dataclass
class Verification:
    """What was found: number of whole rows, and a line for each damaged file."""

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
        ValueError: a newer format.
    """
    storage = open_storage(location)
    found = Verification()
    names = storage.names(PATTERN)
    if not storage.names(MANIFEST) and not names:
        raise FileNotFoundError(f"'{storage.location}' is no feature cache.")
    manifest = _verified_manifest(storage, names, found, repair)
    for name in names:
        with contextlib.suppress(FileNotFoundError):  # joined into a larger part meanwhile
            _verify_part(storage, name, manifest, found, repair)
    for name in storage.names(FAILURES):
        _verify_failures(storage, name, found, repair)
    return found


def _verified_manifest(storage: Storage, names: list[str], found: Verification, repair: bool) -> Manifest:
    try:
        manifest = Manifest.from_json(storage.read(MANIFEST), MANIFEST)
        agree = (_is_of(part, manifest) for part in _readable_parts(storage, names))
        if next(agree, True) or any(agree):
            return manifest
        found.damage[MANIFEST] = "it is another cache's: no part agrees with it"
    except (DamagedCacheError, FileNotFoundError) as error:
        found.damage[MANIFEST] = str(error)
    for part in _readable_parts(storage, names):
        if repair:
            storage.write(MANIFEST, part.manifest.to_json().encode())
        return part.manifest
    raise DamagedCacheError(
        f"the manifest of '{storage.location}' is damaged and no part is whole: nothing can be saved; "
        "remove the directory and extract again."
    )


def _readable_parts(storage: Storage, names: list[str]) -> Iterator[Part]:
    for name in names:
        with contextlib.suppress(DamagedCacheError, FileNotFoundError):
            yield _salvaged(name, storage.map(name), storage.location)


def _is_of(part: Part, manifest: Manifest) -> bool:
    try:
        part.manifest.require_same(manifest, "", "")
    except CacheMismatchError:
        return False
    return True


def _verify_part(storage: Storage, name: str, manifest: Manifest, found: Verification, repair: bool) -> None:
    content = storage.read(name)  # all of it, and not from a local copy
    whole = part_name(content) == name
    try:
        part = _salvaged(name, pyarrow.py_buffer(content), storage.location)
        part.manifest.require_same(manifest, f"part '{name}'", "the manifest says")
    except (DamagedCacheError, CacheMismatchError) as error:
        found.damage[name] = str(error)
        if repair:
            _set_aside(storage, name, content)
        return
    rows = list(range(len(part))) if whole else part.whole_rows()
    found.rows += len(rows)
    if whole:
        return
    found.damage[name] = f"it is not what was written; of its {len(part)} rows {len(rows)} are whole"
    if repair:
        storage.write(f"damaged-{name}", content)
        FeatureCache(storage, manifest, []).append(part.entries(rows), part.features[rows])
        if part_name(storage.read(name)) != name:  # where every row is whole, they have just replaced it
            storage.remove(name)


def _salvaged(name: str, content: pyarrow.Buffer, where: str) -> Part:
    try:
        return Part(name, content, where)
    except DamagedCacheError as error:
        with contextlib.suppress(DamagedCacheError):
            return Part(name, content, where, salvage=True)
        raise error


def _verify_failures(storage: Storage, name: str, found: Verification, repair: bool) -> None:
    try:
        read_failures(storage, name)
    except DamagedCacheError as error:
        found.damage[name] = str(error)
        if repair:
            _set_aside(storage, name, storage.read(name))


def _set_aside(storage: Storage, name: str, content: bytes) -> None:
    storage.write(f"damaged-{name}", content)
    storage.remove(name)
