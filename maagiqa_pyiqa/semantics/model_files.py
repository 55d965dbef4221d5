"""A large model's directory: where it is, what it holds, and what tells it from every other.

A model is a hub id or a directory in the published format: ``config.json`` and ``.bin`` or ``.safetensors`` files, with
or without an index.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

import torch
from torch import nn

from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.reachability import hub_address, require_reachable

FILES = ("*.json", "*.model", "*.safetensors", "*.bin", "*.jinja", "*.txt")  # of a hub repository, all we ever read


def resolve_model(source: str, what: str) -> Path:
    """Find a model: a local directory as it is, anything else as a hub id, fetched unless it is already here.

    Args:
        source: directory or hub id.
        what: where the source was given, named in messages.

    Raises:
        FileNotFoundError: ``source`` looks like a path and is not a directory.
        ConnectionError: the hub cannot be reached (found within 10 s), or does not have the model; says what to do.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", source) or source.startswith((".", "~")):
        raise FileNotFoundError(f"{what}: directory '{source}' does not exist, and it is no hub id (OWNER/NAME).")
    return _from_hub(source, what)


def _from_hub(hub_id: str, what: str) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = Path(huggingface_hub.snapshot_download(hub_id, local_files_only=True))
        if not list(absent_files(folder)):
            return folder
    except LocalEntryNotFoundError:
        pass
    remedy = (
        f"Fetch {hub_id} elsewhere (hf download {hub_id} --local-dir DIR) and give the directory: {what} takes a "
        "directory wherever it takes a hub id."
    )
    host, port = hub_address()
    require_reachable(host, remedy, port)
    try:
        return Path(huggingface_hub.snapshot_download(hub_id, allow_patterns=list(FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ConnectionError(f"{hub_id} could not be fetched: {error} {remedy}") from error


def absent_files(folder: Path) -> Iterator[str]:
    """Name the files a model directory needs and does not have."""
    if not (folder / "config.json").is_file():
        yield "config.json"
    needed = indexed_files(folder)
    yield from (file.name for file in needed if not file.is_file())
    if not needed and not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        yield "*.safetensors or *.bin"


def indexed_files(folder: Path) -> list[Path]:
    """Files that the index names, that of .safetensors files first; none without an index.

    Raises:
        ValueError: the index is not JSON, maps no weights, or names a file outside its folder.
    """
    indices = sorted(folder.glob("*.index.json"))
    if not indices:
        return []
    weight_map = read_config(folder, indices[0].name).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise InputError(f"'{indices[0]}' is no index of weights: it has no weight_map of names to files.")
    names = sorted(set(weight_map.values()))
    outside = [name for name in names if PureWindowsPath(name).name != name or name in ("", "..")]
    if outside:
        raise InputError(
            f"'{indices[0]}' names {outside[0]!r}, which is no file of its folder. Do not use this model: indices as "
            "they are published name only files beside them."
        )
    return [folder / name for name in names]


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """Read one of a model directory's JSON files.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is not a JSON object.
    """
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(f"'{folder}' is not a model directory: it holds no {name}.")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"'{path}' is not JSON that holds an object: {error}") from error


def folder_fingerprint(folder: Path) -> str:
    """Hash the names, sizes and modification times of a model directory's files, without reading gigabytes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    states = [(str(file.relative_to(folder)), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(json.dumps(states).encode()).hexdigest()


def weights_digest(net: nn.Module) -> str:
    """SHA-256 over all parameters and buffers by name, dtype, shape and content, however they were sharded."""
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        if torch.is_tensor(tensor):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
