"""Token ids exactly as the slow Llama tokenizer of 2023 gave them, by the sentencepiece library itself."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from sentencepiece import SentencePieceProcessor

from maagiqa_pyiqa.semantics.prompts import IMAGE_MARK
from maagiqa_pyiqa.support.errors import InputError


class PromptTokens(NamedTuple):
    """Ids around the image: ``prefix`` stands before it and begins with BOS, ``tail`` after it."""

    prefix: list[int]
    tail: list[int]


class LlamaTokens:
    """Text to ids and back.

    Legacy behaviour: every piece of text is encoded by itself, so each begins with the word mark sentencepiece adds.
    Newer tokenizers differ there, and in BOS.

    Args:
        folder: where ``tokenizer.model`` is.

    Raises:
        FileNotFoundError: it is not there.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "tokenizer.model"
        if not path.is_file():
            raise FileNotFoundError(f"'{folder}' holds no tokenizer.model, the sentencepiece file of the tokenizer.")
        self._processor = SentencePieceProcessor(model_file=str(path))
        self.eos = int(self._processor.eos_id())

    def encode(self, text: str) -> list[int]:
        """Ids of a piece of text, without BOS."""
        return list(self._processor.encode(text))

    def encode_prompt(self, prompt: str) -> PromptTokens:
        """Ids before and after the image mark, BOS once at the start.

        Raises:
            ValueError: the prompt does not hold the image mark exactly once.
        """
        parts = prompt.split(IMAGE_MARK)
        if len(parts) != 2:
            raise InputError(f"a prompt must hold {IMAGE_MARK} once, got {len(parts) - 1} times in {prompt!r}.")
        before, after = map(self.encode, parts)
        return PromptTokens([int(self._processor.bos_id()), *before], after)

    def decode(self, ids: list[int]) -> str:
        """Text of ids."""
        return str(self._processor.decode(ids))
