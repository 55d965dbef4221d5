"""Scores with gradients that reach the images, for back-propagation straight through a metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from maagiqa_pyiqa.images.tensors import check_images
from maagiqa_pyiqa.metrics.identity import net_of
from maagiqa_pyiqa.metrics.scoring import ONE_AT_A_TIME, Reader, has_details
from maagiqa_pyiqa.reward.judgement import Judgement
from maagiqa_pyiqa.support.devices import default_device
from maagiqa_pyiqa.support.errors import InputError


def score_with_gradients(
    images: Any, metrics: Mapping[str, torch.nn.Module], readers: Mapping[str, Reader], device: str | None, size: int
) -> Judgement:
    """Score images by networks, as ``as_loss`` does: pixels may step out of [0, 1], and gradients may flow.

    Args:
        images: (N, 3, H, W), floating point.
        metrics: created metrics by name, whose weights want no gradients.
        readers: by metric, what reads the distance from its training images.
        device: of the metrics.
        size: images at once.

    Returns:
        Scores as tensors on the images' device; those of images with NaN or infinite pixels are NaN, without gradients.

    Raises:
        TypeError, ValueError: images of another kind, or a metric through which no gradients flow.
    """
    with torch.enable_grad():  # pixels out of [0, 1] are refused where nobody wants gradients
        check_images(images)
    usable = images.isfinite().flatten(1).all(1)
    places = usable.nonzero().flatten()
    x = images[places].to(device or default_device())
    judgement = Judgement([None if fine else "NaN or infinite pixels" for fine in usable.tolist()], {}, {}, {})
    for name, metric in metrics.items():
        seen = _of_metric(name, metric, readers.get(name), x.split(1 if name in ONE_AT_A_TIME else size))
        scores = torch.cat([x.new_empty(0), *seen.scores])
        nan = images.new_full((len(images),), torch.nan, dtype=scores.dtype)
        judgement.raw[name] = nan.index_put((places,), scores.to(images.device))
        if any(seen.gates):
            weights = iter(seen.gates)
            judgement.gates[name] = [next(weights) if fine else None for fine in usable.tolist()]
        if name in readers:
            judgement.distances[name] = np.full(len(images), np.nan)
            judgement.distances[name][usable.cpu().numpy()] = seen.distances
    return judgement


class _Seen(NamedTuple):
    """Scores of each batch, and of each image the weights of experts and the distance, where they are told."""

    scores: list[torch.Tensor]
    gates: list[list[float]]
    distances: list[float]


def _of_metric(name: str, metric: torch.nn.Module, read: Reader | None, batches: Sequence[torch.Tensor]) -> _Seen:
    seen = _Seen([], [], [])
    net = net_of(metric)
    for batch in filter(len, batches):
        output = net(batch, return_details=True) if has_details(net) else net(batch)
        score = output[0] if isinstance(output, tuple) else output
        if batch.requires_grad and torch.is_grad_enabled() and not score.requires_grad:
            raise InputError(f"metric '{name}' gives no gradients; use one that does, or differentiable=False.")
        seen.scores.append(score.reshape(-1))
        seen.gates.extend(output.gate.tolist() if has_details(net) else [])
        seen.distances.extend(read(output) if read else [])
    return seen
