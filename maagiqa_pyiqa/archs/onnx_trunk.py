"""A trunk's statistics through ONNX Runtime: the same function as PyTorch's on a CPU, in a third of the time.

A graph file of the package holds the structure of a backbone alone. Its weights are those of the module at hand,
whichever checkpoint they come from, with batch norms folded into them; when they change, the session is built again.
"""

from __future__ import annotations

import ctypes
import os
import threading
import warnings
import weakref
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from maagiqa_pyiqa.archs.folded_norms import NormedConv
from maagiqa_pyiqa.archs.products import autocasts_on_cpu
from maagiqa_pyiqa.weights import packaged_graph

GRAPH_TAPS = (0, 1, 2, 3, 4)  # of the packaged graphs: every stage
ARENA_PIXELS = 1024 * 512  # memory that a larger image took is given back after it


class MapStatistics(NamedTuple):
    """Of the maps of a trunk's taps and of its head: mean and variance over positions, and the last tap's map.

    ``mean`` and ``variance`` are (N, channels of all maps together), float32 at least; ``last_map`` is (N, C, h, w).
    """

    mean: torch.Tensor
    variance: torch.Tensor
    last_map: torch.Tensor


class OnnxTrunk:
    """Computes what a module's forward would, where there is a graph of it and nothing but the numbers is wanted.

    Args:
        name: timm model name.
        taps: of which maps statistics are wanted.
    """

    def __init__(self, name: str, taps: tuple[int, ...]) -> None:
        graph = packaged_graph(name.split(".")[0])
        self._arguments = name, taps
        self._graph = graph if tuple(taps) == GRAPH_TAPS and graph.exists() else None
        self._lock = threading.Lock()
        self._session: Any = None
        self._built_for: tuple[int, tuple[int, ...]] | None = None  # threads, digests of weights
        _trunks.add(self)

    def takes(self, model: nn.Module, x: torch.Tensor) -> bool:
        """Whether the statistics of ``x`` are computed here."""
        return (
            self._graph is not None
            and not torch.compiler.is_compiling()
            and not torch.jit.is_tracing()
            and not model.training
            and type(x) is torch.Tensor
            and x.device.type == "cpu"
            and x.dtype == torch.float32
            and x.numel() > 0
            and not autocasts_on_cpu()
            and not _wants_gradients(model, x)
            and _onnxruntime() is not None
        )

    def __call__(self, model: nn.Module, x: torch.Tensor) -> MapStatistics:
        """(N, 3, H, W), normalised, to its statistics; images go one by one, which is fastest."""
        session = self._session_for(model)
        options = _run_options(x.shape[-2] * x.shape[-1] > ARENA_PIXELS)
        outputs = [session.run(None, {"image": image[None].contiguous().numpy()}, options) for image in x.detach()]
        return MapStatistics(*(torch.from_numpy(np.concatenate(values)) for values in zip(*outputs, strict=True)))

    def _session_for(self, model: nn.Module) -> Any:
        """The session for the weights as they are now."""
        with self._lock:
            wanted = torch.get_num_threads(), tuple(_digests(model))
            if self._built_for != wanted:
                self._session = _build_session(str(self._graph), _folded_weights(model), threads=wanted[0])
                self._built_for = wanted
            return self._session

    def start_anew(self) -> None:
        """In a process that was just forked, where a session's threads are missing and a lock may be held for ever."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))  # to end it would be to wait for its threads
        self._lock, self._session, self._built_for = threading.Lock(), None, None

    def __deepcopy__(self, memo: dict[int, Any]) -> OnnxTrunk:
        return OnnxTrunk(*self._arguments)

    def __reduce__(self) -> tuple[type[OnnxTrunk], tuple[str, tuple[int, ...]]]:
        return OnnxTrunk, self._arguments


_trunks: weakref.WeakSet[OnnxTrunk] = weakref.WeakSet()


def _start_anew() -> None:
    for trunk in _trunks:
        trunk.start_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)


def _wants_gradients(model: nn.Module, x: torch.Tensor) -> bool:
    return torch.is_grad_enabled() and (x.requires_grad or any(weight.requires_grad for weight in model.parameters()))


def _digests(model: nn.Module) -> Iterator[int]:
    """A number for each tensor, which follows its content: PyTorch counts no changes that go through ``.data``."""
    for tensor in (*model.parameters(), *model.buffers()):
        words = tensor.detach().numpy().reshape(-1).view(np.uint8)
        whole = len(words) // 8 * 8
        yield int(np.add.reduce(words[:whole].view(np.int64))) + int(words[whole:].sum())


def _folded_weights(model: nn.Module) -> dict[str, np.ndarray]:
    """Weights and biases of all convolutions with their batch norms, under the names that graphs give them."""
    weights: dict[str, np.ndarray] = {}
    with torch.no_grad():
        for name, conv in model.named_modules():
            if isinstance(conv, NormedConv):
                weight, bias = conv.folded()
                weights |= {f"{name}.weight": weight.contiguous().numpy(), f"{name}.bias": bias.numpy()}
    return weights


@cache
def _onnxruntime() -> Any:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # from 1.29 on it reports to its makers, from a thread
    try:
        import onnxruntime
    except (ImportError, OSError) as error:
        warnings.warn(f"ONNX Runtime cannot be imported ({error}); PyTorch scores instead, slower.", stacklevel=2)
        return None
    return onnxruntime


def _build_session(graph: str, weights: dict[str, np.ndarray], threads: int) -> Any:
    runtime = _onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_mem_pattern = False  # images come in all sizes, and a plan for each takes memory
    options.log_severity_level = 3  # errors
    values = [runtime.OrtValue.ortvalue_from_numpy(value) for value in weights.values()]
    options.add_external_initializers(list(weights), values)
    return runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _run_options(shrink: bool) -> Any:
    options = _onnxruntime().RunOptions()
    if shrink:
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options
