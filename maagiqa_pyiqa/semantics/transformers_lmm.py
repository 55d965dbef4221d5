"""Any image-text model of transformers as semantic extractor: LLaVA, Qwen-VL, SmolVLM, InternVL and others.

The two questions are asked in the model's own chat template; a vector is the mean, over all positions that are not
padding, of the last hidden state, as with mPLUG-Owl2. The fusion has to be trained for it: no published weights of
MA-AGIQA know these features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from maagiqa_pyiqa.semantics.batches import BatchedExtractor, as_pil
from maagiqa_pyiqa.semantics.extractor import TORCH_DTYPES
from maagiqa_pyiqa.semantics.loading import resolve_model, weights_digest
from maagiqa_pyiqa.semantics.prompts import QUESTIONS

POOLING = "mean over non-padding positions of the last hidden state"


class TransformersExtractor(BatchedExtractor):
    """Semantic extractor on a model that ``AutoModelForImageTextToText`` and ``AutoProcessor`` load.

    Args:
        source: hub id or local directory; code that comes with a model is never run.
        device: where it runs; the CPU by default.
        dtype: ``auto`` (bf16, on a CPU fp32), ``fp32``, ``bf16``, ``fp16``.
        batch_size: images at once; by default 8, on a CPU 2.
        questions: by name; the paper's two by default.

    Raises:
        FileNotFoundError, ConnectionError: see ``resolve_model``.
        ValueError: no image-text model, or one without a chat template.
    """

    def __init__(
        self,
        source: str | Path,
        device: torch.device | str | None = None,
        dtype: str = "auto",
        *,
        batch_size: int | None = None,
        questions: Mapping[str, str] = QUESTIONS,
    ) -> None:
        self.device = torch.device(device or "cpu")
        on_cpu = self.device.type == "cpu"
        self.dtype = TORCH_DTYPES[dtype if dtype != "auto" else "fp32" if on_cpu else "bf16"]
        super().__init__(batch_size or (2 if on_cpu else 8))
        folder = resolve_model(str(source), "semantics='transformers:...'")
        self.processor, self.model = _load(folder, self.dtype)
        self.model = self.model.to(self.device).eval().requires_grad_(False)
        self.prompts = tuple(questions)
        self._texts = {name: self._in_chat_template(question, folder) for name, question in questions.items()}
        self.feature_dim = self.model.config.get_text_config().hidden_size

    def _in_chat_template(self, question: str, folder: Path) -> str:
        if not getattr(self.processor, "chat_template", None):
            raise ValueError(f"the model in '{folder}' has no chat template; choose an instruction-tuned one.")
        content = [{"type": "image"}, {"type": "text", "text": question}]
        messages = [{"role": "user", "content": content}]
        return str(self.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))

    @property
    def fingerprint_parts(self) -> Mapping[str, Any]:
        """All that the numbers depend on, readable; reads every weight once."""
        return {
            "extractor": "transformers",
            "model": type(self.model).__name__,
            "weights": weights_digest(self.model.base_model),
            "prompts": self._texts,
            "pooling": POOLING,
            "preprocessing": self.processor.image_processor.to_json_string(),
            "dtype": str(self.dtype).removeprefix("torch."),
        }

    def _prepare(self, image: Any) -> Image.Image:
        return as_pil(image)

    def _encode(self, batch: list[Image.Image]) -> torch.Tensor:
        with torch.autocast(self.device.type, enabled=False):  # the same numbers inside a caller's autocast
            return torch.stack([self._mean_state(text, batch) for text in self._texts.values()], dim=1).cpu()

    def _mean_state(self, text: str, batch: list[Image.Image]) -> torch.Tensor:
        inputs = self._inputs(text, batch)
        states = self.model.base_model(**inputs).last_hidden_state.float()  # (N, L, D)
        mask = inputs["attention_mask"].unsqueeze(-1)  # (N, L, 1)
        return states.masked_fill(mask == 0, 0.0).sum(1) / mask.sum(1)

    def _inputs(self, text: str, batch: list[Image.Image]) -> Mapping[str, torch.Tensor]:
        images = [[image] for image in batch]  # one list a conversation, as models with many tiles an image need
        inputs = self.processor(text=[text] * len(batch), images=images, padding=True, return_tensors="pt")
        return inputs.to(self.device, self.dtype)

    @torch.no_grad()
    def describe(self, image: Any, prompt: str, limit: int = 128) -> Iterator[str]:
        """Yield the model's own words about an image, the likeliest at each step.

        Args:
            image: path, PIL image or tensor (3, H, W) in [0, 1].
            prompt: which of ``prompts`` to answer.
            limit: most tokens to write.

        Raises:
            ValueError: the image cannot be read.
        """
        inputs = self._inputs(self._texts[prompt], [as_pil(image)])
        ids = self.model.generate(**inputs, max_new_tokens=limit, do_sample=False)
        yield self.processor.tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def _load(folder: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        processor = AutoProcessor.from_pretrained(folder, **local)
        model = AutoModelForImageTextToText.from_pretrained(folder, dtype=dtype, **local)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"'{folder}' is no image-text model that transformers can load: {error}") from error
    tokenizer = processor.tokenizer
    tokenizer.padding_side = "right"  # what stands before padding does not see it, whatever the positions
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return processor, model
