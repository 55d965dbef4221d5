"""What a metric is found to be and to take on this machine: how fast, how large, and whether it repeats itself."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from maagiqa_pyiqa.metrics.cost import PeakMemory
from maagiqa_pyiqa.metrics.identity import count_parameters, digest_of_everything, net_of
from maagiqa_pyiqa.metrics.scoring import ONE_AT_A_TIME

SIDE = 512  # of the images, in pixels
IMAGES = 4
SAME = 1e-5  # how far scores may be apart, in parts of their size and at least 1


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Found with noise of SIDE x SIDE pixels, one image at a time unless it says otherwise.

    Attributes:
        device: as in torch.
        threads: of torch.
        images_per_second: after the first image.
        peak_memory_bytes: beyond what was in use once the metric was created.
        parameters: of the network and of what stands behind it.
        weights_sha256: of all weights, None where there are none.
        deterministic: whether it gave the same scores to the bit again.
        batch_invariant: whether scores in a batch were those of single images, to SAME; None where it takes none.
        differentiable: whether finite gradients that are not all 0 reached the pixels.
    """

    device: str
    threads: int
    images_per_second: float
    peak_memory_bytes: int
    parameters: int
    weights_sha256: str | None
    deterministic: bool
    batch_invariant: bool | None
    differentiable: bool


def measure(name: str, metric: torch.nn.Module, device: str) -> Measurement:
    """Score noise by a created metric, several times.

    Raises:
        Exception: whatever the metric raises.
    """
    x = torch.rand(IMAGES, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)).to(device)
    with PeakMemory(torch.device(device)) as memory:
        metric(x[:1])  # whose memory ONNX Runtime keeps
        start = time.perf_counter()
        alone = _one_by_one(metric, x)
        seconds = time.perf_counter() - start
    return Measurement(
        device=device,
        threads=torch.get_num_threads(),
        images_per_second=round(IMAGES / seconds, 3),
        peak_memory_bytes=memory.bytes,
        parameters=count_parameters(metric),
        weights_sha256=digest_of_everything(metric),
        deterministic=torch.equal(alone, _one_by_one(metric, x)),
        batch_invariant=None if name in ONE_AT_A_TIME else _is_close(alone, metric(x).detach().reshape(-1).cpu()),
        differentiable=_has_gradients(net_of(metric), x[:1]),
    )


def _one_by_one(metric: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    return torch.cat([metric(image[None]).detach().reshape(-1).cpu() for image in x])


def _is_close(scores: torch.Tensor, others: torch.Tensor) -> bool:
    return bool(((scores - others).abs() <= SAME * scores.abs().clamp(min=1)).all())


def _has_gradients(net: torch.nn.Module, x: torch.Tensor) -> bool:
    x = x.clone().requires_grad_()
    try:
        with torch.enable_grad():
            output = net(x)
            (gradient,) = torch.autograd.grad((output[0] if isinstance(output, tuple) else output).sum(), x)
    except (RuntimeError, TypeError, ValueError):  # however a network says that it cannot
        return False
    return bool(gradient.isfinite().all() and gradient.ne(0).any())
