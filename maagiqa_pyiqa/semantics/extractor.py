"""The protocol every semantic extractor follows, and how one is made from a word in an option file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from PIL import Image

from maagiqa_pyiqa.options import nearest, require_choice

Images: TypeAlias = "Iterable[str | Path | Image.Image] | torch.Tensor"
DTYPES = ("auto", "fp32", "bf16", "fp16")


@runtime_checkable
class SemanticExtractor(Protocol):
    """A frozen model giving one vector per image and semantic prompt."""

    @property
    def prompts(self) -> Sequence[str]:
        """Names of the E semantic prompts, in the order of the output."""

    @property
    def feature_dim(self) -> int:
        """D, width of a vector."""

    @property
    def fingerprint(self) -> str:
        """Hash of everything the numbers depend on: weights, prompts, pooling, preprocessing, dtype."""

    def extract(self, images: Images) -> torch.Tensor:
        """Return (N, E, D) float32 on the CPU; raise on the first image that cannot be read."""

    def stream(self, images: Images) -> Iterator[tuple[int, torch.Tensor | Exception]]:
        """Yield (index, (E, D) features or the error) for each image, in order, with bounded memory."""


def fingerprint_of(parts: Mapping[str, Any]) -> str:
    """Hash the readable parts that define an extractor's numbers."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def create_extractor(spec: str, device: torch.device | str | None = None, dtype: str = "auto") -> SemanticExtractor:
    """Make the extractor that a spec names.

    Args:
        spec: ``visual``, the small encoder inside the package.
        device: where it runs; the CPU by default.
        dtype: ``auto``, ``fp32``, ``bf16`` or ``fp16``.

    Raises:
        ValueError: no extractor of that name in this version; names the nearest.
    """
    require_choice("create_extractor", "dtype", dtype, DTYPES)
    if spec == "visual":
        from maagiqa_pyiqa.semantics.visual import VisualExtractor

        return VisualExtractor(device=device, dtype=dtype)
    raise ValueError(
        f"semantic extractor '{spec}' is not available in this version, which has: visual.{nearest(spec, ['visual'])} "
        "Or pass an object with the extractor protocol, or semantic_features with each call."
    )
