"""mPLUG-Owl2 as semantic extractor: what the authors saved beforehand, equal to rounding (paper, section 3.2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from maagiqa_pyiqa.semantics.batched_extractor import ModelExtractor, as_pil, name_of
from maagiqa_pyiqa.semantics.model_files import folder_fingerprint, read_config, resolve_model, weights_digest
from maagiqa_pyiqa.semantics.mplug_owl2.loading import load_mplug_owl2
from maagiqa_pyiqa.semantics.mplug_owl2.pixels import ClipPixels
from maagiqa_pyiqa.semantics.mplug_owl2.prefix_pass import PromptedMplugOwl2, repeated_in_fp32
from maagiqa_pyiqa.semantics.mplug_owl2.tokens import LlamaTokens
from maagiqa_pyiqa.semantics.prompts import MPLUG_OWL2_TEMPLATE, QUESTIONS
from maagiqa_pyiqa.support.options import require_choice

HUB_ID = "MAGAer13/mplug-owl2-llama2-7b"
PUBLISHED_FEATURE_DIM = 4096
SPEC = "semantics='mplug-owl2:...'"  # where a source is given, for messages
POOLING = "mean over all input positions of the last normed hidden state"


class MplugOwl2Extractor(ModelExtractor):
    """Semantic extractor on mPLUG-Owl2; protocol in ``semantics.protocol``.

    Args:
        source: hub id or directory in the published format.
        device: where it runs; the CPU by default.
        dtype: ``auto`` (fp16, on a CPU fp32), ``fp32``, ``bf16``, ``fp16``. Images whose states are not finite in half
            precision are repeated in fp32, once, with a warning.
        batch_size: images at once; by default 32, on a CPU 4.
        quantization: ``none``, ``8bit`` or ``4bit`` weights in the decoder.
        questions: by name; the paper's two by default.
        words: keep what ``describe`` needs.

    Raises:
        FileNotFoundError, ValueError, ConnectionError, MemoryError: see ``resolve_model`` and ``load_mplug_owl2``.
    """

    gpu_dtype = "fp16"  # the authors'
    batch_sizes = (4, 32)

    def __init__(
        self,
        source: str | Path = HUB_ID,
        device: torch.device | str | None = None,
        dtype: str = "auto",
        *,
        batch_size: int | None = None,
        quantization: str = "none",
        questions: Mapping[str, str] = QUESTIONS,
        words: bool = False,
    ) -> None:
        super().__init__(device, dtype, batch_size)
        folder = resolve_model(str(source), SPEC)
        self.pixels = ClipPixels.from_folder(folder)
        self.tokens = LlamaTokens(folder)
        self.quantization = quantization
        net = load_mplug_owl2(folder, self.device, self.dtype, lm_head=words, quantization=quantization)
        prompts = {n: self.tokens.encode_prompt(MPLUG_OWL2_TEMPLATE.format(question=q)) for n, q in questions.items()}
        self.lmm = PromptedMplugOwl2(net, MappingProxyType(prompts))
        self.prompts = tuple(questions)
        self.feature_dim = net.model.config.hidden_size

    @classmethod
    def feature_dim_of(cls, source: str = HUB_ID) -> int:
        """Return D as the model's configuration has it; the published model is not fetched for it."""
        if source == HUB_ID:
            return PUBLISHED_FEATURE_DIM
        return int(read_config(resolve_model(source, SPEC))["hidden_size"])

    @classmethod
    def fingerprint_of_source(cls, source: str = HUB_ID) -> str:
        """Hash the state of the model's files."""
        return folder_fingerprint(resolve_model(source, SPEC))

    @property
    def fingerprint_parts(self) -> Mapping[str, Any]:
        """All that the numbers depend on, readable; reads every weight once."""
        weights = {"model": self.lmm.net.model}
        return {
            "extractor": "mplug-owl2",
            "weights": weights_digest(torch.nn.ModuleDict(weights)),
            "prompts": [[name, *map(list, tokens)] for name, tokens in self.lmm.prompts.items()],
            "template": MPLUG_OWL2_TEMPLATE,
            "pooling": POOLING,
            "preprocessing": {"steps": "pad to square, bicubic, normalise", **dataclasses.asdict(self.pixels)},
            "dtype": name_of(self.dtype),
            "quantization": self.quantization,
        }

    def _prepare(self, image: Any) -> torch.Tensor:
        return self.pixels.prepare(as_pil(image))

    def _encode(self, batch: list[torch.Tensor]) -> torch.Tensor:
        return repeated_in_fp32(self._pass, torch.stack(batch), self.dtype, "states")

    def _pass(self, pixels: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Pixels uint8 (N, 3, S, S) to features (N, E, D), float32 on the CPU."""
        image_tokens = self._image_tokens(pixels, dtype)
        return torch.stack([self.lmm.mean_state(name, image_tokens) for name in self.prompts], dim=1).cpu()

    def _image_tokens(self, pixels: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        return self.lmm.net.model.encode_images(self.pixels.normalise(pixels.to(self.device), dtype))

    @torch.no_grad()
    def describe(self, image: Any, prompt: str, limit: int = 128) -> Iterator[str]:
        """Yield the answer as it is written, as in the paper's Figure 5; see ``DescribingExtractor``.

        Raises:
            ValueError: also where the extractor was made without ``words``.
        """
        require_choice("describe", "prompt", prompt, self.prompts)
        pixels = self._prepare(image)[None]
        ids: list[int] = []
        written = ""
        with torch.autocast(self.device.type, enabled=False):
            image_tokens = self._image_tokens(pixels, self.dtype)
            for token in self.lmm.write(prompt, image_tokens, self.tokens.eos, limit):
                ids.append(token)
                text = self.tokens.decode(ids)
                if text.startswith(written) and not text.endswith("\ufffd"):  # a character may take several tokens
                    yield text[len(written) :]
                    written = text
