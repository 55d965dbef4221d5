"""What all features of a cache have in common, in ``manifest.json``."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from maagiqa_pyiqa.semantics.protocol import FeatureMaker
from maagiqa_pyiqa.support.errors import InputError

FORMAT = 1
MANIFEST = "manifest.json"
DTYPES = ("float16", "float32")
MAX_FEATURE_DIM = 2**17
MAX_ROW_BYTES = 2**26


class CacheMismatchError(InputError):
    """A cache of other features than those asked for; the message shows both."""


class DamagedCacheError(InputError):
    """A file of a cache is not what was written; the message names it and says what to do."""


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

    @property
    def row_bytes(self) -> int:
        """Size of one image's features on disk."""
        return len(self.prompts) * self.feature_dim * np.dtype(self.dtype).itemsize

    def _facts(self) -> dict[str, Any]:
        return {**self.parts, "feature_dim": self.feature_dim, "names of prompts": list(self.prompts)}

    @classmethod
    def of_extractor(cls, extractor: FeatureMaker, dtype: str = "float16") -> Manifest:
        """Manifest of a cache for an extractor's features.

        Raises:
            ValueError: ``dtype`` is not float16 or float32.
        """
        if dtype not in DTYPES:
            raise InputError(f"a feature cache keeps {' or '.join(DTYPES)}, got dtype {dtype!r}.")
        parts = json.loads(json.dumps(dict(extractor.fingerprint_parts)))
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
            unchanged = checksum == _checksum(content)  # made the same in every format
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise DamagedCacheError(f"{where} is not a whole manifest ({error}). {REMEDY}") from error
        if not unchanged:
            raise DamagedCacheError(f"{where} was changed after it was written. {REMEDY}")
        format_ = content.get("format")
        if type(format_) is int and format_ > FORMAT:
            raise InputError(f"{where} has format {format_}; this version reads up to {FORMAT}. Update it.")
        wrong = _wrong_fields(content)
        if wrong:
            raise DamagedCacheError(f"{where} is no manifest of a cache: {wrong}. {REMEDY}")
        return cls(**{**content, "prompts": tuple(content["prompts"])})

    def require_written_as(self, text: str | bytes, where: str) -> None:
        """Raise DamagedCacheError unless a manifest's text is byte by byte what ``to_json`` writes."""
        if text not in (self.to_json(), self.to_json().encode()):
            raise DamagedCacheError(f"{where} was changed after it was written. {REMEDY}")

    def require_same(self, other: Manifest, where: str, what: str) -> None:
        """Raise CacheMismatchError unless both are about the same features, showing what differs."""
        same = self.fingerprint == other.fingerprint and self.prompts == other.prompts and self.shape == other.shape
        if same:
            return
        there, here = self._facts(), other._facts()
        keys = sorted(key for key in {*there, *here} if there.get(key) != here.get(key))
        lines = [_difference(key, there.get(key), here.get(key)) for key in keys]
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


def _wrong_fields(content: Mapping[str, Any]) -> str:
    """What is wrong with a manifest of this format; empty if nothing is."""
    names = {field.name for field in dataclasses.fields(Manifest)}
    if content.keys() != names:
        return f"it has the keys {sorted(content)[:9]} where {sorted(names)} are expected"
    prompts, width, dtype = content["prompts"], content["feature_dim"], content["dtype"]
    if not isinstance(prompts, list) or not prompts or not all(isinstance(prompt, str) for prompt in prompts):
        return "its prompts are no list of names"
    if type(width) is not int or not 1 <= width <= MAX_FEATURE_DIM:
        return f"feature_dim is no number from 1 to {MAX_FEATURE_DIM:,}"
    if dtype not in DTYPES:
        return f"dtype is {str(dtype)[:40]!r} where {' or '.join(DTYPES)} is expected"
    if len(prompts) * width * np.dtype(dtype).itemsize > MAX_ROW_BYTES:
        return f"the features of one image would take more than {MAX_ROW_BYTES:,} bytes"
    if not isinstance(content["fingerprint"], str) or not isinstance(content["parts"], dict):
        return "fingerprint is no text, or parts are no mapping"
    known = type(content["format"]) is int and content["format"] == FORMAT
    return "" if known else f"format is not {FORMAT}"


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _difference(key: str, there: Any, here: Any) -> str:
    texts = json.dumps(there, sort_keys=True), json.dumps(here, sort_keys=True)
    pairs = enumerate(zip(*texts, strict=False))
    place = next((place for place, (a, b) in pairs if a != b), min(map(len, texts)))
    return "  {}: {} there, {} here".format(key, *(_around(text, place) for text in texts))


def _around(text: str, place: int, width: int = 80) -> str:
    """A piece of a text, around a place in it."""
    start = max(0, min(place - width // 4, len(text) - width))
    end = start + width
    return ("..." if start else "") + text[start:end] + ("..." if end < len(text) else "")
