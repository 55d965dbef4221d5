"""Milliseconds an image from pixels and from files, and peak memory, of metrics beside each other at several sizes.

    python -m benchmarks.lite_speed [-m maagiqa-lite -m maagiqa-lite-2026a] [--sizes 512x512 1024x1024 4000x3000]
        [--images 24] [--batch-size 8] [--workers 2] [--threads 1] [--folder DIR]

Each metric is measured at each size in a process of its own, on JPEGs made of the pictures of a folder. From pixels is
the median over batches of decoded images; from files is the whole way over all of them, with decoding threads beside.
Memory is that beyond the imported packages: weights, images and what scoring takes.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas
import torch
from PIL import Image

from maagiqa_pyiqa.images.decoding import read_image
from maagiqa_pyiqa.images.sources import find_files
from maagiqa_pyiqa.leaderboard.entrants import parse_scorers
from maagiqa_pyiqa.metrics.cost import PeakMemory
from maagiqa_pyiqa.metrics.scoring import score_images

PICTURES = Path(__file__).parents[1] / "tests" / "data" / "agiqa_3k" / "images"
METRICS = ("maagiqa-lite", "maagiqa-lite-2026a")
SIZES = ("512x512", "1024x1024", "4000x3000")
QUALITY = 95  # of the JPEGs


@dataclass(frozen=True, kw_only=True)
class Job:
    """A metric, images of one size, and how they are scored."""

    metric: str
    paths: list[Path]
    batch_size: int
    workers: int
    threads: int


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of a metric: milliseconds an image, and peak memory in MB."""

    from_pixels: float
    from_files: float
    memory: float


def measure(job: Job) -> Figures:
    """Measure in this process, which has scored nothing before."""
    torch.set_num_threads(job.threads)
    device = torch.device("cpu")
    with PeakMemory(device) as peak:
        ((name, entrant),) = parse_scorers([job.metric]).items()
        metric = entrant.source.create("cpu")
        batches = list(_milliseconds_of_batches(metric, job))
        start = time.perf_counter()
        results = list(score_images(job.paths, {name: metric}, batch_size=job.batch_size, workers=job.workers))
        from_files = 1e3 * (time.perf_counter() - start) / len(results)
    failures = [error for result in results for error in result.errors.values()]
    if failures:
        raise RuntimeError(f"{job.metric}: {failures[0]}")
    return Figures(from_pixels=statistics.median(batches), from_files=from_files, memory=peak.bytes / 1e6)


def _milliseconds_of_batches(metric: torch.nn.Module, job: Job) -> Iterator[float]:
    """An image's share of each batch, after one that is not counted."""
    starts = range(0, len(job.paths), job.batch_size)
    for number, first in enumerate([0, *starts]):
        x = torch.stack([read_image(path) for path in job.paths[first : first + job.batch_size]]).float() / 255
        start = time.perf_counter()
        metric(x)
        if number > 0:
            yield 1e3 * (time.perf_counter() - start) / len(x)


def make_images(folder: Path, pictures: Sequence[Path], size: str, count: int) -> list[Path]:
    """Write JPEGs of a size, each another cut of one of the pictures."""
    width, height = map(int, size.split("x"))
    paths = [folder / f"{size}-{index:03d}.jpg" for index in range(count)]
    for index, path in enumerate(paths):
        picture = Image.open(pictures[index % len(pictures)]).convert("RGB")
        margin = index // len(pictures)
        box = (margin, margin, picture.width - margin, picture.height - margin)
        picture.resize((width, height), Image.Resampling.LANCZOS, box).save(path, quality=QUALITY)
    return paths


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--metric", action="append", help="NAME, NAME=CHECKPOINT or LABEL=NAME=CHECKPOINT")
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="WIDTHxHEIGHT")
    parser.add_argument("--images", type=int, default=24, help="of each size (default 24)")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2, help="threads that decode (default 2)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default 1)")
    parser.add_argument("--folder", type=Path, default=PICTURES, help="pictures to make the images of")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a table."""
    parsed = parse_arguments(arguments)
    pictures = find_files([str(parsed.folder)])
    settings = {"batch_size": parsed.batch_size, "workers": parsed.workers, "threads": parsed.threads}
    rows = []
    with tempfile.TemporaryDirectory() as folder, multiprocessing.get_context("spawn").Pool(1, None, (), 1) as pool:
        for size in parsed.sizes:
            paths = make_images(Path(folder), pictures, size, parsed.images)
            for metric in parsed.metric or METRICS:
                figures = pool.apply(measure, (Job(metric=metric, paths=paths, **settings),))
                rows.append({"size": size, "metric": metric, **asdict(figures)})
    table = pandas.DataFrame(rows).rename(
        columns={"from_pixels": "from pixels, ms", "from_files": "from files, ms", "memory": "peak memory, MB"}
    )
    print(table.round(1).to_string(index=False))


if __name__ == "__main__":
    main()
