"""Extraction on a Ray cluster: actors hold the models, read images and write the cache; only counts come back."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from maagiqa_pyiqa.cache.failures import FailureNotes
from maagiqa_pyiqa.cache.storage import open_storage
from maagiqa_pyiqa.cache.writer import CacheWriter
from maagiqa_pyiqa.extraction.run import Extraction, Summary
from maagiqa_pyiqa.images.sources import ImageSource, is_url
from maagiqa_pyiqa.semantics.extractor import create_extractor, parse_spec
from maagiqa_pyiqa.support.progress import progress
from maagiqa_pyiqa.support.ray_pool import device_in_actor, run_tasks, split_tasks


def extract_with_ray(
    sources: Sequence[ImageSource],
    extractor_options: Mapping[str, Any],
    location: str,
    *,
    cache_dtype: str = "float16",
    retry_failed: bool = False,
    workers: int = 4,
    actors: int = 1,
) -> Summary:
    """Extract features into a cache with a model in each of up to ``actors`` actors; else as ``run.extract``.

    Args:
        sources: images, under paths or URLs that every node can read.
        extractor_options: keyword arguments of ``create_extractor``; on CUDA each actor takes one GPU, else one CPU.
        location: directory or URL of the cache, the same on every node.
        cache_dtype: on disk, for a new cache.
        retry_failed: try images again that an earlier run could not extract.
        workers: threads that decode, in each actor.
        actors: maximum number of models at once.

    Returns:
        What became of the images; where Ctrl-C or SIGTERM ended it, as far as actors had reported.

    Raises:
        ImportError: Ray is not installed.
        ValueError, FileNotFoundError, ConnectionError, OSError: as extraction without Ray.
    """
    parse_spec(extractor_options["spec"])
    if not is_url(location):
        location = os.path.abspath(os.path.expanduser(location))
    if retry_failed:  # once, and not by actors, which would forget what others have just noted
        FailureNotes(open_storage(location)).forget()
    options = {**extractor_options, "device": device_in_actor(extractor_options.get("device"))}
    make = functools.partial(_Extractor, options, location, cache_dtype, workers)
    tasks = split_tasks(sources, actors, options.get("batch_size"))
    summary = Summary()
    try:
        with progress(total=len(sources)) as bar:
            for part in run_tasks(make, tasks, actors, options["device"]):
                summary.add(part)
                bar.update(part.done)
    except KeyboardInterrupt:
        summary.interrupted = True
        print("\ninterrupted; the cache also holds what actors had written and not told yet", file=sys.stderr)
    return summary


class _Extractor:
    """Extracts lists of images into a cache; lives in an actor."""

    def __init__(self, options: Mapping[str, Any], location: str, cache_dtype: str, workers: int) -> None:
        extractor = create_extractor(**options)
        cache = CacheWriter.create(location, extractor, cache_dtype)
        self._extraction = Extraction(extractor, cache, workers=workers)

    def __call__(self, sources: Sequence[ImageSource]) -> Summary:
        self._extraction.summary = Summary()
        return self._extraction.run(sources)
