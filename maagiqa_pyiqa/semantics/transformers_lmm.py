"""Any image-text model of transformers as semantic extractor: LLaVA, Qwen-VL, SmolVLM, InternVL and others.

The two questions are asked in the model's own chat template; a vector is the mean, over all positions that are not
padding, of the last hidden state, as with mPLUG-Owl2. The fusion has to be trained for it: no published weights of
MA-AGIQA know these features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor

from maagiqa_pyiqa.semantics.batched_extractor import ModelExtractor, Result, as_pil, name_of
from maagiqa_pyiqa.semantics.model_files import folder_fingerprint, resolve_model, weights_digest
from maagiqa_pyiqa.semantics.prompts import QUESTIONS
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import require_choice

SPEC = "semantics='transformers:...'"  # where a source is given, for messages
POOLING = "mean over non-padding positions of the last hidden state"


class TransformersExtractor(ModelExtractor):
    """Semantic extractor on a model that ``AutoModelForImageTextToText`` and ``AutoProcessor`` load.

    Args:
        source: hub id or local directory; code that comes with a model is never run.
        device: where it runs; the CPU by default.
        dtype: ``auto`` (bf16, on a CPU fp32), ``fp32``, ``bf16``, ``fp16``.
        batch_size: images at once; by default 8, on a CPU 2.
        questions: by name; the paper's two by default.
        words: not read; these models always keep what ``describe`` needs.

    Raises:
        FileNotFoundError, ConnectionError: see ``resolve_model``.
        ValueError: no image-text model, one whose weights are not all there, or one without a chat template for images.
    """

    gpu_dtype = "bf16"
    batch_sizes = (2, 8)

    def __init__(
        self,
        source: str | Path,
        device: torch.device | str | None = None,
        dtype: str = "auto",
        *,
        batch_size: int | None = None,
        questions: Mapping[str, str] = QUESTIONS,
        words: bool = True,
    ) -> None:
        super().__init__(device, dtype, batch_size)
        folder = resolve_model(str(source), SPEC)
        self.processor, self.model = _load(folder, self.dtype)
        self.model = self.model.to(self.device).eval().requires_grad_(False)
        self.prompts = tuple(questions)
        self._texts = {name: self._in_chat_template(question, folder) for name, question in questions.items()}
        self.feature_dim = self.model.config.get_text_config().hidden_size

    def _in_chat_template(self, question: str, folder: Path) -> str:
        template = self.processor.chat_template or self.processor.tokenizer.chat_template
        if not template:
            raise InputError(f"the model in '{folder}' has no chat template; choose an instruction-tuned one.")
        content = [{"type": "image"}, {"type": "text", "text": question}]
        messages = [{"role": "user", "content": content}]
        options = {"chat_template": template, "add_generation_prompt": True, "tokenize": False}
        try:
            text = str(self.processor.apply_chat_template(messages, **options))
            self._inputs(text, [Image.new("RGB", (64, 64))])
        except Exception as error:  # a template is a program, and some know no images
            raise InputError(f"the chat template in '{folder}' takes no image: {_reason(error)}") from error
        return text

    @classmethod
    def feature_dim_of(cls, source: str) -> int:
        """Return D as the model's configuration has it."""
        config = AutoConfig.from_pretrained(resolve_model(source, SPEC), local_files_only=True, trust_remote_code=False)
        return int(config.get_text_config().hidden_size)  # knows the widths that a config.json leaves out

    @classmethod
    def fingerprint_of_source(cls, source: str) -> str:
        """Hash the state of the model's files."""
        return folder_fingerprint(resolve_model(source, SPEC))

    @property
    def fingerprint_parts(self) -> Mapping[str, Any]:
        """All that the numbers depend on, readable; reads every weight once."""
        return {
            "extractor": "transformers",
            "model": _config_of(self.model),
            "weights": weights_digest(self.model.base_model),
            "prompts": [[n, text, self.processor.tokenizer(text)["input_ids"]] for n, text in self._texts.items()],
            "pooling": POOLING,
            "preprocessing": self.processor.to_json_string(),
            "dtype": name_of(self.dtype),
        }

    def _prepare(self, image: Any) -> Image.Image:
        return as_pil(image)

    def _features(self, batch: list[tuple[int, Any]]) -> list[Result]:
        try:
            return super()._features(batch)
        except ValueError as error:  # a processor refuses an image, such as one 200 times as wide as high
            if len(batch) == 1:
                return [(batch[0][0], error)]
            return [result for item in batch for result in self._features([item])]

    def _encode(self, batch: list[Image.Image]) -> torch.Tensor:
        return torch.stack([self._mean_state(text, batch) for text in self._texts.values()], dim=1).cpu()

    def _mean_state(self, text: str, batch: list[Image.Image]) -> torch.Tensor:
        inputs = self._inputs(text, batch)
        states = self._last_state(inputs).float()  # (N, L, D)
        mask = inputs["attention_mask"].unsqueeze(-1)  # (N, L, 1)
        return states.masked_fill(mask == 0, 0.0).sum(1) / mask.sum(1)

    def _last_state(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        body = self.model.base_model
        if body is not self.model:
            return cast(torch.Tensor, body(**inputs, use_cache=False).last_hidden_state)
        seen: list[torch.Tensor] = []  # a model in one piece, such as Llama 4: what goes into its head
        with self.model.get_output_embeddings().register_forward_pre_hook(lambda _, args: seen.append(args[0])):
            self.model(**inputs, use_cache=False)
        return seen[0]

    def _inputs(self, text: str, batch: list[Image.Image]) -> Mapping[str, torch.Tensor]:
        images = [[image] for image in batch]  # one list a conversation, as models with many tiles an image need
        # what stands before padding does not see it, whatever the positions
        options = {"padding": True, "padding_side": "right", "return_tensors": "pt"}
        bos = self.processor.tokenizer.bos_token
        if bos and text.startswith(bos):  # some templates begin with it; the tokenizer would put another before it
            options["add_special_tokens"] = False
        inputs = self.processor(text=[text] * len(batch), images=images, **options).to(self.device, self.dtype)
        return cast(Mapping[str, torch.Tensor], inputs)

    @torch.no_grad()
    def describe(self, image: Any, prompt: str, limit: int = 128) -> Iterator[str]:
        """Yield the whole answer, the likeliest token at each step; see ``DescribingExtractor``."""
        require_choice("describe", "prompt", prompt, self.prompts)
        inputs = self._inputs(self._texts[prompt], [as_pil(image)])
        ids = self.model.generate(**inputs, max_new_tokens=limit, do_sample=False)
        yield self.processor.tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def _load(folder: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        processor = AutoProcessor.from_pretrained(folder, **options)  # type: ignore[no-untyped-call]
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=dtype, output_loading_info=True, **options
        )
        tokenizer = processor.tokenizer
    except Exception as error:  # there are as many kinds as ways to break a directory
        raise InputError(f"transformers cannot load '{folder}' as an image-text model: {_reason(error)}") from error
    model, report = loaded
    if absent := sorted(report["missing_keys"]):  # transformers would leave them to chance
        raise InputError(f"'{folder}' lacks {len(absent)} weights of the model, the first is {absent[0]}.")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return processor, model


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def _config_of(model: Any) -> dict[str, Any]:
    """Settings of a model, without the version of transformers that wrote them."""
    return {name: value for name, value in model.config.to_diff_dict().items() if name != "transformers_version"}
