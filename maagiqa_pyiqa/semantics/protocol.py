"""What every semantic extractor offers, and the names of dtypes.

A leaf of the package: whoever takes an extractor as an object, such as the feature cache, needs only this module.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from PIL import Image

Images: TypeAlias = "Iterable[str | Path | Image.Image | torch.Tensor] | torch.Tensor"
TORCH_DTYPES: MappingProxyType[str, torch.dtype] = MappingProxyType(
    {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
)
DTYPES = ("auto", *TORCH_DTYPES)


class FeatureMaker(Protocol):
    """The origin and the shape of features: what a feature cache asks of an extractor."""

    @property
    def prompts(self) -> Sequence[str]:
        """Names of the E semantic prompts, in the order of the output."""

    @property
    def feature_dim(self) -> int:
        """D, width of a vector."""

    @property
    def fingerprint(self) -> str:
        """Hash of everything the numbers depend on: weights, prompts, pooling, preprocessing, dtype."""

    @property
    def fingerprint_parts(self) -> Mapping[str, Any]:
        """The same in readable form, as JSON can hold it."""


@runtime_checkable
class SemanticExtractor(FeatureMaker, Protocol):
    """A frozen model giving one vector per image and semantic prompt."""

    @property
    def batch_size(self) -> int:
        """Images encoded at once."""

    def extract(self, images: Images) -> torch.Tensor:
        """Return (N, E, D) float32 on the CPU; raise on the first image that cannot be read."""

    def stream(self, images: Images) -> Iterator[tuple[int, torch.Tensor | Exception]]:
        """Yield (index, (E, D) features or the error) for each image, in order, with bounded memory."""


@runtime_checkable
class DescribingExtractor(SemanticExtractor, Protocol):
    """A semantic extractor whose model can also answer its prompts in words."""

    def describe(self, image: Any, prompt: str, limit: int = 128) -> Iterator[str]:
        """Yield the answer about one image, piece by piece.

        Args:
            image: path, PIL image or tensor (3, H, W) in [0, 1].
            prompt: one of ``prompts``.
            limit: maximum number of tokens to write.

        Raises:
            ValueError: the image cannot be read, or there is no such prompt.
        """


def fingerprint_of(parts: Mapping[str, Any]) -> str:
    """Hash the readable parts that define an extractor's numbers."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
