"""What makes two runs of a metric the same: its name, options, weights, large model, and the versions of the code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from pyiqa.default_model_configs import DEFAULT_CONFIGS
from torch import nn

from maagiqa_pyiqa import __version__
from maagiqa_pyiqa.semantics.model_files import weights_digest

OWN_PACKAGE = "maagiqa_pyiqa"


@runtime_checkable
class UsesLargeModel(Protocol):
    """A network whose scores depend on a model that is no part of it."""

    def large_model_fingerprint(self) -> str | None:
        """Hash that changes with that model, told without loading it; None where there is none after all."""


@dataclass(frozen=True)
class MetricIdentity:
    """``key`` is what scores are kept under: a hash of everything else here."""

    key: str
    options: Mapping[str, Any]
    weights_sha256: str | None
    large_model: str | None
    version: str


def identify(metric: nn.Module, name: str | None, options: Mapping[str, Any]) -> MetricIdentity:
    """Tell a created metric from every other.

    Args:
        metric: as created, before it scored anything.
        name: name of pyiqa's that it was created by; None for a network.
        options: what was given at creation; for a network all of its options, ``type`` among them.

    Raises:
        ConnectionError, FileNotFoundError: the large model behind it is neither here nor within reach.
    """
    if name is not None:
        options = {**DEFAULT_CONFIGS[name]["metric_opts"], **options}
    shown = readable({key: value for key, value in options.items() if key != "pretrained_model_path"})
    net = net_of(metric)
    large_model = net.large_model_fingerprint() if isinstance(net, UsesLargeModel) else None
    weights, version = digest_of_everything(metric), code_version()
    key = hashlib.sha256(json.dumps([name, shown, weights, large_model, version], sort_keys=True).encode()).hexdigest()
    return MetricIdentity(key, shown, weights, large_model, version)


def code_version() -> str:
    """Versions that scores depend on."""
    return f"pyiqa {metadata.version('pyiqa')}, {OWN_PACKAGE} {__version__}"


def readable(value: Any) -> Any:
    """A value of an option as JSON can hold it; an object by its fingerprint where it has one."""
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, Mapping):
        return {str(name): readable(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [readable(item) for item in value]
    return str(getattr(value, "fingerprint", value))


# ------------------------------------------------------------------------------------------------------------ weights


def digest_of_everything(metric: nn.Module) -> str | None:
    """SHA-256 of all weights, also those that pyiqa keeps out of the state dict; None where there are none."""
    digest, size = hashlib.sha256(), 0
    for part in _weights(net_of(metric), set()):
        if isinstance(part, nn.Module):
            size += sum(tensor.numel() for tensor in part.state_dict().values() if torch.is_tensor(tensor))
            digest.update(weights_digest(part).encode())
        else:
            size += part.size
            digest.update(f"{part.dtype} {part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest() if size else None


def net_of(metric: nn.Module) -> nn.Module:
    """The network within what ``create_metric`` gives, which adds a tensor of its own on some devices."""
    net = getattr(metric, "net", metric)
    return net if isinstance(net, nn.Module) else metric


def count_parameters(metric: nn.Module) -> int:
    """Parameters of a metric and of what it loaded beside itself, such as a large model."""
    modules = [part for part in _weights(net_of(metric), set()) if isinstance(part, nn.Module)]
    return sum({id(p): p.numel() for module in modules for p in module.parameters()}.values())


def _weights(value: Any, seen: set[int]) -> Iterator[nn.Module | np.ndarray]:
    """Modules and arrays in a value: pyiqa hides some in lists and plain attributes, we large models in objects."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, nn.Module):
        yield value
    elif torch.is_tensor(value):
        yield value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    elif isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        yield value
    for content in _contents(value):
        yield from _weights(content, seen)


def _contents(value: Any) -> Iterable[Any]:
    if isinstance(value, nn.Module):
        known = ("_parameters", "_buffers", "_modules")
        return [v for m in value.modules() for name, v in sorted(vars(m).items()) if name not in known]
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, dict):
        return value.values()
    return vars(value).values() if type(value).__module__.startswith(OWN_PACKAGE) and hasattr(value, "__dict__") else ()
