"""Text encoders by name, and the file that says how the answers of a folder become features."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from maagiqa_pyiqa.semantics.answers.hashed_ngrams import HashedNgrams
from maagiqa_pyiqa.semantics.answers.sentence_encoder import SentenceEncoder
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.files import write_whole
from maagiqa_pyiqa.support.json_files import read_json
from maagiqa_pyiqa.support.options import nearest

FORMAT = 1
ENCODER = "encoder.json"


class TextEncoder(Protocol):
    """A frozen function of text to a vector."""

    @property
    def dim(self) -> int:
        """D, width of a vector."""

    @property
    def parts(self) -> Mapping[str, Any]:
        """All that vectors depend on, readable."""

    def state(self) -> dict[str, Any]:
        """What makes it again, as JSON can hold it."""

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """Texts to vectors (N, D), float32."""


@dataclass(frozen=True)
class Encoding:
    """How answers become features.

    Attributes:
        encoder: of texts.
        alignment: whether the text prompt is one more expert.
    """

    encoder: TextEncoder
    alignment: bool = False


ENCODERS = {encoder.name: encoder for encoder in (HashedNgrams, SentenceEncoder)}
SPECS = (HashedNgrams.name, f"{SentenceEncoder.name}:DIR_OR_HUB_ID")


def fit_encoder(spec: str, texts: Iterable[str]) -> TextEncoder:
    """Make the encoder that a spec names.

    Args:
        spec: ``hashed`` (fitted on the texts) or ``sentence-transformers:DIR_OR_HUB_ID`` (as it was trained).
        texts: of the training part alone, so that nothing of the test part gets into the features.

    Raises:
        ValueError: no such encoder; or there are no texts to fit it on.
        FileNotFoundError, ConnectionError, ImportError: of the model behind it.
    """
    name, _, source = spec.partition(":")
    if name not in ENCODERS or bool(source) != (name == SentenceEncoder.name):
        raise InputError(f"text encoder '{spec}' is not one of: {', '.join(SPECS)}.{nearest(name, ENCODERS)}")
    if source:
        return SentenceEncoder.open(source)
    known = list(texts)
    if not known:
        raise InputError("there are no answers to fit the text encoder on; ask about the images of the training part.")
    return HashedNgrams.fit(known)


def write_encoding(folder: Path, encoding: Encoding) -> None:
    """Write the file of a folder of answers; it may be copied to another one, whose features are alike then."""
    name = encoding.encoder.parts["name"]
    content = {"format": FORMAT, "encoder": name, "alignment": encoding.alignment, **encoding.encoder.state()}
    write_whole(folder / ENCODER, json.dumps(content) + "\n")


def read_encoding(folder: Path) -> Encoding:
    """Read the file of a folder of answers; no model is loaded before the first text is encoded.

    Raises:
        FileNotFoundError: there is none; names the command that makes it.
        ValueError: it is not what was written, or of a newer version.
    """
    path = folder / ENCODER
    if not path.is_file():
        raise FileNotFoundError(
            f"'{folder}' has no text encoder ({ENCODER}); fit one on the images of the training part: "
            f"maagiqa answers fit {folder} IMAGES"
        )
    return read_json(path, FORMAT, _encoding, "text encoder", "Restore it, or fit another.")


def _encoding(content: Mapping[str, Any]) -> Encoding:
    return Encoding(ENCODERS[content["encoder"]].from_state(content), bool(content["alignment"]))
