"""Scores with gradients that reach the images, for back-propagation straight through a metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from maagiqa_pyiqa.images.tensors import check_images
from maagiqa_pyiqa.metrics.identity import net_of
from maagiqa_pyiqa.metrics.scoring import ONE_AT_A_TIME, has_details
from maagiqa_pyiqa.reward.judgement import Judgement
from maagiqa_pyiqa.support.devices import default_device
from maagiqa_pyiqa.support.errors import InputError

Gates = list[list[float] | None]


def score_with_gradients(
    images: Any, metrics: Mapping[str, torch.nn.Module], device: str | None, size: int
) -> Judgement:
    """Score images by networks, as ``as_loss`` does: pixels may step out of [0, 1], and gradients may flow.

    Args:
        images: (N, 3, H, W), floating point.
        metrics: created metrics by name, whose weights want no gradients.
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
    raw: dict[str, torch.Tensor] = {}
    gates: dict[str, Gates] = {}
    for name, metric in metrics.items():
        scores, found = _of_metric(name, metric, x, 1 if name in ONE_AT_A_TIME else size)
        nan = images.new_full((len(images),), torch.nan, dtype=scores.dtype)
        raw[name] = nan.index_put((places,), scores.to(images.device))
        if found:
            ordered = iter(found)
            gates[name] = [next(ordered) if fine else None for fine in usable.tolist()]
    errors = [None if fine else "NaN or infinite pixels" for fine in usable.tolist()]
    return Judgement(errors, raw, gates)


def _of_metric(
    name: str, metric: torch.nn.Module, x: torch.Tensor, size: int
) -> tuple[torch.Tensor, list[list[float]]]:
    """Scores (N,) of images, and the weights of experts if there are any."""
    scores: list[torch.Tensor] = [x.new_empty(0)]
    gates: list[list[float]] = []
    net = net_of(metric)
    for batch in x.split(size) if len(x) else ():
        output = net(batch, return_details=True) if has_details(net) else net(batch)
        score = output[0] if isinstance(output, tuple) else output
        if batch.requires_grad and torch.is_grad_enabled() and not score.requires_grad:
            raise InputError(f"metric '{name}' gives no gradients; use one that does, or differentiable=False.")
        scores.append(score.reshape(-1))
        gates.extend(output.gate.tolist() if has_details(net) else [])
    return torch.cat(scores), gates
