"""Looking for damage in a cache, byte by byte, and mending it: whole rows are kept, nothing else is touched."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field

from maagiqa_pyiqa.cache.feature_cache import FeatureCache
from maagiqa_pyiqa.cache.manifest import MANIFEST, CacheMismatchError, DamagedCacheError, Manifest
from maagiqa_pyiqa.cache.part import PATTERN, Part
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
    """
    storage = open_storage(location)
    found = Verification()
    if not storage.names(MANIFEST) and not storage.names(PATTERN):
        raise FileNotFoundError(f"'{storage.location}' is no feature cache.")
    manifest = _verified_manifest(storage, found, repair)
    for name in storage.names(PATTERN):
        _verify_part(storage, name, manifest, found, repair)
    return found


def _verified_manifest(storage: Storage, found: Verification, repair: bool) -> Manifest:
    try:
        return Manifest.from_json(storage.read(MANIFEST), MANIFEST)
    except (DamagedCacheError, FileNotFoundError) as error:
        found.damage[MANIFEST] = str(error)
    for name in storage.names(PATTERN):
        with contextlib.suppress(DamagedCacheError):
            manifest = Part(name, storage.map(name), storage.location).manifest
            if repair:
                storage.write(MANIFEST, manifest.to_json().encode())
            return manifest
    raise DamagedCacheError(
        f"the manifest of '{storage.location}' is damaged and no part is whole: nothing can be saved; "
        "remove the directory and extract again."
    )


def _verify_part(storage: Storage, name: str, manifest: Manifest, found: Verification, repair: bool) -> None:
    try:
        part = Part(name, storage.map(name), storage.location)
        part.manifest.require_same(manifest, f"part '{name}'", "the manifest says")
    except (DamagedCacheError, CacheMismatchError) as error:
        found.damage[name] = str(error)
        if repair:
            _set_aside(storage, name)
        return
    rows = list(range(len(part))) if part.is_whole() else part.whole_rows()
    found.rows += len(rows)
    if part.is_whole():
        return
    found.damage[name] = f"{len(part) - len(rows)} of {len(part)} rows are not what was written"
    if repair:
        FeatureCache(storage, manifest, []).append(part.entries(rows), part.features[rows])
        _set_aside(storage, name)


def _set_aside(storage: Storage, name: str) -> None:
    storage.write(f"damaged-{name}", storage.read(name))
    storage.remove(name)
