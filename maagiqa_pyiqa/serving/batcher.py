"""Images of all requests gathered into batches of one size, for as many engines as there are."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np

from maagiqa_pyiqa.images.ahead import HELD_MEGAPIXELS
from maagiqa_pyiqa.serving.limits import RefusedError, busy

TRIES = 2  # of an image whose engine dies: whoever else was in its batch gets a score by the second
RESTART_SECONDS = (0, 1, 2, 5, 10, 30)  # before each further attempt to start an engine; then the last for ever
Outcome: TypeAlias = dict[str, Any]  # ``raw``, ``errors``, ``gates`` and ``distances`` of an image by metric
Metrics: TypeAlias = tuple[str, ...]
log = logging.getLogger("maagiqa.serve")


class EngineDiedError(Exception):
    """The process that scored a batch is gone; says how."""


class Engine(Protocol):
    """What scores batches, one at a time."""

    device: str

    async def start(self) -> None:
        """Make it ready, again if it died.

        Raises:
            Exception: it cannot be made ready.
        """

    async def score(self, images: np.ndarray, metrics: Metrics) -> list[Outcome]:
        """Score images of one size.

        Raises:
            EngineDiedError: it died meanwhile; it has to be started again.
        """

    async def stop(self) -> None:
        """End it."""


@dataclass(eq=False)
class Item:
    """An image that waits for its scores."""

    values: np.ndarray
    metrics: Metrics
    future: asyncio.Future[Outcome]
    since: float = field(default_factory=time.monotonic)
    tries: int = 0

    @property
    def kind(self) -> tuple[Any, ...]:
        """Images of one kind may share a batch; one whose engine died is of a kind of its own."""
        return (self.values.shape, self.values.dtype.str, self.metrics, id(self) if self.tries else 0)


@dataclass
class EngineState:
    """How an engine does."""

    engine: Engine
    state: str = "starting"
    restarts: int = 0
    problem: str | None = None


class Batcher:
    """A bounded queue of images and the engines that empty it; a context manager, within an event loop.

    Args:
        engines: that are started already.
        batch_size: images scored at once.
        queue: images that may wait.
        linger: seconds that an image may wait for company while an engine is idle.
        on_batch: is told the size of each batch and the seconds it took.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        *,
        batch_size: int,
        queue: int,
        linger: float,
        on_batch: Callable[[int, float], None] = lambda size, seconds: None,
    ) -> None:
        self.engines = [EngineState(engine, "ready") for engine in engines]
        self._batch_size, self._queue, self._linger, self._on_batch = batch_size, queue, linger, on_batch
        self._waiting: collections.deque[Item] = collections.deque()
        self._arrival = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def waiting(self) -> int:
        """Images in the queue."""
        return len(self._waiting)

    async def __aenter__(self) -> Batcher:
        self._tasks = [asyncio.create_task(self._work(state)) for state in self.engines]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(state.engine.stop() for state in self.engines))

    async def submit(self, images: Sequence[np.ndarray], metrics: Metrics) -> list[Item]:
        """Queue all images of a request, or none.

        Raises:
            RefusedError: the queue has no room for them, or nothing can score them.
        """
        if all(state.state == "down" for state in self.engines):
            raise RefusedError(503, f"nothing can score now: {self.engines[0].problem}", retry_after=30)
        if self._waiting and len(self._waiting) + len(images) > self._queue:
            raise busy(f"{len(self._waiting)} images wait already, of {self._queue} that may; try again later")
        loop = asyncio.get_running_loop()
        items = [Item(image, metrics, loop.create_future()) for image in images]
        self._waiting.extend(items)
        async with self._arrival:
            self._arrival.notify_all()
        return items

    async def _work(self, state: EngineState) -> None:
        while True:
            batch = await self._next_batch()
            try:
                await self._score(state, batch)
            except EngineDiedError as error:
                self._after_death(state, batch, str(error))
                await self._start_again(state)

    async def _score(self, state: EngineState, batch: list[Item]) -> None:
        start = time.monotonic()
        images = await asyncio.to_thread(np.stack, [item.values for item in batch])
        try:
            outcomes = await state.engine.score(images, batch[0].metrics)
        except BaseException as error:
            if isinstance(error, (EngineDiedError, asyncio.CancelledError)):
                raise
            log.exception("a batch on %s failed", state.engine.device)
            outcomes = [_failed(item.metrics, f"{type(error).__name__}: {error}") for item in batch]
        for item, outcome in zip(batch, outcomes, strict=True):
            _settle(item, outcome)
        self._on_batch(len(batch), time.monotonic() - start)

    async def _next_batch(self) -> list[Item]:
        """The oldest image and others of its kind; waits a moment for more of them."""
        while True:
            while self._waiting and self._waiting[0].future.done():
                self._waiting.popleft()  # whoever asked has gone
            batch = self._oldest()
            left = self._linger - (time.monotonic() - batch[0].since) if batch else None
            if batch and (self._is_full(batch) or left is None or left <= 0):
                for item in batch:
                    self._waiting.remove(item)
                return batch
            async with self._arrival:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._arrival.wait(), left)

    def _oldest(self) -> list[Item]:
        if not self._waiting:
            return []
        kind = self._waiting[0].kind
        alike = [item for item in self._waiting if item.kind == kind and not item.future.done()]
        return alike[: self._most(alike[0])]

    def _is_full(self, batch: Sequence[Item]) -> bool:
        return len(batch) == self._most(batch[0]) or batch[0].tries > 0

    def _most(self, item: Item) -> int:
        """How many images of its size a batch may hold."""
        return max(1, min(self._batch_size, int(HELD_MEGAPIXELS * 1e6 / (item.values.size // 3))))

    def _after_death(self, state: EngineState, batch: list[Item], reason: str) -> None:
        """Queue a batch again, each image by itself, before all others; what was in two dead engines is given up."""
        state.state, state.restarts, state.problem = "starting", state.restarts + 1, reason
        log.warning("%s: %s; starting anew, its %d images are tried again", state.engine.device, reason, len(batch))
        for item in reversed(batch):
            item.tries += 1
            if item.tries < TRIES:
                self._waiting.appendleft(item)
            else:
                message = f"the scoring process died {TRIES} times over this image ({reason})"
                _settle(item, _failed(item.metrics, message))

    async def _start_again(self, state: EngineState) -> None:
        for attempt in range(10**9):
            await asyncio.sleep(RESTART_SECONDS[min(attempt, len(RESTART_SECONDS) - 1)])
            try:
                await state.engine.start()
            except Exception as error:
                state.state, state.problem = "down", f"it cannot be started: {error}"
                log.error("%s: %s", state.engine.device, state.problem)
                self._refuse_all_if_down()
            else:
                state.state, state.problem = "ready", None
                log.info("%s: ready again", state.engine.device)
                return

    def _refuse_all_if_down(self) -> None:
        if all(state.state == "down" for state in self.engines):
            while self._waiting:
                item = self._waiting.popleft()
                if not item.future.done():
                    item.future.set_exception(
                        RefusedError(503, f"nothing can score now: {self.engines[0].problem}", 30)
                    )


def _settle(item: Item, outcome: Outcome) -> None:
    if not item.future.done():  # whoever asked may have gone
        item.future.set_result(outcome)


def _failed(metrics: Metrics, reason: str) -> Outcome:
    return {"raw": {}, "errors": dict.fromkeys(metrics, reason), "gates": {}, "distances": {}}
