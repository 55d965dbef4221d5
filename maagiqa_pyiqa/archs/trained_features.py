"""Whose semantic features a network was trained on, kept with its weights: others mean nothing to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import safe_open

from maagiqa_pyiqa.archs.checkpoints.read import read_content
from maagiqa_pyiqa.support.errors import InputError

if TYPE_CHECKING:
    from maagiqa_pyiqa.semantics.protocol import SemanticExtractor

KEY = "trained_features"  # in a pyiqa checkpoint, beside the parameters; in safetensors metadata the start of its keys


@dataclass(frozen=True)
class TrainedFeatures:
    """Fingerprint and name of an extractor, such as ``visual`` or ``mplug-owl2``."""

    fingerprint: str
    extractor: str

    @classmethod
    def of(cls, extractor: SemanticExtractor) -> TrainedFeatures:
        """Those of an extractor, or of the one that filled its feature cache."""
        parts = getattr(extractor, "fingerprint_parts", {})  # of somebody's own object perhaps not there
        return cls(extractor.fingerprint, str(parts.get("extractor", type(extractor).__name__)))

    @property
    def metadata(self) -> dict[str, str]:
        """Entries of the metadata of a safetensors file."""
        return {f"{KEY}.{name}": value for name, value in asdict(self).items()}

    def require(self, extractor: SemanticExtractor) -> None:
        """Raise ValueError unless an extractor gives these features; names both."""
        other = TrainedFeatures.of(extractor)
        if other.fingerprint != self.fingerprint:
            raise InputError(
                f"the network was trained on features of '{self.extractor}' (fingerprint {self.fingerprint[:12]}), and "
                f"the semantic extractor is '{other.extractor}' (fingerprint {other.fingerprint[:12]}): the score "
                "would mean nothing. Use the extractor it was trained with, or train it for this one; "
                "allow_other_features=True takes it all the same."
            )


def read_trained_features(path: str | Path) -> TrainedFeatures | None:
    """What a checkpoint says of the features it was trained on; None where it says nothing, as the authors' file."""
    with open(path, "rb") as file:
        start = file.read(9)
    if start[8:9] == b"{":  # safetensors: 8 bytes of header length, then JSON
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
        entries: Mapping[str, str] = {
            name.removeprefix(f"{KEY}."): value for name, value in metadata.items() if name.startswith(KEY)
        }
    else:
        content = read_content(Path(path))
        entries = content.get(KEY, {}) if isinstance(content, Mapping) else {}
    return TrainedFeatures(**entries) if entries else None
