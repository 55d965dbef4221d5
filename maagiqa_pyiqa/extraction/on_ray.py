"""Extraction and scoring on a Ray cluster, through Ray Data; on one machine Ray starts locally by itself.

The driver hands out lists of images and never sees a pixel: actors hold the models, read images and read and write the
cache where it is, and only counts, scores and failures come back. Whatever an actor raises is raised here as what it
is, so that both engines fail with the same words.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
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
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

from maagiqa_pyiqa.cache.feature_cache import FeatureCache
from maagiqa_pyiqa.extraction.run import Extraction, Summary
from maagiqa_pyiqa.images.sources import ImageSource, is_url
from maagiqa_pyiqa.semantics.extractor import create_extractor, parse_spec

if TYPE_CHECKING:
    import pyarrow

    from maagiqa_pyiqa.metrics.scoring import ImageScores

T = TypeVar("T")
MOST_IMAGES = 256  # handed to an actor at once; with more it would tell less often how far it is
LEAST_IMAGES = 16  # where the batch size is not given
TASKS_PER_ACTOR = 8  # so that actors end at about the same time
STARTS = 3  # of an actor's process that may end in a row without a task done


def extract_with_ray(
    sources: Sequence[ImageSource],
    extractor_options: Mapping[str, Any],
    location: str,
    *,
    cache_dtype: str = "float16",
    actors: int = 1,
    retry_failed: bool = False,
    workers: int = 4,
) -> Summary:
    """Extract features into a cache with a model in each of up to ``actors`` actors.

    Args:
        sources: images, under paths or URLs that every node can read.
        extractor_options: keyword arguments of ``create_extractor``; on CUDA each actor takes one GPU, else one CPU.
        location: directory or URL of the cache, the same on every node.
        cache_dtype: on disk, for a new cache.
        actors: most models at once.
        retry_failed: try images again that an earlier run could not extract.
        workers: threads that decode, in each actor.

    Returns:
        What became of the images; where Ctrl-C or SIGTERM ended it, as far as actors had told.

    Raises:
        ImportError: Ray is not installed.
        ValueError, FileNotFoundError, ConnectionError, OSError: as extraction without Ray.
    """
    from tqdm import tqdm

    parse_spec(extractor_options["spec"])
    if not is_url(location):
        location = os.path.abspath(os.path.expanduser(location))
    if retry_failed:  # once, and not by actors, which would forget what others have just found
        with contextlib.suppress(FileNotFoundError):
            FeatureCache.open(location).forget_failures()
    options = {**extractor_options, "device": _within_actor(extractor_options.get("device"))}
    make = functools.partial(_Extractor, options, location, cache_dtype, workers)
    tasks = _split(sources, actors, options.get("batch_size"))
    summary = Summary()
    try:
        with tqdm(total=len(sources), unit="image", disable=None) as bar:
            for found in run_tasks(make, tasks, actors, options["device"]):
                _add(summary, found)
                bar.update(found.done)
    except KeyboardInterrupt:
        summary.interrupted = True
        print("\ninterrupted; the cache also holds what actors had written and not told yet", file=sys.stderr)
    return summary


def score_with_ray(
    paths: Sequence[Path], names: Sequence[str], *, device: str | None, actors: int, batch_size: int, workers: int
) -> tuple[dict[str, str], Iterator[ImageScores]]:
    """Score images with the metrics in each of up to ``actors`` actors; see ``scoring.score_images``.

    Args:
        paths: image files that every node can read.
        names: pyiqa metric names.
        device: as in torch; on CUDA each actor takes one GPU, else one CPU.
        actors: most actors at once.
        batch_size: images of one size scored at once.
        workers: processes that decode, in each actor.

    Returns:
        Metrics that could not be created with the reason, and the scores as they become ready.
    """
    make = functools.partial(_Scorer, names, _within_actor(device), batch_size, workers)
    results = run_tasks(make, _split(paths, actors, batch_size), actors, device)
    first = next(results)
    unavailable, _ = first
    scores = (
        _with_reasons(result, reasons, known=unavailable)
        for reasons, part in itertools.chain([first], results)
        for result in part
    )
    return unavailable, scores


def _with_reasons(result: ImageScores, reasons: Mapping[str, str], known: Mapping[str, str]) -> ImageScores:
    """Note what this node lacks and the first did not."""
    result.errors.update({name: reason for name, reason in reasons.items() if name not in known})
    return result


class _Extractor:
    """Extracts lists of images into a cache; lives in an actor."""

    def __init__(self, options: Mapping[str, Any], location: str, cache_dtype: str, workers: int) -> None:
        extractor = create_extractor(**options)
        cache = FeatureCache.create(location, extractor, cache_dtype)
        self._extraction = Extraction(extractor, cache, workers=workers)

    def __call__(self, sources: Sequence[ImageSource]) -> Summary:
        self._extraction.summary = Summary()
        return self._extraction.run(sources)


class _Scorer:
    """Scores lists of images; lives in an actor."""

    def __init__(self, names: Sequence[str], device: str | None, batch_size: int, workers: int) -> None:
        from maagiqa_pyiqa.metrics.scoring import create_metrics, score_images

        metrics, self._unavailable = create_metrics(names, device)
        self._score = functools.partial(score_images, metrics=metrics, batch_size=batch_size, workers=workers)

    def __call__(self, paths: Sequence[Path]) -> tuple[dict[str, str], list[ImageScores]]:
        return self._unavailable, list(self._score(paths))


def _add(total: Summary, part: Summary) -> None:
    total.extracted += part.extracted
    total.cached += part.cached
    total.skipped_failures += part.skipped_failures
    total.failures += part.failures


def _split(items: Sequence[T], actors: int, batch_size: int | None) -> list[list[T]]:
    least = batch_size or LEAST_IMAGES
    size = max(least, min(math.ceil(len(items) / (TASKS_PER_ACTOR * actors)), MOST_IMAGES))
    size -= size % least  # whole batches
    return [list(items[start : start + size]) for start in range(0, len(items), size)]


def _within_actor(device: str | None) -> str | None:
    """Ray shows an actor nothing but its own GPU, which is the first one there."""
    return "cuda" if _on_cuda(device) else device


def _on_cuda(device: str | None) -> bool:
    return str(device).startswith("cuda")


# ---------------------------------------------------------------------------------------------------- on Ray Data


class _Failed(NamedTuple):
    """An error on its way from an actor to the driver, and where it was raised."""

    error: Exception
    trace: str


class _Actor:
    """Makes a worker and gives it tasks. Errors are results: Ray would wrap them, log them and lose their type.

    Args:
        make: makes the worker, a function of a task.
        folder: the driver's, so that relative paths mean the same here.
    """

    def __init__(self, make: Callable[[], Callable[[Any], Any]], folder: str) -> None:
        with contextlib.suppress(OSError):
            os.chdir(folder)
        self._starts = Path(tempfile.gettempdir(), f"maagiqa-actor-{_actor_id()}")
        atexit.register(self._starts.unlink, missing_ok=True)  # an end in order is no death
        self._work = _try(_refuse) if self._count_start() > STARTS else _try(make)

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


def run_tasks(
    make: Callable[[], Callable[[Any], Any]], tasks: Sequence[Any], actors: int, device: str | None
) -> Iterator[Any]:
    """Run tasks in actors; yield the results as they become ready.

    Args:
        make: makes a worker, a function of a task, in each actor.
        tasks: anything that can be pickled.
        actors: most at once; Ray starts one, and more while tasks wait and there is room.
        device: where workers compute; on CUDA an actor takes one GPU, else one CPU.

    Raises:
        Exception: the first that a worker raised.
        ConnectionError: processes of actors are killed again and again.
        KeyboardInterrupt: also at SIGTERM.
    """
    if not tasks:
        return
    with _session(needs_gpu=_on_cuda(device)) as ray, contextlib.ExitStack() as stack:
        results = stack.enter_context(contextlib.closing(_results(ray, make, tasks, actors, device)))
        try:
            for result in results:
                if isinstance(result, _Failed):
                    raise result.error from RuntimeError(f"in a Ray actor:\n{result.trace}")
                yield result
        except ray.exceptions.RayError as error:
            raise ConnectionError(f"Ray gave up: {' '.join(str(error).split())[:400]}") from error


def _results(ray: Any, make: Any, tasks: Sequence[Any], actors: int, device: str | None) -> Generator[Any]:
    items = [{"task": pickle.dumps(task)} for task in tasks]
    dataset = ray.data.from_items(items, override_num_blocks=len(items))
    dataset.context.execution_no_progress_timeout_s = -1  # a model may take long to come, and a GPU too
    dataset = dataset.map_batches(
        _Actor,
        fn_constructor_args=(make, os.getcwd()),
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=actors),
        **({"num_gpus": 1} if _on_cuda(device) else {"num_cpus": 1}),
    )
    for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        for result in batch["result"]:
            yield pickle.loads(result.as_py())  # noqa: S301  from our own actors


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
