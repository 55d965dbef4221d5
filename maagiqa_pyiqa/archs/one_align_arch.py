"""Q-Align / OneAlign (Wu et al., ICML 2024, arXiv 2312.17090) on our mPLUG-Owl2, batched.

Weights: q-future/one-align. A score is the mean of five levels, weighted by the softmax over the logits of their words
at the last position: 1 (bad) to 5 (excellent), higher is better. Prompt and words are those of pyiqa's ``q_align``.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from maagiqa_pyiqa.images.tensors import check_images
from maagiqa_pyiqa.support.options import require_choice

if TYPE_CHECKING:
    from maagiqa_pyiqa.semantics.mplug_owl2.level_scorer import LevelScorer

TASKS = ("quality", "aesthetic")


class OneAlign(nn.Module):
    """Metric ``one-align``. The large model is not a sub-module: it is built at the first score, where the image is.

    Args:
        source: hub id or directory of the weights.
        task: ``quality`` or ``aesthetic``, unless a call names one.
        dtype: ``auto`` (fp16, on a CPU fp32), ``fp32``, ``bf16``, ``fp16``.
        quantization: ``none``, ``8bit`` or ``4bit``.

    Raises:
        FileNotFoundError: the directory does not exist.
        ConnectionError: the hub cannot be reached (found within 10 s).
        ValueError: an unknown task.
    """

    def __init__(
        self,
        source: str | Path = "q-future/one-align",
        task: str = "quality",
        dtype: str = "auto",
        quantization: str = "none",
    ) -> None:
        super().__init__()
        from maagiqa_pyiqa.semantics.model_files import resolve_model
        from maagiqa_pyiqa.semantics.mplug_owl2.quantization import QUANTIZATIONS
        from maagiqa_pyiqa.semantics.protocol import DTYPES

        require_choice("one-align", "task", task, TASKS)
        require_choice("one-align", "dtype", dtype, DTYPES)
        require_choice("one-align", "quantization", quantization, QUANTIZATIONS)
        self.task = task
        self._options = {"dtype": dtype, "quantization": quantization}
        self._folder = resolve_model(str(source), "metric one-align with source=...")
        self._scorer: LevelScorer | None = None
        self._lock = threading.Lock()

    def forward(self, x: torch.Tensor, task_: str | None = None) -> torch.Tensor:
        """Score images.

        Args:
            x: (N, 3, H, W) RGB in [0, 1].
            task_: ``quality`` or ``aesthetic``; named as in pyiqa's ``qalign``.

        Returns:
            Scores (N, 1), 1 to 5, higher is better; no gradients.
        """
        task = task_ or self.task
        require_choice("one-align", "task_", task, TASKS)
        return self._scorer_on(x.device).score(check_images(x), task).to(x.device)

    def large_model_fingerprint(self) -> str:
        """Hash of the state of the weights' files, which are no part of the network."""
        from maagiqa_pyiqa.semantics.model_files import folder_fingerprint

        return folder_fingerprint(self._folder)

    def _scorer_on(self, device: torch.device) -> LevelScorer:
        from maagiqa_pyiqa.semantics.mplug_owl2.level_scorer import LevelScorer

        with self._lock:
            if self._scorer is None:
                self._scorer = LevelScorer(self._folder, TASKS, device, **self._options)
            return self._scorer

    def __deepcopy__(self, memo: dict[int, Any]) -> OneAlign:
        return self
