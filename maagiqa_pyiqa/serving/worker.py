"""The process that scores: it reads batches from a pipe and writes outcomes, as bytes and JSON, never as pickle."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from maagiqa_pyiqa.api.scorers import Scorers
    from maagiqa_pyiqa.metrics.scoring import ImageScores, Reader

WARM_UP = (256, 256, 3)


@dataclass(frozen=True)
class Job:
    """What a process scores with.

    Attributes:
        metrics: words as after ``-m``.
        semantics: where those that take semantic features have them from.
        device: as in torch.
    """

    metrics: tuple[str, ...]
    semantics: str | None
    device: str


def main(pipe: Connection, job: Job) -> None:
    """Score batches until the other end of the pipe is closed, which it also is when the server is gone."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to all of a terminal or service; the server ends this one
        signal.signal(number, signal.SIG_IGN)
    try:
        scorers = _create(job)
    except (Exception, SystemExit) as error:
        _send(pipe, {"problem": str(error) or type(error).__name__})
        return
    _send(pipe, {"ready": list(scorers.metrics)})
    try:
        while True:
            _send(pipe, _answer(pipe, scorers))
    except (EOFError, ConnectionError):
        return


def _create(job: Job) -> Scorers:
    from maagiqa_pyiqa.api.scorers import create_scorers
    from maagiqa_pyiqa.leaderboard.entrants import parse_scorers
    from maagiqa_pyiqa.support.errors import InputError

    scorers = create_scorers(parse_scorers(job.metrics, job.semantics), job.device)
    (warm,) = score_batch(np.full((1, *WARM_UP), 128, np.uint8), scorers.metrics)  # the first image takes longest
    if warm.errors:
        raise InputError(f"an image cannot be scored: {warm.error}")
    return scorers


def _answer(pipe: Connection, scorers: Scorers) -> dict[str, Any]:
    head = json.loads(pipe.recv_bytes())
    images = np.frombuffer(pipe.recv_bytes(), head["dtype"]).reshape(head["shape"])
    try:
        results = score_batch(images, {name: scorers.metrics[name] for name in head["metrics"]}, scorers.readers)
    except Exception as error:
        return {"fault": f"{type(error).__name__}: {error}"}
    return {"outcomes": [_outcome(one) for one in results]}


def _outcome(one: ImageScores) -> dict[str, Any]:
    return {"raw": one.scores, "errors": one.errors, "gates": one.gates, "distances": one.readings}


def score_batch(
    images: np.ndarray, metrics: dict[str, torch.nn.Module], readers: Mapping[str, Reader] = MappingProxyType({})
) -> Sequence[ImageScores]:
    """Score images of one size: (N, H, W, 3) of uint8, or (N, 3, H, W) of float32."""
    import torch

    from maagiqa_pyiqa.metrics.scoring import ImageScores, score_decoded

    pixels = torch.from_numpy(images.copy())  # writable, as torch has it
    if images.dtype == np.uint8:
        pixels = pixels.permute(0, 3, 1, 2)
    results = [ImageScores(Path(str(place))) for place in range(len(images))]
    for _ in score_decoded(zip(results, pixels, strict=True), metrics, batch_size=len(images), readers=readers):
        pass  # each fills in its own
    return results


def _send(pipe: Connection, answer: dict[str, Any]) -> None:
    pipe.send_bytes(json.dumps(answer).encode())
