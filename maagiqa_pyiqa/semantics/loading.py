"""Large models from a hub or a local directory, streamed into place a little at a time.

A checkpoint is a directory in the published format: ``config.json`` and ``.bin`` or ``.safetensors`` files, with or
without an index. Nothing is unpickled beyond plain tensors, and no code of the checkpoint is run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch
from safetensors.torch import load_file
from torch import nn

from maagiqa_pyiqa.support.reachability import hub_address, require_reachable

GROUP_BYTES = 64 * 2**20  # read at once; what is being copied is in memory twice
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
        if not list(_absent_shards(folder)):
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


def _absent_shards(folder: Path) -> Iterator[str]:
    """Name the files a model directory needs and does not have."""
    if not (folder / "config.json").is_file():
        yield "config.json"
    needed = _indexed_files(folder)
    yield from (file.name for file in needed if not file.is_file())
    if not needed and not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        yield "*.safetensors or *.bin"


def _indexed_files(folder: Path) -> list[Path]:
    """Files that the index names, that of .safetensors files first; none without an index."""
    indices = sorted(folder.glob("*.index.json"))
    names = {name for index in indices[:1] for name in json.loads(index.read_text())["weight_map"].values()}
    return [folder / name for name in sorted(names)]


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """Read one of a model directory's JSON files.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is not JSON.
    """
    path = folder / name
    if not path.is_file():
        raise FileNotFoundError(f"'{folder}' is not a model directory: it holds no {name}.")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"'{path}' is not JSON: {error}") from error


# ------------------------------------------------------------------------------------------------------------- weights


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
    absent = list(_absent_shards(folder))
    if absent:
        raise FileNotFoundError(f"'{folder}' is not a whole model directory: {', '.join(absent)} is not there.")
    # a trained model's directory may hold further .bin files, such as training_args.bin
    files = _indexed_files(folder) or sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
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
        raise ValueError(
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
        raise ValueError(f"the weights in '{folder}' do not fit its config.json. " + "; ".join(lines) + ".")


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


def weights_digest(net: nn.Module) -> str:
    """SHA-256 over all parameters and buffers by name, dtype, shape and content, however they were sharded."""
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        if torch.is_tensor(tensor):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
