"""What scoring takes: time, parameters, and memory at its highest; and what it will take."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from dataclasses import dataclass
from types import MappingProxyType, TracebackType

import psutil
import torch

SECONDS_BETWEEN_SAMPLES = 0.02
# seconds that an image of 512 px takes on a CPU, of metrics of pyiqa that surprise by it; see benchmarks/RESULTS.md
SLOW_METRICS = MappingProxyType({"ilniqe": 10.0})


@dataclass(frozen=True)
class Cost:
    """What scoring took: ``seconds`` from files to scores, ``peak_memory_bytes`` beyond what was in use before."""

    images: int
    seconds: float
    parameters: int
    peak_memory_bytes: int
    device: str

    @property
    def images_per_second(self) -> float:
        """Speed over all images that were scored."""
        return self.images / self.seconds


def estimate_seconds(metric: str | None, images: int, before: Cost | None) -> float | None:
    """How long scoring will take: by what it took before, else by SLOW_METRICS; None where nothing is known.

    Args:
        metric: name of pyiqa's; None for a network.
        images: how many are to be scored.
        before: cost of what the metric has scored already, if any.
    """
    if before is not None:
        return images / before.images_per_second
    known = SLOW_METRICS.get(metric or "")
    return None if known is None else images * known


class PeakMemory:
    """Context manager; ``bytes`` is then the highest use within, beyond what was in use before.

    On CUDA it is the device's memory that torch allocated; elsewhere the memory of this process, sampled many times a
    second, without that of worker processes.
    """

    def __init__(self, device: torch.device) -> None:
        self.bytes = 0
        self._device = device
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> PeakMemory:
        _release_free_memory()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = torch.cuda.memory_allocated(self._device)
        else:
            self._before = psutil.Process().memory_info().rss
            self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated(self._device) - self._before
        else:
            self._ended.set()
            self._watch.join()

    def _sample(self) -> None:
        process = psutil.Process()
        ended = False
        while not ended:
            ended = self._ended.wait(SECONDS_BETWEEN_SAMPLES)
            self.bytes = max(self.bytes, process.memory_info().rss - self._before)


def _release_free_memory() -> None:
    """Return what earlier metrics freed to the system; else the next would take it over and seem to need none."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None  # glibc only
    if trim is not None:
        trim(0)
