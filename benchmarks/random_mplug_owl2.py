"""Random mPLUG-Owl2 checkpoints in the published format, for timings and for tests."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import sentencepiece
import torch
from safetensors.torch import save_file

from maagiqa_pyiqa.semantics.mplug_owl2.config import MplugOwl2Config
from maagiqa_pyiqa.semantics.mplug_owl2.network import MplugOwl2
from maagiqa_pyiqa.semantics.prompts import LEVELS, MPLUG_OWL2_TEMPLATE, ONE_ALIGN_TEMPLATE, QUESTIONS

CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of a model; the defaults are tiny. Widths are heads times head width."""

    layers: int = 3
    heads: int = 4
    head_width: int = 16
    intermediate: int = 112
    vision_layers: int = 2
    vision_heads: int = 2
    vision_head_width: int = 16
    patch: int = 14
    grid: int = 4
    abstractor_layers: int = 2
    abstractor_heads: int = 2
    queries: int = 16
    vocabulary: int = 400

    def config(self) -> dict[str, Any]:
        """What ``config.json`` holds."""
        image_width = self.vision_heads * self.vision_head_width
        vision = {
            "hidden_size": image_width,
            "image_size": self.patch * self.grid,
            "patch_size": self.patch,
            "num_hidden_layers": self.vision_layers,
            "num_attention_heads": self.vision_heads,
            "intermediate_size": 4 * image_width,
            "layer_norm_eps": 1e-6,
        }
        abstractor = {
            "hidden_size": image_width,
            "encoder_hidden_size": image_width,
            "num_hidden_layers": self.abstractor_layers,
            "num_attention_heads": self.abstractor_heads,
            "intermediate_size": image_width * 11 // 4,
            "layer_norm_eps": 1e-6,
            "grid_size": self.grid,
            "num_learnable_queries": self.queries,
        }
        return {
            "model_type": "mplug_owl2",
            "vocab_size": self.vocabulary,
            "hidden_size": self.heads * self.head_width,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.heads,
            "hidden_act": "silu",
            "rms_norm_eps": 1e-6,
            "rope_scaling": None,
            "visual_config": {"visual_model": vision, "visual_abstractor": abstractor},
        }


SIZES = MappingProxyType(
    {
        "tiny": Sizes(),
        "mid": Sizes(
            layers=16, heads=16, head_width=64, intermediate=2752,
            vision_layers=10, vision_heads=6, vision_head_width=64, grid=32,
            abstractor_layers=3, abstractor_heads=6, queries=64, vocabulary=32000,
        ),
        "full": Sizes(
            layers=32, heads=32, head_width=128, intermediate=11008,
            vision_layers=24, vision_heads=16, vision_head_width=64, grid=32,
            abstractor_layers=6, abstractor_heads=16, queries=64, vocabulary=32000,
        ),
    }
)  # fmt: skip


def write_model(folder: Path, sizes: Sizes, dtype: torch.dtype = torch.float32, seed: int = 0) -> None:
    """Write a model directory, one safetensors file a layer, so that little memory is needed."""
    write_settings(folder, sizes)
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(_shards(sizes, dtype, seed)):
        file = f"model-{number:05d}.safetensors"
        save_file(shard, folder / file)
        weight_map |= dict.fromkeys(shard, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def write_settings(folder: Path, sizes: Sizes) -> None:
    """Write all files of a model directory but its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    side = sizes.patch * sizes.grid
    pixels = {"size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side}, "resample": 3, **CLIP}
    (folder / "config.json").write_text(json.dumps(sizes.config()))
    (folder / "preprocessor_config.json").write_text(json.dumps(pixels))
    (folder / "tokenizer.model").write_bytes(tokenizer_model())


def _shards(sizes: Sizes, dtype: torch.dtype, seed: int) -> Iterator[dict[str, torch.Tensor]]:
    shard: dict[str, torch.Tensor] = {}
    for name, tensor in random_tensors(sizes, seed):
        if name.endswith("input_layernorm.multiway.0.weight"):
            yield shard
            shard = {}
        shard[name] = tensor.to(dtype)
    yield shard


def random_tensors(sizes: Sizes, seed: int = 0) -> Iterator[tuple[str, torch.Tensor]]:
    """Weights under their published names; every one is random, so that none can be mistaken for another."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in empty_net(sizes).state_dict().items():
        yield name, _random(name, tensor.shape, generator)


def _random(name: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    """Scales near 1, embeddings of a half, weights that keep their input's variance, everything else small."""
    noise = torch.randn(shape, generator=generator)
    if len(shape) == 1:
        return 0.1 * noise + (0.0 if name.endswith("bias") else 1.0)
    return 0.5 * noise if "embed" in name and len(shape) != 4 else noise / noise[0].numel() ** 0.5


def empty_net(sizes: Sizes) -> MplugOwl2:
    """The network with its lm_head, without values."""
    with torch.device("meta"):
        return MplugOwl2(MplugOwl2Config.from_dict(sizes.config()), lm_head=True).eval()


@functools.cache
def tokenizer_model() -> bytes:
    """A tokenizer of Llama's kind that splits the prompts about as finely; the five levels are words of it."""
    prompts = [MPLUG_OWL2_TEMPLATE.format(question=question) for question in QUESTIONS.values()]
    prompts += [ONE_ALIGN_TEMPLATE.format(task=task) for task in ("quality", "aesthetic")]
    sentences = [line for prompt in prompts for line in prompt.splitlines()]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences + 20 * list(LEVELS)),
        model_writer=model,
        model_type="bpe",
        vocab_size=400,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        minloglevel=2,
    )
    return model.getvalue()
