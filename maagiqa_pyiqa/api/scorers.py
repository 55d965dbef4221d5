"""Metrics as programs name them: by words of the command line, or as objects that are made already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import torch

from maagiqa_pyiqa.leaderboard.entrants import Entrant, parse_scorers
from maagiqa_pyiqa.metrics.scoring import Maker, Reader, create_metrics
from maagiqa_pyiqa.metrics.training_distance import distance_readers
from maagiqa_pyiqa.support.errors import InputError, InputTypeError

OneMetric: TypeAlias = str | torch.nn.Module
MetricWords: TypeAlias = OneMetric | Sequence[OneMetric]

OTHER_COLUMNS = ("image", "error")  # of a table of scores


def make_scorers(metric: MetricWords, device: str | torch.device | None = None) -> dict[str, torch.nn.Module]:
    """Metrics by the names that their scores go by, in the order given.

    Args:
        metric: NAME, NAME=CHECKPOINT or LABEL=NAME=CHECKPOINT as after ``-m``, a metric that ``pyiqa.create_metric``
            gave, or a sequence of these.
        device: of metrics that are made here, as in torch; by default CUDA where there is one.

    Raises:
        TypeError: neither text nor a metric.
        ValueError: an unknown metric (nearest named), one that cannot run here, two of one name, or the name of another
            column.
        FileNotFoundError: no such checkpoint.
    """
    makers: dict[str, Maker] = {}
    for one in dict.fromkeys(metric if isinstance(metric, (list, tuple)) else [metric]):
        name, make = _maker(one)
        if name in OTHER_COLUMNS:
            raise InputError(f"metric '{name}': '{name}' is a column of its own; give it another label.")
        if name in makers:
            raise InputError(f"metric '{name}' takes part twice; give one a label, LABEL=NAME=CHECKPOINT.")
        makers[name] = make
    if not makers:
        raise InputError("no metric is named; name one, such as 'maagiqa-lite'.")
    return create_all(makers, None if device is None else str(device))


def create_all(makers: Mapping[str, Maker], device: str | None = None) -> dict[str, torch.nn.Module]:
    """``create_metrics`` of which every one has to be there.

    Raises:
        ValueError: one cannot run here.
    """
    metrics, unavailable = create_metrics(makers, device)
    for name, reason in unavailable.items():
        raise InputError(f"metric {name} cannot run here: {reason}")
    return metrics


class Scorers(NamedTuple):
    """Metrics by name, and what reads how far images are from the training images of those of which it is known."""

    metrics: dict[str, torch.nn.Module]
    readers: dict[str, Reader]


def create_scorers(entrants: Mapping[str, Entrant], device: str | None = None) -> Scorers:
    """What entrants score with.

    Raises:
        ValueError: one cannot run here.
    """
    metrics = create_all({name: entrant.source.create for name, entrant in entrants.items()}, device)
    return Scorers(metrics, distance_readers({name: entrant.published for name, entrant in entrants.items()}))


def _maker(metric: OneMetric) -> tuple[str, Maker]:
    """What a metric goes by, and what makes it; an object goes by pyiqa's name of it, else by that of its class."""
    if isinstance(metric, str):
        ((name, entrant),) = parse_scorers([metric]).items()
        return name, entrant.source.create
    if not isinstance(metric, torch.nn.Module):
        raise InputTypeError(f"metric must be a name or a metric that pyiqa created, got {type(metric).__name__}.")
    return str(getattr(metric, "metric_name", type(metric).__name__)), lambda _: metric
