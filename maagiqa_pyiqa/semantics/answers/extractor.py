"""Answers of a large model, asked before, as semantic features: their words by a text encoder.

Anyone who reaches an endpoint has such answers, without the weights of a model. As with every extractor, the fusion
has to be trained for these features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from maagiqa_pyiqa.cache.keys import ImageFile, pixel_key
from maagiqa_pyiqa.images.decoding import UnreadableImageError
from maagiqa_pyiqa.semantics.answers.store import LINES, TEXT_PROMPT, Answer, Answers, Asked, read_manifest
from maagiqa_pyiqa.semantics.answers.text_encoder import Encoding, read_encoding
from maagiqa_pyiqa.semantics.batched_extractor import BatchedExtractor, as_pil
from maagiqa_pyiqa.semantics.protocol import fingerprint_of
from maagiqa_pyiqa.support.errors import UserError
from maagiqa_pyiqa.support.options import require_choice

ALIGNMENT = "alignment"  # the expert that knows the text prompt: what was asked for, no quality
FURTHER = 2  # components after those of the text


class NotAnsweredError(UserError, LookupError, ValueError):
    """An image that the model was not asked about; the message names the command that does."""


class AnswersExtractor(BatchedExtractor):
    """Semantic extractor that looks answers up by decoded pixels (of a file first by its bytes); asks no model.

    The vector of a question is that of its answer's words, then the probabilities that the answer begins with yes and
    with no (0 where the endpoint gave none). With the text prompt as one more expert, ``alignment``, its vector is that
    of the prompt's words, then their mean and largest cosine with those of the answers.

    Args:
        source: folder of answers, with a text encoder.
        device: not used; features come as float32 on the CPU.
        dtype: not used.
        batch_size: images at once.
        words: not read; answers are words.

    Raises:
        FileNotFoundError: there are no answers, or no text encoder.
        ValueError: a file of the folder is not what was written there.
    """

    def __init__(
        self,
        source: str | Path,
        device: torch.device | str | None = None,
        dtype: str = "auto",
        *,
        batch_size: int | None = None,
        words: bool = True,
    ) -> None:
        super().__init__(64 if batch_size is None else batch_size)
        self.answers = Answers(source)
        self.encoding = read_encoding(self.answers.folder)
        self.prompts = _experts(self.answers.asked, self.encoding)
        self.feature_dim = self.encoding.encoder.dim + FURTHER

    @classmethod
    def feature_dim_of(cls, source: str) -> int:
        """Return D without loading a model."""
        return read_encoding(Path(source).expanduser()).encoder.dim + FURTHER

    @classmethod
    def fingerprint_of_source(cls, source: str) -> str:
        """Hash the parts of the fingerprint and the answers themselves; no model is loaded."""
        folder = Path(source).expanduser()
        parts = _parts(read_manifest(folder), read_encoding(folder))
        return fingerprint_of({**parts, "answers": hashlib.sha256((folder / LINES).read_bytes()).hexdigest()})

    @property
    def fingerprint_parts(self) -> Mapping[str, Any]:
        """Model, questions, sampling, text encoder with what it was fitted on; not which images were asked about."""
        return _parts(self.answers.asked, self.encoding)

    def _prepare(self, image: Any) -> Mapping[str, Answer]:
        found = self._find(image)
        needed = [*self.answers.asked.questions, *([TEXT_PROMPT] if self.encoding.alignment else [])]
        absent = [question for question in needed if question not in found]
        if absent:
            what = f"image '{image}'" if isinstance(image, (str, Path)) else "an image (by its pixels)"
            raise NotAnsweredError(
                f"'{self.answers.folder}' has no answer about {what} to: {', '.join(absent)}; ask first: "
                f"maagiqa ask IMAGE --answers {self.answers.folder} --model '{self.answers.asked.model}' --endpoint URL"
            )
        return found

    def _find(self, image: Any) -> Mapping[str, Answer]:
        if not isinstance(image, (str, Path)) or not Path(image).is_file():
            return self.answers.of_pixels(pixel_key(as_pil(image)).hex())
        file = ImageFile(Path(image).read_bytes())
        try:
            return self.answers.of_image(file)
        except UnreadableImageError as error:
            raise UnreadableImageError(f"image '{image}' cannot be read: {error}") from error

    def _encode(self, batch: list[Mapping[str, Answer]]) -> torch.Tensor:
        columns = [[found[question] for found in batch] for question in self.answers.asked.questions]
        vectors = [self._vectors(column) for column in columns]
        further = [torch.tensor([[answer.yes or 0.0, answer.no or 0.0] for answer in column]) for column in columns]
        if self.encoding.alignment:
            prompts = self._vectors([found[TEXT_PROMPT] for found in batch])
            further.append(_agreement(prompts, vectors))
            vectors.append(prompts)
        return torch.cat([torch.stack(vectors, 1), torch.stack(further, 1)], dim=2)  # (N, E, D)

    def _vectors(self, answers: Sequence[Answer]) -> torch.Tensor:
        """Answers to vectors (N, width of the encoder)."""
        return self.encoding.encoder.encode([answer.text for answer in answers])

    def describe(self, image: Any, prompt: str, limit: int = 128) -> Iterator[str]:
        """Yield the answer as it was given, whatever the limit; see ``DescribingExtractor``."""
        require_choice("describe", "prompt", prompt, self.prompts)
        yield self._prepare(image)[TEXT_PROMPT if prompt == ALIGNMENT else prompt].text


def _experts(asked: Asked, encoding: Encoding) -> tuple[str, ...]:
    return (*asked.questions, *([ALIGNMENT] if encoding.alignment else []))


def _parts(asked: Asked, encoding: Encoding) -> Mapping[str, Any]:
    return {
        "extractor": "answers",
        "model": asked.model,
        "questions": dict(asked.questions),
        "sampling": dict(asked.sampling),
        "text encoder": dict(encoding.encoder.parts),
        "prompts": _experts(asked, encoding),
    }


def _agreement(prompts: torch.Tensor, answers: Sequence[torch.Tensor]) -> torch.Tensor:
    """Mean and largest cosine of prompts (N, width) with each of E answers (N, width), as (N, 2)."""
    cosines = torch.stack([torch.cosine_similarity(prompts, vectors, dim=1) for vectors in answers], dim=1)  # (N, E)
    return torch.stack([cosines.mean(1), cosines.amax(1)], dim=1)
