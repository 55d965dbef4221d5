"""The feature cache against the authors' layout: reads per second, bytes, opening, memory; same made-up features.

    python -m benchmarks.cache_speed [--images 100000] [--reads 4000] [--workers 1 2 4] [--folder DIR]

The authors' layout is two ``torch.save`` files an image, read by ``torch.load``; here each holds its vector alone,
while the files of their script hold the whole batch of eight. Reads are at random, one image at a time, in each of some
processes. Memory is what a process has of its own (USS), the index included, mapped file pages not.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType

import psutil
import torch

from maagiqa_pyiqa.cache.official_layout import official_files
from maagiqa_pyiqa.cache.part import Entry
from maagiqa_pyiqa.cache.reader import CacheReader
from maagiqa_pyiqa.cache.writer import CacheWriter

SHAPE = (2, 4096)
ROWS_A_PART = 16384  # about what compaction leaves


class MadeUp:
    """Stands for an extractor of mPLUG-Owl2's shape."""

    prompts = ("semantic_content", "coherence")
    feature_dim = SHAPE[1]
    fingerprint = "made up"
    fingerprint_parts = MappingProxyType({"extractor": "made up"})


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--official-images", type=int, help="images in the authors' layout, default the same")
    parser.add_argument("--reads", type=int, default=4000, help="of each worker")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--folder", type=Path, help="where to put the files, kept and used again")
    return parser.parse_args()


def main() -> None:
    """Make both, time both."""
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        location = make_cache(folder / f"cache-{arguments.images}", arguments.images)
        time_opening(location)
        time_reads(location, folder, arguments)


def name_of(index: int) -> str:
    """A source name as folders of generations have them."""
    return f"generations/batch-{index // 1000:05d}/prompt-{index:09d}.png"


def key_of(index: int) -> bytes:
    """Stands for the hash of an image."""
    return hashlib.sha256(str(index).encode()).digest()


def make_cache(location: Path, images: int) -> Path:
    """Write a cache of made-up features, unless it is there."""
    cache = CacheWriter.create(location, MadeUp())
    generator = torch.Generator().manual_seed(0)
    for start in range(cache.rows, images, ROWS_A_PART):
        rows = range(start, min(start + ROWS_A_PART, images))
        entries = [Entry(key_of(row), key_of(row), name_of(row)) for row in rows]
        cache.append(entries, torch.randn(len(rows), *SHAPE, generator=generator))
    return location


def time_opening(location: Path) -> None:
    """Print the time to open and find a first image, and the size."""
    start = time.perf_counter()
    cache = CacheReader.open(location)
    opened = time.perf_counter()
    cache.find_pixels(key_of(0))
    looked_up = time.perf_counter()
    facts = cache.statistics()
    print(f"{facts['images']} images, {facts['bytes'] / facts['rows']:.0f} bytes an image ", end="")
    print(f"= {facts['bytes'] / facts['feature_bytes']:.4f} x the features; ", end="")
    print(f"opened in {opened - start:.3f} s, first look-up {looked_up - opened:.3f} s")


def time_reads(location: Path, folder: Path, arguments: argparse.Namespace) -> None:
    """Print random reads per second of both, in turns, for each number of workers."""
    count = arguments.official_images or arguments.images
    official = make_official(folder / "official", count)
    size = sum(path.stat().st_size for path in official_files(official, name_of(0)))
    print(f"the authors' layout: {size} bytes an image in 2 files")
    for workers in arguments.workers:
        theirs, _ = run_workers(_read_official, official, count, arguments.reads, workers)
        ours, grown = run_workers(_read_cache, location, arguments.images, arguments.reads, workers)
        print(f"{workers} workers: authors' layout {theirs:,.0f} reads/s, cache {ours:,.0f} reads/s, ", end="")
        print(f"ratio {ours / theirs:.1f}; memory of a worker {grown / 2**20:+.1f} MiB over {arguments.reads} reads")


def make_official(folder: Path, images: int) -> Path:
    """Write the authors' files, unless they are there."""
    generator = torch.Generator().manual_seed(0)
    mark = folder / f"{images}.done"
    if not mark.is_file():
        for index in range(images):
            for path in official_files(folder, name_of(index)):
                path.parent.mkdir(parents=True, exist_ok=True)
                torch.save(torch.randn(1, SHAPE[1], generator=generator).half(), path)
        mark.touch()
    return folder


def run_workers(
    read: Callable[[Path, Sequence[int]], float], location: Path, images: int, reads: int, workers: int
) -> tuple[float, float]:
    """Reads per second of all workers together, and the largest growth of a worker's own memory."""
    orders = [random.Random(seed).choices(range(images), k=reads) for seed in range(workers)]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        outcomes = pool.starmap(_time_worker, [(read, location, order) for order in orders], chunksize=1)
    return sum(reads / seconds for seconds, _ in outcomes), max(grown for _, grown in outcomes)


def _time_worker(
    read: Callable[[Path, Sequence[int]], float], location: Path, order: Sequence[int]
) -> tuple[float, int]:
    torch.set_num_threads(1)
    read(location, order[:50])  # imports and opening are not what is timed
    memory = psutil.Process().memory_full_info()
    seconds = read(location, order)
    return seconds, psutil.Process().memory_full_info().uss - memory.uss


def _read_official(folder: Path, order: Sequence[int]) -> float:
    start = time.perf_counter()
    for index in order:
        paths = official_files(folder, name_of(index))
        torch.stack([torch.load(path, weights_only=True) for path in paths]).float()
    return time.perf_counter() - start


def _read_cache(location: Path, order: Sequence[int]) -> float:
    cache = CacheReader.open(location)
    rows = [cache.find_pixels(key_of(index)) for index in order]  # as a dataset does, once, at its start
    start = time.perf_counter()
    for row in rows:
        cache.get([row])
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
