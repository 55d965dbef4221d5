"""Peak memory of ``maagiqa extract`` and ``score`` over many large images: all processes, shared pages counted once.

Usage: python -m benchmarks.peak_memory [--images 200] [--size 6000x4000]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

COMMANDS = {
    "extract": ["extract", "--extractor", "visual", "--device", "cpu", "--cache"],
    "score": ["score", "-m", "maagiqa-lite", "--device", "cpu", "--csv"],
}


def make_images(folder: Path, count: int, size: tuple[int, int]) -> None:
    """Write JPEGs of one content whose pixels all differ: each has another step in its quantisation tables."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize(size).save(buffer, "JPEG", quality=85)
    content = bytearray(buffer.getvalue())
    steps = content.index(b"\xff\xdb") + 5  # first table: marker, length, number, 64 steps
    for index in range(count):
        content[steps] = 1 + index % 255
        (folder / f"{index:04d}.jpg").write_bytes(content)


def peak_of(arguments: list[str]) -> tuple[float, float]:
    """Run maagiqa; return the peak of memory in GB and the seconds it took."""
    started, peak = time.monotonic(), 0
    with subprocess.Popen(
        [sys.executable, "-m", "maagiqa_pyiqa.cli.main", *arguments], stdout=subprocess.DEVNULL
    ) as run:
        parent = psutil.Process(run.pid)
        while run.poll() is None:
            peak = max(peak, sum(_held(process) for process in [parent, *_children(parent)]))
            time.sleep(0.1)
    if run.returncode:
        sys.exit(f"maagiqa {arguments[0]} ended with {run.returncode}")
    return peak / 1e9, time.monotonic() - started


def _children(parent: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return parent.children(recursive=True)
    return []


def _held(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return process.memory_full_info().pss
    return 0


def main() -> None:
    """Print a row for each command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--size", default="6000x4000")
    parser.add_argument("--commands", nargs="+", default=list(COMMANDS), choices=list(COMMANDS))
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder, "images")
        images.mkdir()
        make_images(images, arguments.images, (width, height))
        for name in arguments.commands:
            options = COMMANDS[name]
            peak, seconds = peak_of([options[0], str(images), *options[1:], f"{folder}/{name}.csv"])
            print(f"| {name} | {arguments.images} | {peak:.2f} GB | {seconds:.0f} s |", flush=True)


if __name__ == "__main__":
    main()
