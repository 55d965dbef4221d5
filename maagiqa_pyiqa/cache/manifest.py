"""What all features of a cache have in common, in ``manifest.json``."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

FORMAT = 1
MANIFEST = "manifest.json"
DTYPES = ("float16", "float32")


class CacheMismatchError(ValueError):
    """A cache of other features than those asked for; the message shows both."""


class DamagedCacheError(ValueError):
    """A file of a cache is not what was written; the message names it and says what to do."""


class Extractor(Protocol):
    """What a cache asks of a semantic extractor."""

    @property
    def prompts(self) -> Sequence[str]:
        """Names of the semantic prompts, in order."""

    @property
    def feature_dim(self) -> int:
        """D, width of a vector."""

    @property
    def fingerprint(self) -> str:
        """Hash of everything the numbers depend on."""


@dataclass(frozen=True)
class Manifest:
    """Format version, whose features these are, and their shape.

    ``parts`` are the readable things behind the fingerprint; ``dtype`` is what is kept on disk.
    """

    fingerprint: str
    prompts: tuple[str, ...]
    feature_dim: int
    dtype: str = "float16"
    parts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    format: int = FORMAT

    @property
    def shape(self) -> tuple[int, int]:
        """(E, D) of one image's features."""
        return len(self.prompts), self.feature_dim

    @classmethod
    def of_extractor(cls, extractor: Extractor, dtype: str = "float16") -> Manifest:
        """Manifest of a cache for an extractor's features.

        Raises:
            ValueError: ``dtype`` is not float16 or float32.
        """
        if dtype not in DTYPES:
            raise ValueError(f"a feature cache keeps {' or '.join(DTYPES)}, got dtype {dtype!r}.")
        parts = json.loads(json.dumps(dict(getattr(extractor, "fingerprint_parts", {}))))
        return cls(extractor.fingerprint, tuple(extractor.prompts), extractor.feature_dim, dtype, parts)

    def to_json(self) -> str:
        """Text of ``manifest.json``, with a checksum of itself."""
        content = {**dataclasses.asdict(self), "prompts": list(self.prompts)}
        return json.dumps({**content, "checksum": _checksum(content)}, indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Manifest:
        """Read a manifest.

        Raises:
            DamagedCacheError: it was changed or cut short after it was written.
            ValueError: a newer format.
        """
        try:
            content = json.loads(text)
            checksum = content.pop("checksum")
        except (ValueError, KeyError, AttributeError) as error:
            raise DamagedCacheError(f"{where} is not a whole manifest ({error}). {REMEDY}") from error
        if content.get("format", FORMAT) > FORMAT:
            raise ValueError(f"{where} has format {content['format']}; this version reads up to {FORMAT}. Update it.")
        if checksum != _checksum(content):
            raise DamagedCacheError(f"{where} was changed after it was written. {REMEDY}")
        return cls(**{**content, "prompts": tuple(content["prompts"])})

    def require_same(self, other: Manifest, where: str, what: str) -> None:
        """Raise CacheMismatchError unless both are about the same features, showing what differs."""
        if self.fingerprint == other.fingerprint and self.shape == other.shape:
            return
        keys = sorted(key for key in {*self.parts, *other.parts} if self.parts.get(key) != other.parts.get(key))
        lines = [f"  {key}: {_short(self.parts.get(key))} there, {_short(other.parts.get(key))} here" for key in keys]
        raise CacheMismatchError(
            "\n".join(
                [
                    f"{where} holds other features than {what}: fingerprint {self.fingerprint[:12]} there, "
                    f"{other.fingerprint[:12]} here; use another cache directory.",
                    *lines,
                ]
            )
        )


REMEDY = "Run 'maagiqa cache verify --repair DIR'."


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
