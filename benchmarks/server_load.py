"""``maagiqa serve`` under load: 64 clients, every score checked against the image it is for, and what may go wrong.

It measures the metric in this process with full batches, then the same images through a server: throughput and latency
while nothing is wrong; then with a killed scoring process, bad images and clients that vanish; then a full queue; and
what SIGTERM finishes. Run it with as many threads as there are cores to the metric, such as
``OMP_NUM_THREADS=2 python -m benchmarks.server_load IMAGES``.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image

from maagiqa_pyiqa.client import FailedImagesError, RewardClient, ServerError
from maagiqa_pyiqa.leaderboard.entrants import parse_scorers
from maagiqa_pyiqa.metrics.scoring import create_metrics
from maagiqa_pyiqa.serving.worker import score_batch

TOLERANCE = 1e-6
CLIENTS = 64


@dataclass
class Tally:
    """What clients saw."""

    seconds: list[float] = field(default_factory=list)
    wrong: int = 0
    errors: collections.Counter[str] = field(default_factory=collections.Counter)

    def report(self, name: str, elapsed: float) -> dict[str, object]:
        """Figures, printed too."""
        done = len(self.seconds)
        p50, p99 = (np.quantile(self.seconds, share) for share in (0.5, 0.99)) if done else (0.0, 0.0)
        rate = done / elapsed
        print(f"{name}: {done} scores in {elapsed:.1f} s, {rate:.2f}/s; {self.wrong} wrong")
        print(f"  p50 {p50:.2f} s, p99 {p99:.2f} s")
        for reason, count in self.errors.most_common():
            print(f"  {count} times: {reason}")
        return {"scores": done, "per_s": rate, "wrong": self.wrong, "p50": p50, "p99": p99, "errors": dict(self.errors)}


class Load:
    """Clients that send images and know the score of each."""

    def __init__(self, images: Sequence[np.ndarray], expected: Sequence[float], encoding: str) -> None:
        self.images, self.expected, self.encoding = images, expected, encoding

    def run(self, url: str, seconds: float, during: Callable[[], None] = lambda: None, clients: int = CLIENTS) -> Tally:
        """Load for that long; ``during`` does something meanwhile."""
        tally, end = Tally(), time.monotonic() + seconds
        with concurrent.futures.ThreadPoolExecutor(clients + 1) as pool:
            asked = [pool.submit(self._client, url, number, end, tally) for number in range(clients)]
            pool.submit(during).result()
            for one in asked:
                one.result()
        return tally

    def _client(self, url: str, number: int, end: float, tally: Tally) -> None:
        client = RewardClient(url, encoding=self.encoding)  # type: ignore[arg-type]
        choice = random.Random(number)
        while time.monotonic() < end:
            place = choice.randrange(len(self.images))
            start = time.monotonic()
            try:
                (score,), _ = client(self.images[place][None])
            except (ServerError, FailedImagesError) as error:
                tally.errors[str(error).partition(": ")[2][:80]] += 1
                if getattr(error, "status", None) == 429:
                    time.sleep(0.1)
                continue
            tally.seconds.append(time.monotonic() - start)
            tally.wrong += abs(score - self.expected[place]) > TOLERANCE


@contextlib.contextmanager
def serving(metric: str, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server as its own command, its address and process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "maagiqa_pyiqa.cli.main", "serve", "-m", metric, "--port", str(port), *options]
    with subprocess.Popen(command, text=True) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            RewardClient(url, wait=120).health()
            yield url, process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def baseline(metric: str, images: Sequence[np.ndarray], batch_size: int, seconds: float) -> tuple[list[float], Pace]:
    """Scores of all images, and how fast the metric is in this process with full batches."""
    metrics, _ = create_metrics({metric: parse_scorers([metric])[metric].source.create}, "cpu")
    batches = [np.stack(images[start : start + batch_size]) for start in range(0, len(images), batch_size)]
    expected = [one.scores[metric] for batch in batches for one in score_batch(batch, metrics)]
    with measuring() as pace:
        while pace.elapsed < seconds:
            batch = batches[pace.images // batch_size % len(batches)]
            score_batch(batch, metrics)
            pace.images += len(batch)
    return expected, pace


@dataclass
class Pace:
    """Images, and what they took in seconds by the clock and of the processors, by process."""

    images: int = 0
    start: float = field(default_factory=time.monotonic)
    cpu: dict[str, float] = field(default_factory=dict)

    @property
    def elapsed(self) -> float:
        """Since it began."""
        return time.monotonic() - self.start

    @property
    def cpu_per_image(self) -> float:
        """Milliseconds of all processes together."""
        return 1000 * sum(self.cpu.values()) / self.images


@contextlib.contextmanager
def measuring(server: subprocess.Popen[str] | None = None) -> Iterator[Pace]:
    """Count processor time of this process, and of a server and the process that scores for it."""
    processes = {"this process": psutil.Process()}
    if server is not None:
        processes |= {"server": psutil.Process(server.pid), "scoring": scoring_process(server)}
    before = {name: sum(one.cpu_times()[:2]) for name, one in processes.items()}
    pace = Pace()
    yield pace
    pace.cpu = {name: sum(one.cpu_times()[:2]) - before[name] for name, one in processes.items()}


def scoring_process(server: subprocess.Popen[str]) -> psutil.Process:
    """The child of a server that holds the metric."""
    children = psutil.Process(server.pid).children()
    return next(one for one in children if "spawn_main" in " ".join(one.cmdline()))


def read_images(folder: Path, count: int, side: int) -> list[np.ndarray]:
    """Different images of one size."""
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix in (".jpg", ".png")][:count]
    return [np.asarray(Image.open(path).convert("RGB").resize((side, side))) for path in paths]


def disturb(url: str, process: subprocess.Popen[str], seconds: float) -> None:
    """Kill the scoring process once; meanwhile send bad images, and requests that nobody waits for."""
    end, killed = time.monotonic() + seconds - 10, False
    host, port = url.removeprefix("http://").split(":")
    client = RewardClient(url)
    while time.monotonic() < end:
        with contextlib.suppress(FailedImagesError, ServerError):
            client(np.full((1, 3, 64, 64), np.nan))
        with socket.create_connection((host, int(port))) as connection:
            head = f"POST /score HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 99\r\n"
            connection.sendall(f"{head}\r\n{{".encode())
        if not killed and time.monotonic() > end - seconds + 20:
            scoring_process(process).kill()
            killed = True
        time.sleep(0.5)


def stop_in_flight(url: str, process: subprocess.Popen[str], load: Load) -> dict[str, object]:
    """SIGTERM while all clients wait: how many get their score, and how the server ends."""
    found: list[bool] = []

    def ask(place: int) -> None:
        with contextlib.suppress(ServerError):
            (score,), _ = RewardClient(url, wait=0)(load.images[place][None])
            found.append(abs(score - load.expected[place]) <= TOLERANCE)

    threads = [threading.Thread(target=ask, args=(place % len(load.images),)) for place in range(CLIENTS)]
    for thread in threads:
        thread.start()
    while RewardClient(url).health()["waiting"] < CLIENTS - 16:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    code = process.wait(60)
    print(f"SIGTERM: {len(found)} of {CLIENTS} in flight got a score, {found.count(False)} wrong; exit code {code}")
    return {"in_flight": CLIENTS, "finished": len(found), "wrong": found.count(False), "exit_code": code}


def main() -> None:
    """Measure everything and print it; ``--out`` keeps it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, help="folder of at least 64 images")
    parser.add_argument("--metric", default="maagiqa-lite")
    parser.add_argument("--seconds", type=float, default=60, help="of each load")
    parser.add_argument("--side", type=int, default=512, help="of the images in pixels")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--encoding", default="tensor", choices=("tensor", "png", "webp"))
    parser.add_argument("--only-load", action="store_true", help="no faults, no full queue, no SIGTERM")
    parser.add_argument("--out", type=Path, help="JSON file")
    arguments = parser.parse_args()

    images = read_images(arguments.images, CLIENTS, arguments.side)
    expected, alone = baseline(arguments.metric, images, arguments.batch_size, min(30, arguments.seconds))
    rate = alone.images / alone.elapsed
    print(f"in process: {rate:.2f} images/s, {alone.cpu_per_image:.1f} ms of processor an image, batches of")
    print(f"  {arguments.batch_size}, {torch.get_num_threads()} threads")
    assert len({round(score, 5) for score in expected}) == len(images), "images whose scores cannot be told apart"
    load = Load(images, expected, arguments.encoding)
    figures: dict[str, object] = {"in_process_per_s": rate, "in_process_cpu_ms": alone.cpu_per_image}
    with serving(arguments.metric, "--batch-size", str(arguments.batch_size)) as (url, process):
        load.run(url, 5)
        with measuring(process) as pace:
            tally = load.run(url, arguments.seconds)
            elapsed, pace.images = pace.elapsed, len(tally.seconds)
        figures["load"] = tally.report("load", elapsed)
        figures["cpu_ms"] = {name: 1000 * seconds / pace.images for name, seconds in pace.cpu.items()}
        print("  processor ms an image:", ", ".join(f"{k} {v:.1f}" for k, v in figures["cpu_ms"].items()))  # type: ignore[attr-defined]
        print(f"  {pace.images / elapsed / rate:.3f} of the metric in process by the clock,")
        print(f"  {alone.cpu_per_image / pace.cpu_per_image:.3f} by processor time, clients included")
        if not arguments.only_load:
            start = time.monotonic()
            tally = load.run(url, arguments.seconds, lambda: disturb(url, process, arguments.seconds))
            figures["faults"] = tally.report("faults", time.monotonic() - start)
            memory = [one.memory_info().rss / 2**20 for one in (psutil.Process(process.pid), scoring_process(process))]
            print("  memory of the server and of what scores:", ", ".join(f"{size:.0f} MiB" for size in memory))
            print("  ", RewardClient(url).health())
            figures["stop"] = stop_in_flight(url, process, load)
    if not arguments.only_load:
        with serving(arguments.metric, "--queue", "8") as (url, _):
            start = time.monotonic()
            figures["full"] = load.run(url, 15).report("queue of 8", time.monotonic() - start)
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()
