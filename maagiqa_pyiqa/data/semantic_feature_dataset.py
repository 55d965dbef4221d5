"""A dataset that adds semantic features from a cache to the items of another dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pyiqa.data import build_dataset
from torch.utils.data import Dataset

from maagiqa_pyiqa.cache.index import ABSENT
from maagiqa_pyiqa.cache.keys import ImageFile
from maagiqa_pyiqa.cache.manifest import CacheMismatchError
from maagiqa_pyiqa.cache.reader import CacheReader
from maagiqa_pyiqa.data.agi_dataset import LoaderOptions
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import parse_options, require_choice


@dataclass(frozen=True, kw_only=True)
class SemanticFeatureOptions(LoaderOptions):
    """A dataset section of an option YAML with ``type: SemanticFeatureDataset``.

    ``cache`` is a directory or URL, ``base`` the section of the dataset it wraps, without name and phase, which are
    this section's; so is ``part`` where it is given. ``fingerprint``, or its beginning, is what ``maagiqa cache info``
    shows for the features that are expected; without it any are taken. ``prompts`` are those of the cache to hand
    over; all by default.
    """

    cache: str
    base: Mapping[str, Any]
    fingerprint: str | None = None
    prompts: tuple[str, ...] | None = None
    part: str | None = None


class SemanticFeatureDataset(Dataset):
    """Items of a dataset with ``semantic_features`` (E, D), whatever it is: ours or any no-reference one of pyiqa.

    Features are those of the image file as it is, whatever the base does to its pixels (augmentations leave them alone,
    as in the authors' code). Every image is looked up by content when the dataset is made.

    Args:
        opt: section of an option YAML, see SemanticFeatureOptions.

    Raises:
        FileNotFoundError: there is no cache; names the command that makes one.
        CacheMismatchError: the cache holds other features than ``fingerprint`` says.
        ValueError: an unknown option, or images whose features are not in the cache: the first 10, their number and
            the command that extracts them.
    """

    def __init__(self, opt: Mapping[str, Any]) -> None:
        self.opt = dict(opt)
        self.options = parse_options(SemanticFeatureOptions, opt, f"dataset '{opt.get('name', opt.get('type'))}'")
        own = {"name": self.options.name, "phase": self.options.phase}
        if self.options.part is not None:
            own["part"] = self.options.part
        self.base = build_dataset({**self.options.base, **own})
        self.cache = CacheReader.open(self.options.cache)
        self._check_fingerprint()
        self._prompts = self._find_prompts()
        paths = [str(item[0]) for item in self.base.paths_mos]
        self._rows = np.array(_find_rows(self.cache, paths), dtype=np.int64)
        self._require_all(paths)

    def _check_fingerprint(self) -> None:
        expected = self.options.fingerprint
        if expected and not self.cache.manifest.fingerprint.startswith(expected):
            raise CacheMismatchError(
                f"dataset '{self.options.name}': cache '{self.options.cache}' has fingerprint "
                f"{self.cache.manifest.fingerprint[:12]}, expected {expected}; its features were made by "
                f"{dict(self.cache.manifest.parts)}."
            )

    def _find_prompts(self) -> list[int]:
        """Where the prompts that are handed over stand among the cache's."""
        own = self.cache.manifest.prompts
        wanted = own if self.options.prompts is None else self.options.prompts
        for prompt in wanted:
            require_choice(f"dataset '{self.options.name}'", "prompts", prompt, own)
        return [own.index(prompt) for prompt in wanted]

    def _require_all(self, paths: Sequence[str]) -> None:
        absent = [path for path, row in zip(paths, self._rows, strict=True) if row == ABSENT]
        if not absent:
            return
        folder = Path(absent[0]).parent
        shown = "\n  ".join([*absent[:10], *([f"... and {len(absent) - 10} more"] if len(absent) > 10 else [])])
        raise InputError(
            f"dataset '{self.options.name}': {len(absent)} of {len(paths)} images have no features in cache "
            f"'{self.options.cache}'. Extract them: maagiqa extract {folder} --cache {self.options.cache}\n  {shown}"
        )

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return the base's item and ``semantic_features`` (E, D), float32."""
        features = self.cache.get([int(self._rows[index])])[0]
        return {**self.base[index], "semantic_features": features[self._prompts]}


def _find_rows(cache: CacheReader, paths: Sequence[str]) -> list[int]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda path: cache.find(ImageFile(Path(path).read_bytes())), paths))
