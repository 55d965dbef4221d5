"""A scoring process and what looks after it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import signal
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

import numpy as np

from maagiqa_pyiqa.serving.batcher import EngineDiedError, Metrics, Outcome
from maagiqa_pyiqa.serving.worker import Job, main
from maagiqa_pyiqa.support.errors import InputError

START_SECONDS = 600.0  # a large model may have to be fetched
BATCH_SECONDS = 600.0  # a batch that takes longer hangs
END_SECONDS = 5.0


class ProcessEngine:
    """Scores in a process of its own, which may die without harm to this one; see ``batcher.Engine``."""

    def __init__(self, job: Job) -> None:
        self.device = job.device
        self._job = job
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._thread = ThreadPoolExecutor(1, "engine")  # which alone touches process and pipe

    @property
    def pid(self) -> int | None:
        """Of the process, if it is there."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the process anew and wait until its metrics are made.

        Raises:
            InputError: a metric cannot be made; says why.
            EngineDiedError: the process died meanwhile.
        """
        await self._in_thread(self._start)

    async def score(self, images: np.ndarray, metrics: Metrics) -> list[Outcome]:
        """Score images of one size.

        Raises:
            EngineDiedError: the process died or hung; it has to be started again.
            RuntimeError: a fault in the process, which lives on.
        """
        outcomes: list[Outcome] = await self._in_thread(self._score, images, metrics)
        return outcomes

    async def stop(self) -> None:
        """End the process, whatever it does."""
        self._kill()  # the thread may wait for it
        await self._in_thread(self._stop)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def _start(self) -> None:
        self._stop()
        context = multiprocessing.get_context("spawn")  # a fork would copy threads' locks, and open sockets
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=main, args=(other, self._job), daemon=True, name="maagiqa-engine")
        self._process.start()
        other.close()  # so that the end of the process is the end of the pipe
        answer = self._receive(START_SECONDS)
        if "problem" in answer:
            self._stop()
            raise InputError(answer["problem"])

    def _score(self, images: np.ndarray, metrics: Metrics) -> list[Outcome]:
        head = {"shape": images.shape, "dtype": images.dtype.str, "metrics": metrics}
        assert self._pipe is not None
        try:
            self._pipe.send_bytes(json.dumps(head).encode())
            self._pipe.send_bytes(images.data.cast("B"))
        except OSError as error:
            raise EngineDiedError(self._end()) from error
        answer = self._receive(BATCH_SECONDS)
        if "fault" in answer:
            raise RuntimeError(answer["fault"])
        outcomes: list[Outcome] = answer["outcomes"]
        return outcomes

    def _receive(self, seconds: float) -> dict[str, Any]:
        assert self._pipe is not None
        try:
            if not self._pipe.poll(seconds):
                raise EngineDiedError(f"the scoring process gave no answer for {seconds:.0f} s")
            answer: dict[str, Any] = json.loads(self._pipe.recv_bytes())
        except (EOFError, OSError) as error:
            raise EngineDiedError(self._end()) from error
        return answer

    def _end(self) -> str:
        """What became of a process that is gone."""
        assert self._process is not None
        self._process.join(END_SECONDS)
        code = self._process.exitcode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return f"the scoring process was ended by {signal.Signals(-code).name}"
        return f"the scoring process ended with code {code}"

    def _stop(self) -> None:
        self._kill()
        if self._process is not None:
            self._process.join()
            self._process.close()
        if self._pipe is not None:
            self._pipe.close()
        self._pipe = self._process = None

    def _kill(self) -> None:
        """It holds nothing that has to be kept."""
        with contextlib.suppress(ValueError):  # closed meanwhile
            if self._process is not None:
                self._process.kill()
