"""Semantic features of many images into a feature cache: what is there is skipped, what fails is noted."""

from __future__ import annotations

import collections
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image

from maagiqa_pyiqa.cache.failures import Failure
from maagiqa_pyiqa.cache.index import ABSENT
from maagiqa_pyiqa.cache.keys import file_key, pixel_key
from maagiqa_pyiqa.cache.part import Entry
from maagiqa_pyiqa.cache.writer import CacheWriter
from maagiqa_pyiqa.images.ahead import map_ahead
from maagiqa_pyiqa.images.decoding import UnreadableImageError, count_pixels, decode
from maagiqa_pyiqa.images.sources import ImageSource
from maagiqa_pyiqa.semantics.extractor import create_extractor
from maagiqa_pyiqa.support.progress import progress
from maagiqa_pyiqa.support.stopping import set_by_signals

REFRESH_SECONDS = 10.0  # how often to look what other processes have written


@dataclass
class Summary:
    """What became of the images; ``failures`` are (name, reason)."""

    extracted: int = 0
    cached: int = 0
    skipped_failures: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    interrupted: bool = False

    @property
    def done(self) -> int:
        """How many images have been seen to."""
        return self.extracted + self.cached + self.skipped_failures + len(self.failures)

    def add(self, part: Summary) -> None:
        """Count what became of further images."""
        self.extracted += part.extracted
        self.cached += part.cached
        self.skipped_failures += part.skipped_failures
        self.failures += part.failures


def extract(
    sources: Sequence[ImageSource],
    extractor_options: Mapping[str, Any],
    location: str,
    *,
    cache_dtype: str = "float16",
    retry_failed: bool = False,
    workers: int = 4,
) -> Summary:
    """Extract features into a cache in this process; Ctrl-C or SIGTERM ends it after the current batch.

    Args:
        sources: images.
        extractor_options: keyword arguments of ``create_extractor``.
        location: directory or URL of the cache.
        cache_dtype: on disk, for a new cache.
        retry_failed: try images again that an earlier run could not extract.
        workers: threads that read and decode.

    Returns:
        What became of the images.

    Raises:
        ValueError, FileNotFoundError, ConnectionError: as ``create_extractor`` and ``CacheWriter.create``.
        OSError: the cache could not be written; what was written before is kept.
    """
    extractor = create_extractor(**extractor_options)
    cache = CacheWriter.create(location, extractor, cache_dtype)
    with progress(total=len(sources)) as bar:
        extraction = Extraction(
            extractor,
            cache,
            retry_failed=retry_failed,
            workers=workers,
            on_progress=lambda summary: bar.update(summary.done - bar.n),
        )
        with set_by_signals(extraction.stop):
            return extraction.run(sources)


@dataclass
class _Examined:
    """An image that was read: its keys, and its content and then its pixels where they are still needed."""

    source: ImageSource
    file_key: bytes = b""
    pixel_key: bytes = b""
    content: bytes | None = None
    pixels: int = 0
    image: Image.Image | None = None
    error: Exception | None = None

    def take_image(self) -> Image.Image | None:
        """Hand the pixels over, so that they are held no longer than their taker needs them."""
        image, self.image = self.image, None
        return image

    def entry(self) -> Entry:
        return Entry(self.pixel_key, self.file_key, self.source.name)


class Extraction:
    """One run of an extractor over images into a cache.

    Args:
        extractor: with the extractor protocol and a ``batch_size``.
        cache: of this extractor.
        retry_failed: try images again that an earlier run could not extract.
        workers: threads that read and decode.
        on_progress: called with the Summary after each batch.

    Attributes:
        summary: what became of the images so far.
        stop: set it to end after the current batch.
    """

    def __init__(
        self,
        extractor: Any,
        cache: CacheWriter,
        *,
        retry_failed: bool = False,
        workers: int = 4,
        on_progress: Callable[[Summary], Any] = lambda summary: None,
    ) -> None:
        self.summary = Summary()
        self.stop = threading.Event()
        self._extractor = extractor
        self._cache = cache
        self._workers = workers
        self._on_progress = on_progress
        if retry_failed:
            cache.failures.forget()
        self._failed_before = {failure.file_key for failure in cache.failures.read()}
        self._unwritten_failures: list[Failure] = []
        self._under_way: set[bytes] = set()  # keys of pixels
        self._refreshed = time.monotonic()

    def run(self, sources: Iterable[ImageSource]) -> Summary:
        """Extract, and write every batch as it is done.

        Raises:
            OSError: the cache could not be written; what was written before is kept.
        """
        waiting: collections.deque[_Examined] = collections.deque()
        batch: list[tuple[_Examined, torch.Tensor | Exception]] = []
        for _, result in self._extractor.stream(self._new_images(sources, waiting)):
            batch.append((waiting.popleft(), result))
            if len(batch) == self._extractor.batch_size:
                self._commit(batch)
                batch = []
                if self.stop.is_set():
                    break
        self._commit(batch)
        self.summary.interrupted = self.stop.is_set()
        return self.summary

    def _commit(self, batch: list[tuple[_Examined, torch.Tensor | Exception]]) -> None:
        good = [(image, features) for image, features in batch if not isinstance(features, Exception)]
        if good:
            self._cache.append([image.entry() for image, _ in good], torch.stack([features for _, features in good]))
        self.summary.extracted += len(good)
        self._under_way.difference_update(image.pixel_key for image, _ in batch)
        for image, features in batch:
            if isinstance(features, Exception):
                self._fail(image, features)
        self._cache.failures.record(self._unwritten_failures)
        self._unwritten_failures = []
        self._on_progress(self.summary)
        if time.monotonic() - self._refreshed > REFRESH_SECONDS:
            self._cache.refresh()
            self._refreshed = time.monotonic()

    def _fail(self, image: _Examined, error: Exception) -> None:
        self.summary.failures.append((image.source.name, str(error)))
        self._unwritten_failures.append(Failure(image.source.name, image.file_key.hex(), str(error)))

    def _new_images(self, sources: Iterable[ImageSource], waiting: collections.deque[_Examined]) -> Iterator[Any]:
        """Images that have to be extracted; everything else is counted here."""
        for examined in self._examined(sources):
            if examined.error is not None:
                self._fail(examined, examined.error)
            elif examined.file_key.hex() in self._failed_before:
                self.summary.skipped_failures += 1
            elif examined.image is None or self._is_known(examined.pixel_key):
                self.summary.cached += 1
            else:
                self._under_way.add(examined.pixel_key)
                waiting.append(examined)
                yield examined.take_image()
                continue
            self._on_progress(self.summary)

    def _is_known(self, pixel_key: bytes) -> bool:
        """Whether an image is being extracted, or was since it was read."""
        return pixel_key in self._under_way or self._cache.find_pixels(pixel_key) != ABSENT

    def _examined(self, sources: Iterable[ImageSource]) -> Iterator[_Examined]:
        """Read and decode sources in threads, a few ahead, in order."""
        wanted = itertools.takewhile(lambda _: not self.stop.is_set(), sources)
        read = map_ahead(self._read, wanted, workers=self._workers, count=2 * self._workers)
        return map_ahead(
            self._decode,
            read,
            workers=self._workers,
            count=2 * self._extractor.batch_size + 1,
            pixels=lambda examined: examined.pixels,
        )

    def _read(self, source: ImageSource) -> _Examined:
        """Read a file, and keep its content unless its features are there or it has failed before."""
        try:
            content = source.read()
        except Exception as error:  # whatever the storage raises
            return _Examined(source, error=error)
        key = file_key(content)
        if key.hex() in self._failed_before or self._cache.find_file(key) != ABSENT:
            return _Examined(source, key)
        return _Examined(source, key, content=content, pixels=count_pixels(content))

    def _decode(self, read: _Examined) -> _Examined:
        """Decode what was read, unless it need not be."""
        if read.content is None:
            return read
        try:
            image = decode(read.content)
        except UnreadableImageError as error:
            return _Examined(read.source, read.file_key, error=error)
        return _Examined(read.source, read.file_key, pixel_key(image), image=image)
