"""``maagiqa score`` over thousands of images: rate, memory, growing JSON lines, and going on after being killed.

    python -m benchmarks.many_images --images 10000 --metric piqe --out many

makes copies of a few pictures with small changes, kills the command by SIGKILL at about half, starts it again, and
compares the rate with what the metric does on pixels that are in memory already.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from maagiqa_pyiqa.metrics.scoring import create_metrics, makers_of
from maagiqa_pyiqa.support.environment import describe_environment

PICTURES = Path(__file__).parents[1] / "tests" / "data" / "agiqa_3k" / "images"
MIB = 2**20


class Run(NamedTuple):
    """One start of the command: seconds from its first to its last line, how many lines, memory in MiB by time."""

    seconds: float
    lines: int
    memory: list[float]


def make_images(folder: Path, count: int, side: int) -> None:
    """Write copies of the pictures of the tests, each shifted and brightened in its own way."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [
        np.asarray(Image.open(path).convert("RGB").resize((side, side))) for path in sorted(PICTURES.glob("*.jpg"))
    ]
    for index in range(count):
        pixels = np.roll(pictures[index % len(pictures)], index // len(pictures) % side, axis=1).astype(np.int16)
        changed = np.clip(pixels + index % 7 - 3, 0, 255).astype(np.uint8)
        changed[0, 0] = index % 256, index // 256 % 256, 0  # no two are the same
        Image.fromarray(changed).save(folder / f"{index:06d}.jpg", quality=92)


def run(out: Path, name: str, metric: str, kill_at: int | None = None) -> Run:
    """Start the command, look at it ten times a second, and kill it at so many lines if asked to."""
    lines = out / f"{name}.jsonl"
    lines.unlink(missing_ok=True)
    words = [
        "score",
        out / "images",
        "-m",
        metric,
        "--keep",
        out / "kept",
        "--jsonl",
        lines,
        "--quiet",
        "--device",
        "cpu",
    ]
    process = subprocess.Popen([sys.executable, "-m", "maagiqa_pyiqa.cli.main", *map(str, words)])
    memory, first, count = [], None, 0
    while process.poll() is None:
        time.sleep(0.1)
        count = lines.read_bytes().count(b"\n") if lines.exists() else 0
        first = first or (time.perf_counter() if count else None)
        if count:
            memory.append(_resident(process.pid))
        if kill_at is not None and count >= kill_at:
            process.kill()
            process.wait()
    return Run(time.perf_counter() - (first or 0.0), lines.read_bytes().count(b"\n"), memory)


def compute_limit(metric: str, side: int, batch_size: int = 8, batches: int = 50) -> float:
    """Images a second of the metric on batches that are in memory."""
    made, failures = create_metrics(makers_of([metric]), "cpu")
    if failures:
        raise SystemExit(f"{metric} cannot run here: {failures[metric]}")
    x = torch.rand(batch_size, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        made[metric](x)
        start = time.perf_counter()
        for _ in range(batches):
            made[metric](x)
    return batch_size * batches / (time.perf_counter() - start)


def count_kept(folder: Path) -> int:
    """How many scores a run has left for the next."""
    with contextlib.closing(sqlite3.connect(folder / "scores.sqlite")) as database:
        return int(database.execute("SELECT COUNT(*) FROM scores").fetchone()[0])


def _resident(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")), 0.0)


def _quarters(memory: Sequence[float]) -> list[int]:
    """Greatest memory in each quarter of the time."""
    bounds = [len(memory) * quarter // 4 for quarter in range(5)]
    return [round(max(memory[a:b], default=0.0)) for a, b in itertools.pairwise(bounds)]


def main() -> None:
    """Make the images, run and kill and run again, and print figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--metric", default="piqe")
    parser.add_argument("--out", type=Path, default=Path("many"))
    options = parser.parse_args()
    make_images(options.out / "images", options.images, options.side)
    limit = compute_limit(options.metric, options.side)
    killed = run(options.out, "killed", options.metric, kill_at=options.images // 2)
    kept = count_kept(options.out / "kept")
    rest = run(options.out, "rest", options.metric)
    figures = {
        "machine": describe_environment().machine,
        "metric": options.metric,
        "metric alone, images/s": round(limit, 1),
        "killed after lines": killed.lines,
        "scores kept then": kept,
        "images/s until killed": round(killed.lines / killed.seconds, 1),
        "lines of the second run": rest.lines,
        "seconds of the second run": round(rest.seconds, 1),
        "MiB by quarters, first run": _quarters(killed.memory),
        "MiB by quarters, second run": _quarters(rest.memory),
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
