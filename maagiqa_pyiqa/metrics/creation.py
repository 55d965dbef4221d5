"""Metrics and networks of pyiqa from files that may come from strangers.

pyiqa unpickles what it is given, which runs whatever a file says. It is given copies instead, which hold tensors,
numbers, texts and containers of them, no more.
"""

from __future__ import annotations

import contextlib
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from maagiqa_pyiqa.archs.checkpoints.read import read_content, read_state_dict
from maagiqa_pyiqa.support.errors import InputError

MATLAB = b"MATLAB 5.0 MAT-file"  # of niqe and its like; read without pickle, and no pickle begins so


def create_metric(
    name: str,
    device: torch.device,
    options: Mapping[str, Any] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> torch.nn.Module:
    """``pyiqa.create_metric`` that runs no code of a checkpoint or of any file that an option names.

    Args:
        name: of pyiqa's metrics.
        device: where to.
        options: of the metric.
        checkpoint: to use in place of the published weights.

    Raises:
        FileNotFoundError: no such checkpoint.
        ValueError: a file holds anything but tensors, or does not fit.
    """
    import pyiqa

    weights = {"pretrained_model_path": _existing(checkpoint)} if checkpoint else {}
    with _plain_files({**(options or {}), **weights}) as plain, _fitting(checkpoint, f"metric '{name}'"):
        metric: torch.nn.Module = pyiqa.create_metric(name, device=device, **plain)
    return metric


def create_network(network: Mapping[str, Any], checkpoint: str | os.PathLike[str] | None = None) -> torch.nn.Module:
    """``pyiqa.archs.build_network`` that runs no code of a checkpoint or of any file that an option names.

    Args:
        network: ``type`` and options of an architecture.
        checkpoint: its weights.

    Raises:
        FileNotFoundError: no such checkpoint.
        ValueError: a file holds anything but tensors, or does not fit.
    """
    from pyiqa.archs import build_network

    with _plain_files(network) as plain:
        net: torch.nn.Module = build_network(plain)
    if checkpoint:
        with _fitting(checkpoint, f"network '{network['type']}'"):
            net.load_state_dict(read_state_dict(Path(checkpoint)))
    return net


def _existing(checkpoint: str | os.PathLike[str]) -> str:
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(f"checkpoint '{checkpoint}' does not exist.")
    return str(checkpoint)


@contextlib.contextmanager
def _fitting(checkpoint: str | os.PathLike[str] | None, what: str) -> Iterator[None]:
    """Turn what torch says of weights of another network into an error of the user's."""
    try:
        yield
    except (RuntimeError, KeyError) as error:
        if checkpoint is None or (isinstance(error, RuntimeError) and "state_dict" not in str(error)):
            raise
        reason = " ".join(str(error).split())
        raise InputError(f"checkpoint '{checkpoint}' does not fit {what}: {reason[:300]}") from error


@contextlib.contextmanager
def _plain_files(options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Options in which each file's name is that of a plain copy, while the block runs."""
    originals: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            yield {key: _plain(value, Path(folder), originals) for key, value in options.items()}
        except InputError as error:
            message = str(error)
            for copy, original in originals.items():
                message = message.replace(copy, original)
            raise InputError(message) from error


def _plain(value: Any, folder: Path, originals: dict[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item, folder, originals) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, folder, originals) for item in value]
    if not isinstance(value, (str, os.PathLike)) or not os.path.isfile(value) or _is_matlab(Path(value)):
        return value
    copy = folder / f"{len(originals)}.pth"
    torch.save(read_content(Path(value)), copy)
    originals[str(copy)] = str(value)
    return str(copy)


def _is_matlab(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(len(MATLAB))
    return start == MATLAB and not tarfile.is_tarfile(path)
