"""Weights of every origin into the network: the authors' file, a pyiqa training checkpoint, our safetensors.

Formats are told apart by content, never by file name. Nothing is unpickled beyond plain tensors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from maagiqa_pyiqa.archs.checkpoints.official import COMPUTED_BUFFERS, convert_official
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.files import written_whole

StateDict = Mapping[str, torch.Tensor]


def read_state_dict(path: str | Path) -> dict[str, torch.Tensor]:
    """Read any supported checkpoint as a state dict under our names.

    Args:
        path: the authors' ``.pt``, pyiqa's ``{'params': ...}`` or a ``.safetensors`` file.

    Returns:
        Tensors on the CPU.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint, or one that holds anything but tensors; says what was found.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint '{path}' does not exist.")
    state_dict = strip_module(read_tensors(path))
    return convert_official(state_dict) if "gating.weight" in state_dict else state_dict


def read_content(path: Path) -> Any:
    """What a file of any supported format holds, as ``torch.save`` would have it; no code in it is run.

    Raises:
        ValueError: neither safetensors nor a pickle of plain tensors, numbers, texts and containers of them.
    """
    with path.open("rb") as file:
        start = file.read(9)
    try:
        if start[8:9] == b"{":  # safetensors: 8 bytes of header length, then JSON
            return {"params": load_file(path)}
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"'{path}' ({path.stat().st_size:,} bytes) cannot be read as a checkpoint of tensors: {reason[:200]} "
            "Expected the authors' .pt, a pyiqa training checkpoint or .safetensors; if cut short, fetch it again."
        ) from error


def read_tensors(path: Path) -> StateDict:
    """Named tensors of a file as they are called there.

    Raises:
        ValueError: not a checkpoint, or one that holds anything but tensors; says what was found.
    """
    content = read_content(path)
    for key in ("params", "state_dict"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content or not all(map(torch.is_tensor, content.values())):
        content_words = f"a {type(content).__name__}"
        content_words += f" with keys {list(content)[:5]}" if isinstance(content, Mapping) else ""
        raise InputError(f"'{path}' is not a MAAGIQA checkpoint: expected named tensors, found {content_words}.")
    return content


def strip_module(state_dict: StateDict) -> dict[str, torch.Tensor]:
    """Take off the prefix that a parallel wrapper gave every name."""
    return {name.removeprefix("module."): tensor for name, tensor in state_dict.items()}


def load_checkpoint(net: nn.Module, path: str | Path) -> None:
    """Load a checkpoint into the network, every parameter or none.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint, or of another network or configuration; names what is missing, unexpected or
            of another shape.
    """
    state_dict = read_state_dict(path)
    problems = find_mismatches(net.state_dict(), state_dict)
    if problems:
        raise InputError(
            f"'{path}' does not fit this network ({len(state_dict)} tensors, first: {_first(state_dict, 3)}). "
            + " ".join(problems)
            + " Was it trained with other options (preset, backbone, num_prompts, feature_dim)?"
        )
    net.load_state_dict(state_dict, strict=False)  # only computed buffers may be absent, see above


def find_mismatches(own: StateDict, given: StateDict) -> list[str]:
    """What keeps ``given`` from being loaded as ``own``, in sentences; nothing where it fits."""
    missing = [name for name in own if name not in given and not name.endswith(COMPUTED_BUFFERS)]
    unexpected = [name for name in given if name not in own]
    shapes = [
        f"{name} {tuple(given[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in given and own[name].shape != given[name].shape
    ]
    problems = {"Missing": missing, "Unexpected": unexpected, "Other shapes": shapes}
    return [f"{what}: {_first(names)}." for what, names in problems.items() if names]


def _first(names: Iterable[str], limit: int = 5) -> str:
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def save_checkpoint(state_dict: StateDict, path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write safetensors, whole or not at all."""
    with written_whole(path) as aside:
        save_file({name: tensor.contiguous() for name, tensor in state_dict.items()}, aside, dict(metadata or {}))
