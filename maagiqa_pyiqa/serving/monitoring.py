"""Counters as Prometheus reads them, and a line a minute for who reads the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
LINE_SECONDS = 60.0
log = logging.getLogger("maagiqa.serve")


class Monitoring:
    """Figures of one server.

    Args:
        waiting: how many images are in the queue.
        held: how many bytes requests hold.
        restarts: how many scoring processes were started anew.
    """

    def __init__(self, waiting: Callable[[], int], held: Callable[[], int], restarts: Callable[[], int]) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("maagiqa_requests", "Requests to score, by HTTP status", ["status"], registry=registry)
        self._images = Counter("maagiqa_images", "Images by result: scored or failed", ["result"], registry=registry)
        self._seconds = Histogram(
            "maagiqa_request_seconds", "From head of a request to its scores", buckets=SECONDS, registry=registry
        )
        self._batches = Histogram(
            "maagiqa_batch_images", "Images in a batch", buckets=(1, 2, 4, 8, 16, 32, 64), registry=registry
        )
        self._batch_seconds = Histogram(
            "maagiqa_batch_seconds", "Scoring of a batch", buckets=SECONDS, registry=registry
        )
        for name, title, function in (
            ("maagiqa_waiting_images", "Images in the queue", waiting),
            ("maagiqa_held_bytes", "Bytes that requests hold", held),
            ("maagiqa_engine_restarts", "Scoring processes started anew", restarts),
        ):
            Gauge(name, title, registry=registry).set_function(function)
        self._line = _Line()

    def page(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self._registry)

    def count_batch(self, size: int, seconds: float) -> None:
        """A batch was scored."""
        self._batches.observe(size)
        self._batch_seconds.observe(seconds)

    def count_request(self, status: int, seconds: float, scored: int = 0, failed: int = 0) -> None:
        """A request was answered."""
        self._requests.labels(str(status)).inc()
        if status == 200:
            self._seconds.observe(seconds)
            self._images.labels("scored").inc(scored)
            self._images.labels("failed").inc(failed)
        self._line.add(status, seconds, scored, failed)


class _Line:
    """``1204 images in 60 s (20.1/s), 3 failed; requests: 301, 2 refused, the slower half took over 0.41 s``."""

    def __init__(self) -> None:
        self._begin(time.monotonic())

    def _begin(self, now: float) -> None:
        self._start, self._scored, self._failed, self._refused = now, 0, 0, 0
        self._seconds: list[float] = []

    def add(self, status: int, seconds: float, scored: int, failed: int) -> None:
        self._scored, self._failed, self._refused = (
            self._scored + scored,
            self._failed + failed,
            self._refused + (status != 200),
        )
        if status == 200:
            self._seconds.append(seconds)
        past = time.monotonic() - self._start
        if past >= LINE_SECONDS:
            half = sorted(self._seconds)[len(self._seconds) // 2] if self._seconds else 0.0
            log.info(
                "%d images in %.0f s (%.3g/s), %d failed; requests: %d, %d refused, the slower half took over %.2g s",
                self._scored, past, self._scored / past, self._failed, len(self._seconds), self._refused, half,
            )  # fmt: skip
            self._begin(time.monotonic())
