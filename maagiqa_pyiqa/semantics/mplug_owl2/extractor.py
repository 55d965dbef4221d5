"""mPLUG-Owl2 as semantic extractor: what the authors saved beforehand, equal to rounding (paper, section 3.2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from maagiqa_pyiqa.semantics.batched_extractor import BatchedExtractor, as_pil
from maagiqa_pyiqa.semantics.loading import (
    load_weights,
    read_config,
    require_memory,
    resolve_model,
    weights_digest,
)
from maagiqa_pyiqa.semantics.mplug_owl2.network import MplugOwl2, MplugOwl2Config
from maagiqa_pyiqa.semantics.mplug_owl2.pixels import ClipPixels
from maagiqa_pyiqa.semantics.mplug_owl2.prefix_pass import PromptedMplugOwl2, repeated_in_fp32
from maagiqa_pyiqa.semantics.mplug_owl2.quantization import QUANTIZATIONS, quantize_linears
from maagiqa_pyiqa.semantics.mplug_owl2.tokens import LlamaTokens
from maagiqa_pyiqa.semantics.prompts import MPLUG_OWL2_TEMPLATE, QUESTIONS
from maagiqa_pyiqa.semantics.protocol import DTYPES, TORCH_DTYPES
from maagiqa_pyiqa.support.options import require_choice

HUB_ID = "MAGAer13/mplug-owl2-llama2-7b"
POOLING = "mean over all input positions of the last normed hidden state"
UNREAD = r"rotary_emb\.inv_freq$"  # computed, not learnt


def choose_dtype(device: torch.device, dtype: str) -> torch.dtype:
    """``auto`` is the authors' fp16 on a GPU and fp32 on a CPU."""
    require_choice("mplug-owl2", "dtype", dtype, DTYPES)
    return TORCH_DTYPES[dtype if dtype != "auto" else "fp32" if device.type == "cpu" else "fp16"]


def load_mplug_owl2(
    folder: Path, device: torch.device, dtype: torch.dtype, *, lm_head: bool = False, quantization: str = "none"
) -> MplugOwl2:
    """Load the network from a directory in the published format.

    Raises:
        FileNotFoundError: a file is absent.
        ValueError: not an mPLUG-Owl2 checkpoint; tensors missing, unknown or of another shape.
        MemoryError: it does not fit into the CPU's memory.
    """
    require_choice("mplug-owl2", "quantization", quantization, QUANTIZATIONS)
    config = MplugOwl2Config.from_dict(read_config(folder))
    with torch.device("meta"):
        net = MplugOwl2(config, lm_head).eval()
    ignored = UNREAD if lm_head else rf"{UNREAD}|^lm_head\."
    if quantization == "none":
        values = sum(p.numel() for p in net.parameters())
        require_memory(values * dtype.itemsize, device, str(dtype).removeprefix("torch."))

    def after_group() -> None:
        if quantization != "none":
            quantize_linears(net.model.layers, quantization, device, dtype)

    load_weights(net, folder, device=device, dtype=dtype, ignored=ignored, after_group=after_group)
    return net


class MplugOwl2Extractor(BatchedExtractor):
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
        self.device = torch.device(device or "cpu")
        self.dtype = choose_dtype(self.device, dtype)
        default = 4 if self.device.type == "cpu" else 32
        super().__init__(default if batch_size is None else batch_size)
        folder = resolve_model(str(source), "semantics='mplug-owl2:...'")
        self.pixels = ClipPixels.from_folder(folder)
        self.tokens = LlamaTokens(folder)
        self.quantization = quantization
        net = load_mplug_owl2(folder, self.device, self.dtype, lm_head=words, quantization=quantization)
        asked = {n: self.tokens.encode_prompt(MPLUG_OWL2_TEMPLATE.format(question=q)) for n, q in questions.items()}
        self.lmm = PromptedMplugOwl2(net, MappingProxyType(asked))
        self.prompts = tuple(questions)
        self.feature_dim = net.model.config.hidden_size

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
            "dtype": str(self.dtype).removeprefix("torch."),
            "quantization": self.quantization,
        }

    def _prepare(self, image: Any) -> torch.Tensor:
        return self.pixels.prepare(as_pil(image))

    def _encode(self, batch: list[torch.Tensor]) -> torch.Tensor:
        return repeated_in_fp32(self._pass, torch.stack(batch), self.dtype, "states")

    def _pass(self, pixels: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Pixels uint8 (N, 3, S, S) to features (N, E, D), float32 on the CPU."""
        with torch.autocast(self.device.type, enabled=False):  # the same numbers inside a caller's autocast
            image_tokens = self._image_tokens(pixels, dtype)
            return torch.stack([self.lmm.mean_state(name, image_tokens) for name in self.prompts], dim=1).cpu()

    def _image_tokens(self, pixels: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        return self.lmm.net.model.encode_images(self.pixels.normalise(pixels.to(self.device), dtype))

    @torch.no_grad()
    def describe(self, image: Any, prompt: str, limit: int = 128) -> Iterator[str]:
        """Yield the model's own words about an image, piece by piece, as in the paper's Figure 5.

        Args:
            image: path, PIL image or tensor (3, H, W) in [0, 1].
            prompt: which of ``prompts`` to answer.
            limit: most tokens to write.

        Raises:
            ValueError: the image cannot be read, there is no such prompt, or the extractor was made without ``words``.
        """
        require_choice("describe", "prompt", prompt, self.prompts)
        pixels = self._prepare(image)[None]
        ids: list[int] = []
        said = ""
        with torch.autocast(self.device.type, enabled=False):
            image_tokens = self._image_tokens(pixels, self.dtype)
            for token in self.lmm.write(prompt, image_tokens, self.tokens.eos, limit):
                ids.append(token)
                text = self.tokens.decode(ids)
                if text.startswith(said) and not text.endswith("\ufffd"):  # a character may take several tokens
                    yield text[len(said) :]
                    said = text
