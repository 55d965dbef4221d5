"""Scores out of a store where they are there, and into it as they come: a second run scores only what is new."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from maagiqa_pyiqa.images.ahead import batches
from maagiqa_pyiqa.images.decoding import as_tensor, count_pixels, read_image
from maagiqa_pyiqa.images.sources import ImagePath
from maagiqa_pyiqa.metrics.availability import explain
from maagiqa_pyiqa.metrics.identity import identify
from maagiqa_pyiqa.metrics.score_store import KeptScore, ScoreStore
from maagiqa_pyiqa.metrics.scoring import ImageScores, Metrics, score_images
from maagiqa_pyiqa.support.progress import without_progress

COMMIT_SECONDS = 1.0
TOGETHER, BATCHES_TOGETHER = 256, 32  # images, or batches if these are more, that are looked up at once


def score_into_store(
    store: ScoreStore,
    keys: Mapping[str, str],
    metrics: Metrics,
    files: Mapping[ImagePath, bytes],
    *,
    batch_size: int,
    workers: int,
    fatal: tuple[type[Exception], ...] = (),
    keep_failures: bool = False,
    read: Callable[[ImagePath], torch.Tensor] = read_image,
) -> Generator[ImageScores]:
    """Score files; what comes is kept about once a second, and when this ends, however it ends.

    Args:
        store: takes the scores.
        keys: of each metric, see ``identity.py``.
        metrics: created metrics by name.
        files: to score, with the keys of their pixels.
        batch_size: as for ``score_images``, as all that follows.
        workers: likewise.
        fatal: likewise.
        keep_failures: keep also why there is no score, so that a later run does not try again.
        read: as for ``score_images``.

    Yields:
        As ``score_images``.
    """
    with _Writer(store) as writer:
        options: dict[str, Any] = {"batch_size": batch_size, "workers": workers, "fatal": fatal, "read": read}
        for result in score_images(list(files), metrics, **options):
            for name in metrics:
                kept = _kept(name, result)
                if kept.score is not None or keep_failures:
                    writer.add(keys[name], files[result.path], kept)
            yield result


def identify_metrics(
    metrics: Metrics, origins: Mapping[str, tuple[str | None, Mapping[str, Any]]]
) -> tuple[dict[str, str], dict[str, str]]:
    """Keys of created metrics, and for those that cannot be told from others the reason.

    Args:
        metrics: by the name they go by.
        origins: of each, pyiqa's name and the options given at creation, see ``identity.identify``.
    """
    keys, failures = {}, {}
    for name, metric in metrics.items():
        try:
            keys[name] = identify(metric, *origins[name]).key
        except (Exception, SystemExit) as error:
            failures[name] = explain(error)
    return keys, failures


def score_with_store(
    store: ScoreStore,
    keys: Mapping[str, str],
    metrics: Metrics,
    paths: Sequence[ImagePath],
    *,
    batch_size: int = 8,
    workers: int = 2,
) -> Generator[ImageScores]:
    """Score images as far as the store lacks them; of images with the same pixels one. What failed is tried again.

    Images are looked up and scored some hundreds at a time, fewer where they are large and new: the first scores come
    at once, memory does not grow, and what was decoded to be looked up is scored as it is.

    Args:
        store: closed when this ends.
        keys: of each metric.
        metrics: created metrics by name.
        paths: images.
        batch_size: images of one size scored at once.
        workers: threads that decode.

    Yields:
        One ImageScores for every path; of those that are looked up together, those that are kept first.
    """
    count = max(TOGETHER, BATCHES_TOGETHER * batch_size)
    with store:
        for some in batches(paths, count, lambda path: 0 if store.is_known(path) else count_pixels(path)):
            yield from _score_some(store, keys, metrics, some, batch_size=batch_size, workers=workers)


def _score_some(
    store: ScoreStore,
    keys: Mapping[str, str],
    metrics: Metrics,
    paths: Sequence[ImagePath],
    *,
    batch_size: int,
    workers: int,
) -> Generator[ImageScores]:
    decoded = _Decoded()
    with without_progress():
        pixel_keys = store.pixel_keys(paths, workers, decoded.put)
    files_of: dict[bytes, list[ImagePath]] = defaultdict(list)
    for path, key in zip(paths, pixel_keys, strict=True):
        if isinstance(key, bytes):
            files_of[key].append(path)
        else:
            yield ImageScores(path, errors={"": key})
    kept = {name: store.read(keys[name], files_of) for name in metrics}
    known = {key: _known(kept, key) for key in files_of}
    todo: dict[tuple[str, ...], dict[ImagePath, bytes]] = defaultdict(dict)
    for key, files in files_of.items():
        lacking = tuple(name for name in metrics if name not in known[key].scores)
        if lacking:
            todo[lacking][files[0]] = key
        else:
            yield from _for_each(files, known[key])
    for names, todo_files in todo.items():
        some = {name: metrics[name] for name in names}
        options: dict[str, Any] = {"batch_size": batch_size, "workers": workers, "read": decoded.take}
        stream = score_into_store(store, keys, some, todo_files, **options)
        with contextlib.closing(stream):
            for result in stream:
                key = todo_files[result.path]
                yield from _for_each(files_of[key], known[key], result)


class _Decoded:
    """Pixels of images that were decoded to be looked up, until they are scored."""

    def __init__(self) -> None:
        self._pixels: dict[ImagePath, torch.Tensor] = {}

    def put(self, path: ImagePath, image: Image.Image) -> None:
        self._pixels[path] = as_tensor(image)

    def take(self, path: ImagePath) -> torch.Tensor:
        return self._pixels.pop(path) if path in self._pixels else read_image(path)


def _known(kept: Mapping[str, Mapping[bytes, KeptScore]], key: bytes) -> ImageScores:
    found = {name: scores[key] for name, scores in kept.items() if key in scores}
    return ImageScores(
        Path(),
        scores={name: score.score for name, score in found.items() if score.score is not None},
        gates={name: score.gate for name, score in found.items() if score.gate is not None},
    )


def _for_each(files: Sequence[ImagePath], *parts: ImageScores) -> Iterator[ImageScores]:
    """What is known of some pixels, for each file that has them."""
    for path in files:
        whole = ImageScores(path)
        for part in parts:
            whole.scores.update(part.scores)
            whole.errors.update(part.errors)
            whole.gates.update(part.gates)
        yield whole


def _kept(name: str, result: ImageScores) -> KeptScore:
    error = result.errors.get(name) or result.errors.get("")
    return KeptScore(result.scores.get(name), result.gates.get(name), error)


class _Writer:
    """Commits scores about once a second, and what is left when the block ends, however it ends."""

    def __init__(self, store: ScoreStore) -> None:
        self._store = store
        self._waiting: dict[str, dict[bytes, KeptScore]] = defaultdict(dict)
        self._last = time.monotonic()

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._commit()

    def add(self, metric: str, image: bytes, score: KeptScore) -> None:
        self._waiting[metric][image] = score
        if time.monotonic() - self._last >= COMMIT_SECONDS:
            self._commit()

    def _commit(self) -> None:
        for metric, scores in self._waiting.items():
            self._store.write(metric, scores)
        self._waiting.clear()
        self._last = time.monotonic()
