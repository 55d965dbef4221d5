"""Text to a vector by its words: hashed n-grams, weighed by how rare they are among the texts it was fitted on."""

from __future__ import annotations

import hashlib
import itertools
import re
import unicodedata
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from maagiqa_pyiqa.support.errors import InputError

DIM = 4096  # as wide as the paper's large model
# words; of scripts without spaces between words (kana, Chinese characters, hangul) every character
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")


class HashedNgrams:
    """Words and pairs of words, counted into D places by their CRC-32; TF-IDF; vectors of length sqrt(D).

    A vector has the size that it would have if all its components were about 1, as the states of a large model have.
    Of a text without words it is 0.

    Args:
        idf: (D,) weights, from ``fit``.
        fitted_on: how many texts they are from.
    """

    name = "hashed"

    def __init__(self, idf: Sequence[float], fitted_on: int) -> None:
        self.idf = np.asarray(idf, dtype=np.float32)
        self.fitted_on = fitted_on
        if self.idf.ndim != 1 or not len(self.idf) or not np.isfinite(self.idf).all():
            raise InputError("hashed n-grams need a finite weight for each place.")

    @classmethod
    def fit(cls, texts: Iterable[str], dim: int = DIM) -> HashedNgrams:
        """Weigh places by the texts that have them: log((1 + n) / (1 + n_with)) + 1, as scikit-learn does."""
        places = [_counts(text, dim) for text in texts]
        with_place = np.bincount([place for counts in places for place in counts], minlength=dim)
        return cls([*(np.log((1 + len(places)) / (1 + with_place)) + 1)], len(places))

    @property
    def dim(self) -> int:
        """D."""
        return len(self.idf)

    @property
    def parts(self) -> Mapping[str, Any]:
        """All that vectors depend on, readable."""
        return {
            "name": self.name,
            "ngrams": "words and pairs of words, CRC-32, TF-IDF, length sqrt(D)",
            "dim": self.dim,
            "fitted_on": self.fitted_on,
            "idf": hashlib.sha256(self.idf.astype("<f4").tobytes()).hexdigest(),
        }

    def state(self) -> dict[str, Any]:
        """What ``from_state`` takes, as JSON can hold it."""
        return {"fitted_on": self.fitted_on, "idf": self.idf.tolist()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> HashedNgrams:
        """Make it again."""
        return cls(state["idf"], state["fitted_on"])

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """Texts to vectors (N, D), float32."""
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            counts = _counts(text, self.dim)
            vector[[*counts]] = [*counts.values()]
        vectors *= self.idf
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return torch.from_numpy(vectors * (self.dim**0.5 / np.where(lengths == 0, 1, lengths)).astype(np.float32))


def _counts(text: str, dim: int) -> dict[int, int]:
    counts: dict[int, int] = {}
    for ngram in _ngrams(text):
        place = zlib.crc32(ngram.encode("utf-8", "backslashreplace")) % dim
        counts[place] = counts.get(place, 0) + 1
    return counts


def _ngrams(text: str) -> Iterator[str]:
    words = _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())
    yield from words
    yield from map(" ".join, itertools.pairwise(words))
