"""Python functions run as tasks by a pool of Ray actors; on one machine Ray starts locally by itself.

The driver hands out tasks and collects results. Whatever an actor raises is raised here as what it is, so that work
fails with the same words with and without Ray.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import math
import os
import pickle
import signal
import socket
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

if TYPE_CHECKING:
    import pyarrow

T = TypeVar("T")
Worker = Callable[[Any], Any]  # a function of a task
MAX_ITEMS = 256  # in a task; with more an actor would report its progress less often
MIN_ITEMS = 16  # in a task, where the batch size is not given
TASKS_PER_ACTOR = 8  # so that actors end at about the same time
MAX_STARTS = 3  # of an actor's process in a row without a task done


def split_tasks(items: Sequence[T], actors: int, batch_size: int | None) -> list[list[T]]:
    """Split items into tasks of whole batches, several for each actor."""
    min_items = batch_size or MIN_ITEMS
    size = max(min_items, min(math.ceil(len(items) / (TASKS_PER_ACTOR * actors)), MAX_ITEMS))
    size -= size % min_items  # whole batches
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def device_in_actor(device: str | None) -> str | None:
    """Name of a device as an actor knows it: Ray shows an actor nothing but its own GPU, the first one there."""
    return "cuda" if _is_cuda(device) else device


def _is_cuda(device: str | None) -> bool:
    return str(device).startswith("cuda")


def run_tasks(make: Callable[[], Worker], tasks: Sequence[Any], actors: int, device: str | None) -> Iterator[Any]:
    """Run tasks in actors; yield the results as they become ready.

    Args:
        make: makes a worker, in each actor.
        tasks: anything that can be pickled.
        actors: maximum at once; Ray starts one, and more while tasks wait and there is room.
        device: where workers compute; on CUDA an actor takes one GPU, else one CPU.

    Raises:
        Exception: the first that a worker raised.
        ConnectionError: processes of actors are killed again and again.
        KeyboardInterrupt: also at SIGTERM.
    """
    if not tasks:
        return
    with _session(needs_gpu=_is_cuda(device)) as ray, contextlib.ExitStack() as stack:
        results = stack.enter_context(contextlib.closing(_results(ray, make, tasks, actors, device)))
        try:
            for result in results:
                if isinstance(result, _Failed):
                    raise result.error from RuntimeError(f"in a Ray actor:\n{result.trace}")
                yield result
        except ray.exceptions.RayError as error:
            raise ConnectionError(f"Ray gave up: {' '.join(str(error).split())[:400]}") from error


def _results(
    ray: Any, make: Callable[[], Worker], tasks: Sequence[Any], actors: int, device: str | None
) -> Generator[Any]:
    items = [{"task": pickle.dumps(task)} for task in tasks]
    dataset = ray.data.from_items(items, override_num_blocks=len(items))
    dataset.context.execution_no_progress_timeout_s = -1  # a model may take long to come, and a GPU too
    dataset = dataset.map_batches(
        _Actor,
        fn_constructor_args=(make, os.getcwd()),
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=actors),
        **({"num_gpus": 1} if _is_cuda(device) else {"num_cpus": 1}),
    )
    for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for result in batch["result"]:
            yield pickle.loads(result.as_py())  # noqa: S301  from our own actors


class _Failed(NamedTuple):
    """An error on its way from an actor to the driver, and where it was raised."""

    error: Exception
    trace: str


class _Actor:
    """Makes a worker and gives it tasks. Errors are results: Ray would wrap them, log them and lose their type.

    Args:
        make: makes the worker.
        folder: the driver's, so that relative paths mean the same here.
    """

    def __init__(self, make: Callable[[], Worker], folder: str) -> None:
        with contextlib.suppress(OSError):
            os.chdir(folder)
        self._starts = Path(tempfile.gettempdir(), f"maagiqa-actor-{_actor_id()}")
        atexit.register(self._starts.unlink, missing_ok=True)  # an end in order is no death
        self._work = _try(_refuse) if self._count_start() > MAX_STARTS else _try(make)

    def _count_start(self) -> int:
        """Starts since a task was done: Ray starts an actor anew, under its old id, as often as its process dies."""
        with self._starts.open("ab") as file:
            file.write(b".")
        return self._starts.stat().st_size

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        import pyarrow

        results = [self._run(task.as_py()) for task in batch["task"]]
        self._starts.unlink(missing_ok=True)
        return pyarrow.table({"result": pyarrow.array(results, pyarrow.binary())})

    def _run(self, task: bytes) -> bytes:
        if isinstance(self._work, _Failed):
            return pickle.dumps(self._work)
        return pickle.dumps(_try(self._work, pickle.loads(task)))  # noqa: S301  from our own driver


def _actor_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_actor_id())


def _refuse() -> NoReturn:
    raise ConnectionError(
        f"the process of an actor on {socket.gethostname()} was killed again and again, perhaps for want of memory "
        "(then take fewer actors or smaller batches) or by an image that crashes its decoder."
    )


def _try(function: Callable[..., T], *arguments: Any) -> T | _Failed:
    try:
        return function(*arguments)
    except Exception as error:
        trace = traceback.format_exc()
        try:
            pickle.loads(pickle.dumps(error))  # noqa: S301  just pickled
        except Exception:
            return _Failed(RuntimeError(f"{type(error).__name__}: {error}"), trace)
        return _Failed(error, trace)


@contextlib.contextmanager
def _session(needs_gpu: bool) -> Iterator[Any]:
    """Ray, quiet: the cluster at RAY_ADDRESS, or one on this machine; left again unless it was joined before."""
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # or threads of Ray Data start it again after its end
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError("'--engine ray' needs Ray: pip install 'maagiqa_pyiqa[ray]'") from error
    joined_before = ray.is_initialized()
    with _interrupted_by_sigterm(), _quiet(ray):
        try:
            if not joined_before:
                ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
                _at_sigterm(_interrupt)
            if needs_gpu and not ray.cluster_resources().get("GPU"):
                print("Ray has no GPU yet; waiting for one", file=sys.stderr)
            yield ray
        finally:
            if not joined_before:
                ray.shutdown()


@contextlib.contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """No bars beside ours, and no logs: what ends a run is raised."""
    logger, context = logging.getLogger("ray.data"), ray.data.DataContext.get_current()
    before = logger.level, context.enable_progress_bars
    logger.setLevel(logging.CRITICAL)
    context.enable_progress_bars = False
    try:
        yield
    finally:
        logger.setLevel(before[0])
        context.enable_progress_bars = before[1]


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM as Ctrl-C, and back to what it was, which ray.init does not restore."""
    before = signal.getsignal(signal.SIGTERM)
    _at_sigterm(_interrupt)
    try:
        yield
    finally:
        _at_sigterm(before or signal.SIG_DFL)  # None where it was not set from Python


def _at_sigterm(handler: Any) -> None:
    if threading.current_thread() is threading.main_thread():  # elsewhere it cannot be set
        signal.signal(signal.SIGTERM, handler)


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt
