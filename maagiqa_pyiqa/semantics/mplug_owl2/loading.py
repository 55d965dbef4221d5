"""mPLUG-Owl2 from a model directory, streamed into place a little at a time.

Nothing is unpickled beyond plain tensors, and no code of the checkpoint is run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import psutil
import torch
from safetensors.torch import load_file
from torch import nn

from maagiqa_pyiqa.semantics.batched_extractor import name_of
from maagiqa_pyiqa.semantics.model_files import absent_files, indexed_files, read_config
from maagiqa_pyiqa.semantics.mplug_owl2.config import MplugOwl2Config
from maagiqa_pyiqa.semantics.mplug_owl2.network import MplugOwl2
from maagiqa_pyiqa.semantics.mplug_owl2.quantization import QUANTIZATIONS, quantize_linears
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import require_choice

GROUP_BYTES = 64 * 2**20  # read at once; what is being copied is in memory twice
UNREAD = r"rotary_emb\.inv_freq$"  # computed, not learnt


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
        require_memory(values * dtype.itemsize, device, name_of(dtype))

    def after_group() -> None:
        if quantization != "none":
            quantize_linears(net.model.layers, quantization, device, dtype)

    load_weights(net, folder, device=device, dtype=dtype, ignored=ignored, after_group=after_group)
    return net


class StoredTensor(NamedTuple):
    """Where a tensor of a checkpoint is, and what it is."""

    file: Path
    shape: tuple[int, ...]
    bytes: int


def stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """List the tensors of a model directory by name, reading no weights.

    Raises:
        FileNotFoundError: a file that the index names is absent, or there are no weights.
        ValueError: a file is no checkpoint of plain tensors, or is cut short.
    """
    absent = list(absent_files(folder))
    if absent:
        raise FileNotFoundError(f"'{folder}' is not a whole model directory: {', '.join(absent)} is not there.")
    # a trained model's directory may hold further .bin files, such as training_args.bin
    files = indexed_files(folder) or sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    return {
        name: StoredTensor(file, tuple(tensor.shape), tensor.nbytes)
        for file in files
        for name, tensor in _mapped(file).items()
    }


def _mapped(file: Path) -> Mapping[str, torch.Tensor]:
    """Tensors of one file, mapped and not yet read."""
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        return dict(torch.load(file, map_location="cpu", weights_only=True, mmap=True))
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(
            f"'{file}' ({file.stat().st_size:,} bytes) cannot be read as a checkpoint of tensors: {reason} "
            "If it was cut short, fetch it again."
        ) from error


def load_weights(
    net: nn.Module,
    folder: Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    ignored: str = "$^",
    after_group: Callable[[], None] = lambda: None,
) -> None:
    """Fill a network built on the meta device from a model directory.

    Host memory holds what has been filled and one group of tensors (GROUP_BYTES) beside it, never a second copy.

    Args:
        net: network on the meta device; its parameters are replaced.
        folder: model directory.
        device: where the parameters are put.
        dtype: their dtype.
        ignored: regular expression of names in the checkpoint that nobody reads.
        after_group: called after each group is in place.

    Raises:
        FileNotFoundError: a file is absent.
        ValueError: a tensor is missing, unknown or of another shape; names them.
    """
    stored = {name: tensor for name, tensor in stored_tensors(folder).items() if not re.search(ignored, name)}
    _require_match(net, stored, folder)
    for names in _groups(stored):
        tensors = _read(names, stored, device, dtype)
        net.load_state_dict(tensors, strict=False, assign=True)
        after_group()
    net.requires_grad_(False)


def _read(
    names: list[str], stored: Mapping[str, StoredTensor], device: torch.device, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """Copies of a group's tensors; a group of one large tensor is read a few rows at a time."""
    file, size = stored[names[0]].file, stored[names[0]].bytes
    if len(names) > 1 or size <= GROUP_BYTES:
        mapped = _mapped(file)  # with the last reference the file's pages leave memory
        return {name: mapped[name].to(device, dtype, copy=True) for name in names}
    whole = torch.empty(stored[names[0]].shape, device=device, dtype=dtype)
    for rows in torch.arange(len(whole)).chunk(-(-size // GROUP_BYTES)):
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        whole[part] = _mapped(file)[names[0]][part].to(device, dtype)
    return {names[0]: whole}


def _require_match(net: nn.Module, stored: Mapping[str, StoredTensor], folder: Path) -> None:
    own = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    problems = {
        "missing": [name for name in own if name not in stored],
        "unknown": [name for name in stored if name not in own],
        "of another shape": [
            f"{name} {stored[name].shape} instead of {own[name]}"
            for name in own
            if name in stored and stored[name].shape != own[name]
        ],
    }
    lines = [f"{len(names)} {what}: {_first(names)}" for what, names in problems.items() if names]
    if lines:
        raise InputError(f"the weights in '{folder}' do not fit its config.json. " + "; ".join(lines) + ".")


def _first(names: Iterable[str], limit: int = 5) -> str:
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _groups(stored: Mapping[str, StoredTensor]) -> Iterator[list[str]]:
    """Names in groups of one file and of at most GROUP_BYTES."""
    group: list[str] = []
    size = 0
    for name, tensor in stored.items():
        if group and (tensor.file != stored[group[0]].file or size + tensor.bytes > GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(name)
        size += tensor.bytes
    if group:
        yield group


def require_memory(needed: int, device: torch.device, dtype: str) -> None:
    """Raise MemoryError before a model is loaded that the CPU's memory cannot hold; not looked at on other devices."""
    if device.type != "cpu":
        return
    available = psutil.virtual_memory().available
    if needed > available:
        raise MemoryError(
            f"the model needs {needed / 2**30:.0f} GiB in {dtype} and {available / 2**30:.0f} GiB of memory are free; "
            "choose dtype 'bf16', another device, or a smaller model (transformers:DIR_OR_HUB_ID)."
        )
