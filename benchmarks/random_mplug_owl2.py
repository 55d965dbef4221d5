"""Random mPLUG-Owl2 checkpoints in the published format, for timings and for tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import sentencepiece
import torch
from safetensors.torch import save_file

from maagiqa_pyiqa.semantics.mplug_owl2.config import MplugOwl2Config
from maagiqa_pyiqa.semantics.mplug_owl2.network import MplugOwl2
from maagiqa_pyiqa.semantics.prompts import MPLUG_OWL2_TEMPLATE, ONE_ALIGN_TEMPLATE, QUESTIONS

SIZES: MappingProxyType[str, dict[str, int]] = MappingProxyType(
    {
        "tiny": {
            "width": 64, "mlp": 112, "layers": 3, "heads": 4, "vision_width": 32, "vision_layers": 2,
            "vision_heads": 2, "image_size": 56, "abstractor_layers": 2, "queries": 16,
        },
        "mid": {
            "width": 1024, "mlp": 2752, "layers": 16, "heads": 16, "vision_width": 384, "vision_layers": 10,
            "vision_heads": 6, "image_size": 448, "abstractor_layers": 3, "queries": 64,
        },
        "full": {
            "width": 4096, "mlp": 11008, "layers": 32, "heads": 32, "vision_width": 1024, "vision_layers": 24,
            "vision_heads": 16, "image_size": 448, "abstractor_layers": 6, "queries": 64,
        },
    }
)  # fmt: skip
PATCH = 14
VOCABULARY = 32000
CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}


def config_of(vocabulary: int = VOCABULARY, **size: int) -> dict[str, Any]:
    """A ``config.json`` in the published format; ``size`` as in SIZES."""
    vision = {
        "hidden_size": size["vision_width"],
        "num_hidden_layers": size["vision_layers"],
        "num_attention_heads": size["vision_heads"],
        "intermediate_size": 4 * size["vision_width"],
        "image_size": size["image_size"],
        "patch_size": PATCH,
        "layer_norm_eps": 1e-6,
    }
    abstractor = {
        "hidden_size": size["vision_width"],
        "encoder_hidden_size": size["vision_width"],
        "num_hidden_layers": size["abstractor_layers"],
        "num_attention_heads": size["vision_heads"],
        "intermediate_size": size["vision_width"] * 11 // 4,
        "layer_norm_eps": 1e-6,
        "grid_size": size["image_size"] // PATCH,
        "num_learnable_queries": size["queries"],
    }
    return {
        "model_type": "mplug_owl2",
        "vocab_size": vocabulary,
        "hidden_size": size["width"],
        "intermediate_size": size["mlp"],
        "num_hidden_layers": size["layers"],
        "num_attention_heads": size["heads"],
        "rms_norm_eps": 1e-5,
        "visual_config": {"visual_model": vision, "visual_abstractor": abstractor},
    }


def write_model(folder: Path, config: dict[str, Any], dtype: torch.dtype = torch.float32, seed: int = 0) -> None:
    """Write a random checkpoint directory, one safetensors file a layer, so that little memory is needed."""
    folder.mkdir(parents=True, exist_ok=True)
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(_shards(config, dtype, seed)):
        file = f"model-{number:05d}.safetensors"
        save_file(shard, folder / file)
        weight_map |= dict.fromkeys(shard, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    (folder / "config.json").write_text(json.dumps(config))
    side = config["visual_config"]["visual_model"]["image_size"]
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"size": side, "crop_size": side, "resample": 3, **CLIP})
    )
    write_tokenizer(folder)


def _shards(config: dict[str, Any], dtype: torch.dtype, seed: int) -> Iterator[dict[str, torch.Tensor]]:
    with torch.device("meta"):
        net = MplugOwl2(MplugOwl2Config.from_dict(config), lm_head=True)
    generator = torch.Generator().manual_seed(seed)
    shard: dict[str, torch.Tensor] = {}
    for name, tensor in net.state_dict().items():
        if name.endswith("input_layernorm.multiway.0.weight"):
            yield shard
            shard = {}
        shard[name] = _random(name, tensor.shape, generator).to(dtype)
    yield shard


def _random(name: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    """Norms near 1, weights that keep their input's variance, everything else small."""
    noise = torch.randn(shape, generator=generator)
    if name.endswith("weight") and len(shape) == 1:
        return 1 + 0.1 * noise
    fan_in = shape[1:].numel() if name.endswith("weight") else 0
    return noise * (fan_in**-0.5 if fan_in else 0.1)


def write_tokenizer(folder: Path) -> None:
    """Train a sentencepiece tokenizer on the prompts; it splits them about as finely as Llama's."""
    asked = [MPLUG_OWL2_TEMPLATE.format(question=question) for question in QUESTIONS.values()]
    asked += [ONE_ALIGN_TEMPLATE.format(task=task) for task in ("quality", "aesthetic")]
    corpus = folder / "corpus.txt"
    corpus.write_text("\n".join([*asked * 20, "excellent good fair poor bad 0123456789"]))
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(folder / "tokenizer"), model_type="bpe", vocab_size=400,
        byte_fallback=True, hard_vocab_limit=False, minloglevel=2, unk_id=0, bos_id=1, eos_id=2, pad_id=-1,
    )  # fmt: skip
    corpus.unlink()
    (folder / "tokenizer.vocab").unlink()
