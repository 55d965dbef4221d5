"""Small mPLUG-Owl2 models with random weights, as directories whose weights may lie in any published way."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from PIL import Image
from safetensors.torch import save_file

from benchmarks.random_mplug_owl2 import Sizes, empty_net, random_tensors, write_settings
from maagiqa_pyiqa.semantics.mplug_owl2.network import MplugOwl2

Tensors = Mapping[str, torch.Tensor]


def tensors_of(sizes: Sizes, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights under their published names."""
    return dict(random_tensors(sizes, seed))


def random_net(sizes: Sizes, seed: int = 0, dtype: torch.dtype = torch.float32) -> MplugOwl2:
    """The network filled with random weights."""
    net = empty_net(sizes)
    net.load_state_dict({name: tensor.to(dtype) for name, tensor in random_tensors(sizes, seed)}, assign=True)
    return net.requires_grad_(False)


def write_model(folder: Path, sizes: Sizes | None = None, tensors: Tensors | None = None) -> Path:
    """Write a model directory as published; with random weights unless given others."""
    sizes = sizes or Sizes()
    write_settings(folder, sizes)
    tensors = tensors_of(sizes) if tensors is None else tensors
    rotary = {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.rand(8) for i in range(sizes.layers)}
    save_weights(folder, {**tensors, **rotary})
    return folder


GRAY = 128


def write_saturating(folder: Path, scale: float) -> Path:
    """Write a model that pictures all of GRAY pass with zeros and others with values around ``scale`` and above."""
    tensors = tensors_of(Sizes())
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
