"""A server within this process, whose engine needs no metric: a score is the mean of an image's pixels."""

import asyncio
import contextlib
import threading
import time

import numpy as np
import pytest

from maagiqa_pyiqa.serving.batcher import EngineDiedError
from maagiqa_pyiqa.serving.settings import ServerSettings

for package in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
    pytest.importorskip(package, reason=f"{package} is not installed; it comes with the extra [serve]")

POISON = 13  # an image of this value alone kills the engine, every time
METRIC = "maagiqa-lite"
GATES = {METRIC: [0.25, 0.75], "piqe": []}
DISTANCES = {METRIC: 1.5}


class MeanEngine:
    """Scores by the mean of pixels in [0, 1]; dies when told to, and of POISON."""

    device = "cpu"

    def __init__(self):
        self.batches, self.starts, self.deaths_to_come = [], 0, 0
        self.cannot_start = None
        self.open = threading.Event()  # scoring waits for it
        self.open.set()

    async def start(self):
        self.starts += 1
        if self.cannot_start:
            raise RuntimeError(self.cannot_start)

    async def score(self, images, metrics):
        self.batches.append(images.shape)
        await asyncio.to_thread(self.open.wait)
        if self.deaths_to_come or any((image == POISON).all() for image in images):
            self.deaths_to_come = max(0, self.deaths_to_come - 1)
            raise EngineDiedError("the scoring process was ended by SIGKILL")
        return [
            {"raw": dict.fromkeys(metrics, mean_of(image)), "errors": {}, "gates": GATES, "distances": DISTANCES}
            for image in images
        ]

    async def stop(self):
        self.open.set()


def mean_of(image):
    return float(np.asarray(image, float).mean() / (255 if image.dtype == np.uint8 else 1))


@contextlib.contextmanager
def serving(engines, **settings):
    """A server in a thread, its address and itself."""
    import uvicorn

    from maagiqa_pyiqa.serving.app import Server, create_app
    from maagiqa_pyiqa.serving.rewards import Served
    from maagiqa_pyiqa.serving.run import bind, configuration, url_of

    settings = ServerSettings(**{"port": 0, **settings})
    started, loop = threading.Event(), asyncio.new_event_loop()
    found = {"listener": bind(settings)}

    async def serve():
        server = Server(settings, Served({METRIC: METRIC, "piqe": "piqe"}), engines)
        found["http"] = http = uvicorn.Server(configuration(settings, create_app(server), access_log=False))
        found["server"] = server
        async with server.batcher:
            task = asyncio.create_task(http.serve([found["listener"]]))
            while not http.started and not task.done():
                await asyncio.sleep(0.005)
            started.set()
            await task

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(20)
    try:
        yield url_of(found["listener"]), found["server"]
    finally:
        for engine in engines:
            if hasattr(engine, "open"):
                engine.open.set()
        found["http"].should_exit = True
        thread.join(20)
        loop.close()


def wait_until(condition, seconds=20):
    """Wait for what happens in another thread."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)
