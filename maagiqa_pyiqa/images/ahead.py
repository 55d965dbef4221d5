"""Work on images in threads, a few ahead and in order, with a limit on the decoded pixels that wait or are at work."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from maagiqa_pyiqa.images.decoding import count_pixels
from maagiqa_pyiqa.images.sources import ImagePath

HELD_MEGAPIXELS = 64  # at each step of the work (decoding, preparing, batches); a larger image goes alone

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    count: int,
    pixels: Callable[[Item], int] = lambda item: 0,
) -> Iterator[Result]:
    """Results in order of the items, worked on by threads ahead of the one that is taken.

    Args:
        function: called in a thread; it lets go of the interpreter while it decodes.
        items: taken in this thread, no more than are needed.
        workers: threads; 0 works here, on one item at a time.
        count: items that may be at work or wait to be taken.
        pixels: decoded pixels that an item or its result holds; together up to HELD_MEGAPIXELS may be at work or wait.
    """
    if workers == 0:
        yield from map(function, items)
        return
    ahead: collections.deque[tuple[Future[Result], int]] = collections.deque()
    held = 0
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                size = pixels(item)
                while ahead and (len(ahead) >= count or held + size > HELD_MEGAPIXELS * 1e6):
                    held -= ahead[0][1]
                    yield ahead.popleft()[0].result()
                ahead.append((pool.submit(function, item), size))
                held += size
                del item  # it may be a decoded image
            while ahead:
                yield ahead.popleft()[0].result()
        finally:  # also when the caller stops listening
            pool.shutdown(wait=False, cancel_futures=True)


def map_files_ahead(
    function: Callable[[ImagePath], Result], paths: Iterable[ImagePath], *, workers: int, count: int
) -> Iterator[Result]:
    """``map_ahead`` of a function that decodes files, whose headers tell beforehand how much that will be."""
    sized = map_ahead(lambda path: (path, count_pixels(path)), paths, workers=workers, count=count)
    return map_ahead(
        lambda sized_path: function(sized_path[0]),
        sized,
        workers=workers,
        count=count,
        pixels=lambda sized_path: sized_path[1],
    )


def batches(items: Iterable[Item], size: int, pixels: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Lists of up to ``size`` items in order, ended earlier where they hold HELD_MEGAPIXELS."""
    batch: list[Item] = []
    held = 0
    for item in items:
        batch.append(item)
        held += pixels(item)
        del item
        if len(batch) == size or held >= HELD_MEGAPIXELS * 1e6:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
