"""Scores of many images by any of pyiqa's metrics: decoded in workers, batched by size, failures listed."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import pyiqa
import torch
from pyiqa.default_model_configs import DEFAULT_CONFIGS

from maagiqa_pyiqa.images.ahead import HELD_MEGAPIXELS, map_files_ahead
from maagiqa_pyiqa.images.decoding import UnreadableImageError, read_image
from maagiqa_pyiqa.images.sources import ImagePath
from maagiqa_pyiqa.metrics.availability import explain, short_reason
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import nearest

if TYPE_CHECKING:
    from maagiqa_pyiqa.metrics.explanation import Explanation

Metrics = Mapping[str, torch.nn.Module]
Maker = Callable[[str | None], torch.nn.Module]  # of a device as in torch; None for the default
Reader = Callable[[Any], Sequence[float]]  # of a metric's details, such as MAAGIQA's, to a value of each image
NO_READERS: Mapping[str, Reader] = MappingProxyType({})
ONE_AT_A_TIME = frozenset({"qalign", "qalign_4bit", "qalign_8bit"})  # metrics that take no batch
WAITING_BATCHES = 4  # how many batches' worth of odd-sized images may wait for company


@dataclass
class ImageScores:
    """One image: its scores by metric, the reasons where there is none, and gate weights of metrics that have any.

    Explanations are there where they were asked for, and readings of metrics that a reader was given for.
    """

    path: ImagePath
    scores: dict[str, float] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    gates: dict[str, list[float]] = field(default_factory=dict)
    readings: dict[str, float] = field(default_factory=dict)
    explanations: dict[str, Explanation] = field(default_factory=dict)

    @property
    def error(self) -> str:
        """All that went wrong, in one line; empty where nothing did."""
        reasons = {reason: metric for metric, reason in self.errors.items()}
        return "; ".join(f"{metric}: {reason}" if metric else reason for reason, metric in reasons.items())


Decoded = tuple[ImageScores, torch.Tensor | str]
_Kind = tuple[torch.Size, torch.dtype]  # of images that can be stacked


def check_metric_names(names: Sequence[str]) -> None:
    """Raise ValueError for a name pyiqa does not have (nearest named) or a metric that needs a reference image."""
    for name in names:
        if name not in DEFAULT_CONFIGS:
            raise InputError(f"pyiqa has no metric '{name}'.{nearest(name, DEFAULT_CONFIGS)} All: pyiqa -ls")
        if DEFAULT_CONFIGS[name].get("metric_mode") != "NR" or name in ("inception_score",):
            raise InputError(f"metric '{name}' does not score an image by itself; choose a no-reference metric.")


def makers_of(names: Sequence[str]) -> dict[str, Maker]:
    """What makes pyiqa's metrics of these names."""
    return {name: functools.partial(_create, name) for name in names}


def _create(name: str, device: str | None) -> torch.nn.Module:
    return pyiqa.create_metric(name, device=torch.device(device) if device else None)


def create_metrics(
    makers: Mapping[str, Maker], device: str | None = None
) -> tuple[dict[str, torch.nn.Module], dict[str, str]]:
    """Create metrics; one that cannot be created does not stop the others.

    Args:
        makers: what makes each, by the name it goes by, such as ``makers_of`` gives.
        device: as in torch; by default CUDA where there is one.

    Returns:
        The metrics, and for those that failed the reason.
    """
    metrics, failures = {}, {}
    for name, make in makers.items():
        try:
            metrics[name] = make(device)
        except (Exception, SystemExit) as error:
            failures[name] = explain(error)
    return metrics, failures


def is_lower_better(metric: str) -> bool:
    """Whether pyiqa says that lower scores of this metric are better."""
    return bool(DEFAULT_CONFIGS[metric].get("lower_better", False))


def score_images(
    paths: Sequence[ImagePath],
    metrics: Metrics,
    *,
    batch_size: int = 8,
    workers: int = 2,
    fatal: tuple[type[Exception], ...] = (),
    read: Callable[[ImagePath], torch.Tensor] = read_image,
) -> Iterator[ImageScores]:
    """Score images as they become ready; the order is that of completion, not of ``paths``.

    Args:
        paths: images.
        metrics: created metrics by name.
        batch_size: images of one size scored at once.
        workers: threads that decode; 0 decodes here.
        fatal: errors of a metric that are no image's fault; they are raised.
        read: gives an image's pixels, as ``read_image`` does.

    Yields:
        One ImageScores for every path: unreadable images, failing batches (repeated one by one) and scores that
        are not finite are entries with a reason, never an exception.
    """
    decoded = map_files_ahead(functools.partial(_read, read=read), paths, workers=workers, count=2 * workers)
    yield from score_decoded(decoded, metrics, batch_size=batch_size, fatal=fatal)


def score_decoded(
    decoded: Iterable[Decoded],
    metrics: Metrics,
    *,
    batch_size: int = 8,
    fatal: tuple[type[Exception], ...] = (),
    readers: Mapping[str, Reader] = NO_READERS,
) -> Iterator[ImageScores]:
    """Score images that are decoded; else as ``score_images``.

    Args:
        decoded: for each image what is to be filled in, and its pixels (3, H, W), uint8 or RGB in [0, 1], or the reason
            why there are none.
        metrics: created metrics by name.
        batch_size: images of one size scored at once.
        fatal: errors of a metric that are no image's fault; they are raised.
        readers: by metric, what to read from its details beside score and gate.

    Yields:
        What was to be filled in, once it is.
    """
    for results, images in _batches_of_one_size(decoded, batch_size):
        if isinstance(images, str):
            results[0].errors[""] = images
        else:
            _score_batch(results, images, metrics, _Manner(fatal, readers))
        del images  # before the next batch is decoded
        yield from results


def _read(path: ImagePath, read: Callable[[ImagePath], torch.Tensor] = read_image) -> Decoded:
    try:
        return ImageScores(path), read(path)
    except UnreadableImageError as error:
        return ImageScores(path), str(error)


def _batches_of_one_size(
    decoded: Iterable[Decoded], batch_size: int
) -> Iterator[tuple[list[ImageScores], torch.Tensor | str]]:
    """Group decoded images by size and type; bounded, so neither large images nor many sizes pile up in memory."""
    waiting: dict[_Kind, list[tuple[ImageScores, torch.Tensor]]] = {}

    def pixels(kind: _Kind) -> int:
        return kind[0][1] * kind[0][2] * len(waiting[kind])

    def release(kind: _Kind) -> tuple[list[ImageScores], torch.Tensor]:
        results, images = zip(*waiting.pop(kind), strict=True)
        return list(results), torch.stack(images)

    for result, image in decoded:
        if isinstance(image, str):
            yield [result], image
            continue
        kind = image.shape, image.dtype
        while waiting and sum(map(pixels, waiting)) + image[0].numel() > HELD_MEGAPIXELS * 1e6:
            yield release(max(waiting, key=pixels))
        waiting.setdefault(kind, []).append((result, image))
        del image
        if len(waiting[kind]) == batch_size:
            yield release(kind)
        elif sum(map(len, waiting.values())) >= WAITING_BATCHES * batch_size:
            yield release(max(waiting, key=lambda kind: len(waiting[kind])))
    for kind in list(waiting):
        yield release(kind)


class _Manner(NamedTuple):
    """How a batch is scored: errors that are raised, and what to read from details by metric."""

    fatal: tuple[type[Exception], ...]
    readers: Mapping[str, Reader]


class _Outcome(NamedTuple):
    """What a metric made of one image: a score or a reason, and gate weights and a reading if it has any."""

    score: float | None
    error: str = ""
    gate: list[float] | None = None
    reading: float | None = None


def _score_batch(results: Sequence[ImageScores], images: torch.Tensor, metrics: Metrics, manner: _Manner) -> None:
    x = images if images.is_floating_point() else images.float().div_(255)
    for name, metric in metrics.items():
        for result, outcome in zip(results, _outcomes(name, metric, x, manner), strict=True):
            if outcome.score is None:
                result.errors[name] = outcome.error
                continue
            result.scores[name] = outcome.score
            if outcome.gate is not None:
                result.gates[name] = outcome.gate
            if outcome.reading is not None:
                result.readings[name] = outcome.reading


def _outcomes(name: str, metric: torch.nn.Module, x: torch.Tensor, manner: _Manner) -> list[_Outcome]:
    """Score a batch; where that fails, each image by itself, so that one cannot spoil the others."""
    one_by_one = len(x) > 1 and name in ONE_AT_A_TIME
    try:
        if not one_by_one:
            return _call(metric, x, manner.readers.get(name))
    except manner.fatal:
        raise
    except Exception as error:
        if len(x) == 1:
            return [_Outcome(None, short_reason(error))]
    return [_outcomes(name, metric, image[None], manner)[0] for image in x]


@torch.no_grad()
def _call(metric: torch.nn.Module, x: torch.Tensor, reader: Reader | None) -> list[_Outcome]:
    gates: Sequence[list[float] | None] = [None] * len(x)
    readings: Sequence[float | None] = [None] * len(x)
    if has_details(metric):
        output = metric(x, return_details=True)
        scores, gates = output.score, output.gate.detach().float().tolist()
        readings = reader(output) if reader else readings
    else:
        scores = metric(x)
    values = scores.detach().float().reshape(-1).tolist()
    if len(values) != len(x):
        raise RuntimeError(f"{len(values)} scores for {len(x)} images")
    return [
        _Outcome(value, "", gate, reading) if math.isfinite(value) else _Outcome(None, f"the metric gave {value}")
        for value, gate, reading in zip(values, gates, readings, strict=True)
    ]


def has_details(metric: torch.nn.Module) -> bool:
    """Whether the metric tells its gate weights when asked, as MAAGIQA does."""
    return "return_details" in inspect.signature(getattr(metric, "net", metric).forward).parameters
