"""Small mPLUG-Owl2 models with random weights, as directories in the published format; no shared data needed."""

import functools
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import sentencepiece
import torch
from PIL import Image
from safetensors.torch import save_file

from maagiqa_pyiqa.semantics.mplug_owl2.config import MplugOwl2Config
from maagiqa_pyiqa.semantics.mplug_owl2.network import MplugOwl2
from maagiqa_pyiqa.semantics.prompts import LEVELS, MPLUG_OWL2_TEMPLATE, ONE_ALIGN_TEMPLATE, QUESTIONS

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Sizes:
    """Sizes of a model; the defaults are nearly those of the recorded one."""

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
    vocabulary: int = 400  # of the tokenizer

    def config(self) -> dict:
        """As ``config.json`` holds them."""
        image_width = self.vision_heads * self.vision_head_width
        vision = {
            "hidden_size": image_width,
            "image_size": self.patch * self.grid,
            "patch_size": self.patch,
            "num_hidden_layers": self.vision_layers,
            "num_attention_heads": self.vision_heads,
            "intermediate_size": 2 * image_width,
            "layer_norm_eps": 1e-6,
        }
        abstractor = {
            "hidden_size": image_width,
            "encoder_hidden_size": image_width,
            "num_hidden_layers": self.abstractor_layers,
            "num_attention_heads": self.abstractor_heads,
            "intermediate_size": image_width + 16,
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


def empty_net(sizes: Sizes) -> MplugOwl2:
    """The network with its lm_head, without values."""
    with torch.device("meta"):
        return MplugOwl2(MplugOwl2Config.from_dict(sizes.config()), lm_head=True).eval()


def random_tensors(sizes: Sizes, seed: int = 0) -> dict[str, torch.Tensor]:
    """Weights under the published names; every one is random, so that none can be mistaken for another."""
    generator = torch.Generator().manual_seed(seed)

    def fill(name: str, shape: torch.Size) -> torch.Tensor:
        noise = torch.randn(shape, generator=generator)
        if len(shape) == 1:
            return 0.1 * noise + (0.0 if name.endswith("bias") else 1.0)
        return 0.5 * noise if "embed" in name and len(shape) != 4 else noise / noise[0].numel() ** 0.5

    return {name: fill(name, tensor.shape) for name, tensor in empty_net(sizes).state_dict().items()}


def random_net(sizes: Sizes, seed: int = 0, dtype: torch.dtype = torch.float32) -> MplugOwl2:
    """The network filled with ``random_tensors``."""
    net = empty_net(sizes)
    net.load_state_dict({name: tensor.to(dtype) for name, tensor in random_tensors(sizes, seed).items()}, assign=True)
    return net.requires_grad_(False)


@functools.cache
def tokenizer_model() -> bytes:
    """A small tokenizer of Llama's kind; the five levels are words of its vocabulary."""
    templates = [MPLUG_OWL2_TEMPLATE.format(question=q) for q in QUESTIONS.values()]
    templates += [ONE_ALIGN_TEMPLATE.format(task=task) for task in ("quality", "aesthetic")]
    sentences = [line for text in templates for line in text.splitlines()]
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


def write_model(folder: Path, sizes: Sizes | None = None, tensors: Tensors | None = None) -> Path:
    """Write a model directory as published; with random weights unless given others."""
    sizes = sizes or Sizes()
    side = sizes.patch * sizes.grid
    pixels = {
        "size": {"shortest_edge": side},
        "crop_size": {"height": side, "width": side},
        "resample": 3,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(sizes.config()))
    (folder / "preprocessor_config.json").write_text(json.dumps(pixels))
    (folder / "tokenizer.model").write_bytes(tokenizer_model())
    tensors = random_tensors(sizes) if tensors is None else tensors
    rotary = {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.rand(8) for i in range(sizes.layers)}
    save_weights(folder, {**tensors, **rotary})
    return folder


GRAY = 128


def write_saturating(folder: Path, scale: float) -> Path:
    """Write a model that pictures all of GRAY pass with zeros and others with values around ``scale`` and above."""
    tensors = random_tensors(Sizes())
    name = "model.vision_model.embeddings.patch_embed.weight"
    write_model(folder, tensors={**tensors, name: tensors[name].sign() * scale})
    edit_json(folder / "preprocessor_config.json", image_mean=[GRAY / 255] * 3)
    return folder


def edit_json(path: Path, **changes: object) -> None:
    """Change values of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# how weights may lie in a directory: files' suffix, shards, with an index or without
LAYOUTS = MappingProxyType(
    {
        "bin": (".bin", 1, False),
        "safetensors": (".safetensors", 1, False),
        "bin shards with index": (".bin", 3, True),
        "bin shards": (".bin", 3, False),
        "safetensors shards with index": (".safetensors", 3, True),
        "safetensors shards": (".safetensors", 3, False),
    }
)
STEMS = MappingProxyType({".bin": "pytorch_model", ".safetensors": "model"})


def save_weights(folder: Path, tensors: Tensors, layout: str = "safetensors") -> list[Path]:
    """Replace a directory's weights; return the files in order."""
    for old in weight_files(folder):
        old.unlink()
    suffix, count, indexed = LAYOUTS[layout]
    stem = STEMS[suffix]
    names = [f"{stem}-{i + 1:05}-of-{count:05}{suffix}" if count > 1 else stem + suffix for i in range(count)]
    shards = {file: {key: tensors[key] for key in list(tensors)[i::count]} for i, file in enumerate(names)}
    for file, shard in shards.items():
        save = save_file if suffix == ".safetensors" else torch.save
        save(shard, folder / file)
    if indexed:
        index = {key: file for file, shard in shards.items() for key in shard}
        (folder / f"{stem}{suffix}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    return [folder / name for name in names]


def weight_files(folder: Path) -> Iterator[Path]:
    """Weights and indices of a model directory."""
    for pattern in ("*.bin", "*.safetensors", "*.index.json"):
        yield from list(folder.glob(pattern))


def random_picture(width: int, height: int, seed: int = 0, mode: str = "RGB") -> Image.Image:
    """A picture with structure that survives resizing."""
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.randint(0, 256, (5, 7, 3), dtype=torch.uint8, generator=generator).numpy()
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC).convert(mode)
