"""A feature cache in place of the model: ``semantics='cache:DIR'`` scores images whose features are there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from maagiqa_pyiqa.cache.index import ABSENT
from maagiqa_pyiqa.cache.keys import ImageFile, pixel_key
from maagiqa_pyiqa.cache.reader import CacheReader, read_manifest
from maagiqa_pyiqa.cache.storage import open_storage
from maagiqa_pyiqa.images.decoding import UnreadableImageError
from maagiqa_pyiqa.semantics.batched_extractor import BatchedExtractor, as_pil


class NotCachedError(LookupError, ValueError):
    """An image whose features are not in the cache; the message names the command that extracts them."""


class CachedExtractor(BatchedExtractor):
    """Semantic extractor that looks features up by decoded pixels (of a file first by its bytes); loads no model.

    Args:
        location: directory or URL of the cache.
        device: not used; features come as float32 on the CPU.
        dtype: not used.
        batch_size: images looked up at once.
    """

    def __init__(
        self,
        location: str | os.PathLike[str],
        device: torch.device | str | None = None,
        dtype: str = "auto",
        *,
        batch_size: int | None = None,
    ) -> None:
        super().__init__(64 if batch_size is None else batch_size)
        self.cache = CacheReader.open(location)
        self.prompts = self.cache.manifest.prompts
        self.feature_dim = self.cache.manifest.feature_dim
        self.fingerprint = self.cache.manifest.fingerprint

    @classmethod
    def feature_dim_of(cls, location: str) -> int:
        """Return D of a cache's features without opening its parts."""
        return read_manifest(open_storage(location)).feature_dim

    @classmethod
    def fingerprint_of_source(cls, location: str) -> str:
        """Return the fingerprint of the extractor that filled a cache, without opening its parts."""
        return read_manifest(open_storage(location)).fingerprint

    @property
    def fingerprint_parts(self) -> Mapping[str, Any]:
        """Those of the extractor that filled the cache."""
        return self.cache.manifest.parts

    def _prepare(self, image: Any) -> int:
        row = self._find(image)
        if row == ABSENT:
            what = f"image '{image}'" if isinstance(image, (str, Path)) else "an image (by its pixels)"
            raise NotCachedError(
                f"{what} is not in the feature cache '{self.cache.location}'; extract it first: "
                f"maagiqa extract IMAGE --cache {self.cache.location}"
            )
        return row

    def _find(self, image: Any) -> int:
        if not isinstance(image, (str, Path)) or not Path(image).is_file():
            return self.cache.find_pixels(pixel_key(as_pil(image)))
        try:
            return self.cache.find(ImageFile(Path(image).read_bytes()))
        except UnreadableImageError as error:
            raise UnreadableImageError(f"image '{image}' cannot be read: {error}") from error

    def _encode(self, batch: list[int]) -> torch.Tensor:
        return self.cache.get(batch)
