"""Scores of every entrant on every image, out of the store where they are there, whatever goes wrong with one."""

from __future__ import annotations

import contextlib
import io
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import nn

from maagiqa_pyiqa.images.sources import ImagePath
from maagiqa_pyiqa.leaderboard.datasets import MIN_IMAGES, RatedImage
from maagiqa_pyiqa.leaderboard.entrants import Entrant
from maagiqa_pyiqa.leaderboard.given_scores import read_scores
from maagiqa_pyiqa.metrics.availability import explain
from maagiqa_pyiqa.metrics.cost import Cost, PeakMemory, estimate_seconds
from maagiqa_pyiqa.metrics.identity import MetricIdentity, count_parameters, identify
from maagiqa_pyiqa.metrics.kept_scoring import score_into_store
from maagiqa_pyiqa.metrics.score_store import KeptScore, ScoreStore
from maagiqa_pyiqa.support.devices import default_device
from maagiqa_pyiqa.support.options import require_integer
from maagiqa_pyiqa.support.progress import progress
from maagiqa_pyiqa.support.reachability import only_reachable
from maagiqa_pyiqa.support.text import printable

LONG = 600.0  # seconds that nobody should be surprised by
FATAL = (OSError, ImportError, MemoryError)  # images are decoded by then, so no image's fault


@dataclass(frozen=True, kw_only=True)
class ScoringOptions:
    """How to score. ``seed`` is for metrics that crop at random; ``retry_failed`` tries again what failed before."""

    device: str | None = None
    batch_size: int = 8
    workers: int = 2
    seed: int = 0
    retry_failed: bool = False

    def __post_init__(self) -> None:
        for name, minimum in (("seed", 0), ("batch_size", 1), ("workers", 0)):
            require_integer("benchmark", name, getattr(self, name), minimum)

    @property
    def torch_device(self) -> torch.device:
        """CUDA where there is one, unless a device is named."""
        return torch.device(self.device or default_device())


@dataclass(frozen=True, kw_only=True)
class EntrantScores:
    """What came of one entrant: scores and gate weights by image name, and a reason for whatever has none."""

    entrant: Entrant
    status: Literal["ok", "partial", "failed"]
    reason: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    gates: Mapping[str, list[float]] = field(default_factory=dict)
    failed_images: Mapping[str, str] = field(default_factory=dict)
    identity: MetricIdentity | None = None
    cost: Cost | None = None


def score_entrants(
    entrants: Sequence[Entrant], images: Sequence[RatedImage], store: ScoreStore, options: ScoringOptions
) -> tuple[list[EntrantScores], dict[str, bytes]]:
    """Score every image by every entrant, as far as the store does not have it.

    Hosts are looked at once; of those that do not answer nothing is asked, so a metric whose weights are out of reach
    is found out at once.

    Returns:
        What came of each entrant, in order, and the keys of the images that can be read, by name.

    Raises:
        FileNotFoundError, ValueError: scores from a CSV that are not whole.
    """
    names = [image.name for image in images]
    scores = {
        entrant.name: read_scores(entrant.source.file, entrant.source.column, names)
        for entrant in entrants
        if entrant.source.file and entrant.source.column
    }
    keys = dict(zip(names, store.pixel_keys([image.path for image in images], options.workers), strict=True))
    metrics_run = any(entrant.kind != "scores" and entrant.problem is None for entrant in entrants)
    paths = {key: image.path for image in images if isinstance(key := keys[image.name], bytes)}
    with only_reachable() if metrics_run else contextlib.nullcontext():
        scored = [
            EntrantScores(entrant=entrant, status="ok", scores=scores[entrant.name])
            if entrant.name in scores
            else _score_entrant(entrant, keys, paths, store, options)
            for entrant in entrants
        ]
    return scored, {name: key for name, key in keys.items() if isinstance(key, bytes)}


def _score_entrant(
    entrant: Entrant,
    keys: Mapping[str, bytes | str],
    paths: Mapping[bytes, ImagePath],
    store: ScoreStore,
    options: ScoringOptions,
) -> EntrantScores:
    if entrant.problem is not None:
        return EntrantScores(entrant=entrant, status="failed", reason=entrant.problem)
    try:
        identity = _score_missing(entrant, paths, store, options)
    except sqlite3.Error:
        raise
    except (Exception, SystemExit) as error:
        return EntrantScores(entrant=entrant, status="failed", reason=explain(error))
    return _collect(entrant, identity, keys, store)


def _score_missing(
    entrant: Entrant, paths: Mapping[bytes, ImagePath], store: ScoreStore, options: ScoringOptions
) -> MetricIdentity:
    """Create the metric and score the images that the store lacks."""
    source = entrant.source
    with PeakMemory(options.torch_device) as memory:
        with contextlib.redirect_stdout(io.StringIO()):  # pyiqa prints what it loads
            metric = source.create(options.device)
        identity = identify(metric, *source.origin)
        if options.retry_failed:
            store.forget_failures(identity.key)
        kept = store.read(identity.key, paths)
        missing = {key: path for key, path in paths.items() if key not in kept}
        _announce(entrant, len(missing), estimate_seconds(source.metric, len(missing), store.cost(identity.key)))
        scored, seconds = _score(entrant.name, identity.key, metric, missing, store, options)
    if scored:
        cost = Cost(scored, seconds, count_parameters(metric), memory.bytes, _describe(options.torch_device))
        store.add_cost(identity.key, cost)
    return identity


def _announce(entrant: Entrant, images: int, seconds: float | None) -> None:
    """Say before it starts what takes long."""
    if seconds is not None and seconds > LONG:
        print(
            f"{printable(entrant.name)} takes about {seconds / images:.0f} s an image, so {seconds / 3600:.1f} hours "
            f"for {images} images; stop it at any time: what is scored stays, and the next run goes on.",
            file=sys.stderr,
        )


def _score(
    name: str,
    key: str,
    metric: nn.Module,
    missing: Mapping[bytes, ImagePath],
    store: ScoreStore,
    options: ScoringOptions,
) -> tuple[int, float]:
    """Score files into the store; returns how many have a score now, and the seconds it took."""
    if not missing:
        return 0, 0.0
    torch.manual_seed(options.seed)
    np.random.seed(options.seed)  # pyiqa's random crops are numpy's
    key_of = {path: pixel for pixel, path in missing.items()}
    start, scored = time.perf_counter(), 0
    stream = score_into_store(
        store,
        {name: key},
        {name: metric},
        key_of,
        batch_size=options.batch_size,
        workers=options.workers,
        fatal=FATAL,
        keep_failures=True,
    )
    with contextlib.closing(stream):
        for result in progress(stream, total=len(missing), what=name):
            scored += name in result.scores
    return scored, time.perf_counter() - start


def _collect(
    entrant: Entrant, identity: MetricIdentity, keys: Mapping[str, bytes | str], store: ScoreStore
) -> EntrantScores:
    """Read back everything that the store has of a entrant."""
    kept = store.read(identity.key, [key for key in keys.values() if isinstance(key, bytes)])
    by_name = {
        name: kept.get(key, KeptScore(None, error="not scored"))
        if isinstance(key, bytes)
        else KeptScore(None, error=f"cannot be read: {key}")
        for name, key in keys.items()
    }
    scores = {name: found.score for name, found in by_name.items() if found.score is not None}
    failed = {name: found.error or "no score" for name, found in by_name.items() if found.score is None}
    if not scores:
        store.forget_failures(identity.key)  # nothing works: perhaps the machine's fault, so it is tried again
    status, reason = _judge(len(scores), failed.values())
    return EntrantScores(
        entrant=entrant,
        status=status,
        reason=reason,
        scores=scores,
        gates={name: found.gate for name, found in by_name.items() if found.gate is not None},
        failed_images=failed,
        identity=identity,
        cost=store.cost(identity.key),
    )


def _judge(scored: int, reasons: Iterable[str]) -> tuple[Literal["ok", "partial", "failed"], str | None]:
    counts = Counter(reasons)
    if not counts:
        return "ok", None
    failed = counts.total()
    reason = f"{failed} of {scored + failed} images have no score, mostly: {counts.most_common(1)[0][0]}"
    return ("partial" if scored >= MIN_IMAGES else "failed"), reason


def _describe(device: torch.device) -> str:
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)
