"""Text to a vector by a model of sentence-transformers, as it was trained."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from maagiqa_pyiqa.semantics.model_files import resolve_model, weights_digest
from maagiqa_pyiqa.support.errors import InputError

SPEC = "text encoder 'sentence-transformers:...'"  # where a source is given, for messages


class SentenceEncoder:
    """Unit vectors of sentence-transformers on the CPU, brought to length sqrt(D); the model is loaded when first used.

    Args:
        source: hub id or local directory; code that comes with a model is never run.
        weights: SHA-256 over the model's parameters, which has to be that of what is loaded.
        dim: D.
    """

    name = "sentence-transformers"

    def __init__(self, source: str, weights: str, dim: int) -> None:
        self.source, self.weights, self.dim = source, weights, dim

    @classmethod
    def open(cls, source: str) -> SentenceEncoder:
        """Load a model, to know its weights and its width.

        Raises:
            ImportError: sentence-transformers is not installed.
            FileNotFoundError, ConnectionError: see ``resolve_model``.
            ValueError: it cannot be loaded.
        """
        model = _load(source)
        return cls(source, weights_digest(model), int(model.encode([""]).shape[1]))

    @property
    def parts(self) -> Mapping[str, Any]:
        """All that vectors depend on, readable; not where the model is."""
        return {"name": self.name, "weights": self.weights, "dim": self.dim}

    def state(self) -> dict[str, Any]:
        """What ``from_state`` takes, as JSON can hold it."""
        return {"source": self.source, "weights": self.weights, "dim": self.dim}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> SentenceEncoder:
        """Make it again."""
        return cls(str(state["source"]), str(state["weights"]), int(state["dim"]))

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """Texts to vectors (N, D), float32.

        Raises:
            ValueError: the model is not the one that was chosen.
        """
        options = {"normalize_embeddings": True, "convert_to_numpy": True, "show_progress_bar": False}
        plain = [text.encode("utf-8", "replace").decode() for text in texts]  # halves of surrogate pairs are refused
        vectors = torch.as_tensor(self._model.encode(plain, **options), dtype=torch.float32)
        return vectors * math.sqrt(self.dim)

    @functools.cached_property
    def _model(self) -> Any:
        model = _load(self.source)
        if weights_digest(model) != self.weights:
            raise InputError(
                f"{SPEC}: '{self.source}' has other weights than when it was chosen. Restore them, or choose it anew: "
                "maagiqa answers fit --replace"
            )
        return model


def _load(source: str) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ImportError(f"{SPEC} needs sentence-transformers: pip install 'maagiqa_pyiqa[text]'") from error
    folder = resolve_model(source, SPEC)
    try:
        return SentenceTransformer(str(folder), device="cpu", local_files_only=True, trust_remote_code=False).eval()
    except Exception as error:  # there are as many kinds as ways to break a directory
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(f"sentence-transformers cannot load '{folder}': {reason}") from error
