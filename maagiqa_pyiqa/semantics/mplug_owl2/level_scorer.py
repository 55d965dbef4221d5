"""Levels by words: how likely is each of five words as the next one (Wu et al., arXiv 2312.17090, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from maagiqa_pyiqa.semantics.batched_extractor import as_pil, choose_dtype
from maagiqa_pyiqa.semantics.mplug_owl2.loading import load_mplug_owl2
from maagiqa_pyiqa.semantics.mplug_owl2.pixels import ClipPixels
from maagiqa_pyiqa.semantics.mplug_owl2.prefix_pass import PromptedMplugOwl2, repeated_in_fp32
from maagiqa_pyiqa.semantics.mplug_owl2.tokens import LlamaTokens
from maagiqa_pyiqa.semantics.prompts import LEVELS, ONE_ALIGN_TEMPLATE


class LevelScorer:
    """mPLUG-Owl2 with Q-Align's prompts.

    Args:
        folder: model directory in the published format.
        tasks: words to put into the prompt, such as ``quality``.
        device: where it runs.
        dtype: ``auto`` (fp16, on a CPU fp32), ``fp32``, ``bf16``, ``fp16``.
        quantization: ``none``, ``8bit`` or ``4bit`` weights in the decoder.
    """

    def __init__(
        self, folder: Path, tasks: Sequence[str], device: torch.device, dtype: str = "auto", quantization: str = "none"
    ) -> None:
        self.device, self.dtype = device, choose_dtype(dtype, device, "fp16")
        self.batch_size = 4 if device.type == "cpu" else 32
        self.pixels = ClipPixels.from_folder(folder)
        tokens = LlamaTokens(folder)
        # the last id of a word: a word of the vocabulary has but one
        self.level_ids = [tokens.encode(word)[-1] for word in LEVELS]
        net = load_mplug_owl2(folder, device, self.dtype, lm_head=True, quantization=quantization)
        prompts = {task: tokens.encode_prompt(ONE_ALIGN_TEMPLATE.format(task=task)) for task in tasks}
        self.lmm = PromptedMplugOwl2(net, prompts)

    @torch.no_grad()
    def score(self, images: torch.Tensor, task: str) -> torch.Tensor:
        """Images (N, 3, H, W) in [0, 1] to scores (N, 1), 1 to 5, float32 on the CPU."""
        pixels = torch.stack([self.pixels.prepare(as_pil(image)) for image in images])
        logits = torch.cat([self._finite_logits(batch, task) for batch in torch.split(pixels, self.batch_size)])
        return (logits.softmax(-1) * torch.tensor(list(LEVELS.values()))).sum(-1, keepdim=True)

    def _finite_logits(self, pixels: torch.Tensor, task: str) -> torch.Tensor:
        return repeated_in_fp32(lambda x, dtype: self._logits(x, task, dtype), pixels, self.dtype, "logits")

    def _logits(self, pixels: torch.Tensor, task: str, dtype: torch.dtype) -> torch.Tensor:
        with torch.autocast(self.device.type, enabled=False):  # the same numbers inside a caller's autocast
            image_tokens = self.lmm.net.model.encode_images(self.pixels.normalise(pixels.to(self.device), dtype))
            return self.lmm.last_logits(task, image_tokens, self.level_ids).cpu()
