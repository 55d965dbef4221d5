"""A fast extractor whose features are known, and the command line with it: ``--extractor 'fake:{"delay": 0.1}'``.

Importable by other processes, so that tests can start, interrupt and kill real ones.
"""

import functools
import json
import multiprocessing
import os
import resource
import signal
import sys
import time
from multiprocessing import forkserver
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from PIL import Image

from maagiqa_pyiqa.cache import writer
from maagiqa_pyiqa.cache.manifest import CacheMismatchError
from maagiqa_pyiqa.cache.reader import CacheReader
from maagiqa_pyiqa.cache.writer import CacheWriter
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.extraction import run as extraction
from maagiqa_pyiqa.semantics import extractor
from maagiqa_pyiqa.semantics.batched_extractor import BatchedExtractor, as_pil
from maagiqa_pyiqa.semantics.extractor import Backend
from tests.helpers.places import ROOT

PROMPTS = ("semantic_content", "coherence")


class FakeExtractor(BatchedExtractor):
    """Features are sines of colour statistics.

    Args:
        parts: more of what the fingerprint is made of.
        scale: what features are multiplied by.
        delay: seconds a batch takes.
        mark: file that is made when a first batch is begun.
    """

    def __init__(self, batch_size=None, *, dim=8, prompts=PROMPTS, parts=None, scale=1.0, delay=0.0, mark=None):
        super().__init__(batch_size or 4, workers=2)
        self.feature_dim = dim
        self.prompts = tuple(prompts)
        self.parts = parts or {}
        self.scale = scale
        self.delay = delay
        self.mark = mark

    @property
    def fingerprint_parts(self):
        return {"extractor": "fake", "prompts": self.prompts, "dim": self.feature_dim, **self.parts}

    def _prepare(self, image):
        return statistics_of(np.asarray(as_pil(image)))

    def _encode(self, batch):
        if self.mark:
            Path(self.mark).touch()
        time.sleep(self.delay)
        waves = np.arange(1, 1 + len(self.prompts) * self.feature_dim)
        features = self.scale * np.sin(np.outer(batch, waves))
        return torch.from_numpy(features.astype(np.float32)).reshape(len(batch), -1, self.feature_dim)


def statistics_of(pixels):
    """One number that tells any two pictures of the tests apart."""
    weights = np.arange(1, 1 + pixels.size).reshape(pixels.shape) % 251
    return float((pixels * weights).mean())


class FakeExtractorOfSpec(FakeExtractor):
    """The fake extractor as a backend: the source is its options in JSON."""

    def __init__(self, source, device=None, dtype="auto", *, batch_size=None):
        super().__init__(batch_size, **json.loads(source))

    @classmethod
    def feature_dim_of(cls, source):
        return cls(source).feature_dim

    @classmethod
    def fingerprint_of_source(cls, source):
        return cls(source).fingerprint


FAKE = Backend("fake", "tests.helpers.fake_extractor:FakeExtractorOfSpec", "required", "JSON")
BACKENDS = MappingProxyType({**extractor.BACKENDS, FAKE.name: FAKE})


def spec(**options):
    return f"fake:{json.dumps(options)}"


def write_pictures(folder, count, first=0):
    """Write small pictures, each different, the same for the same number; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:04d}.png" for index in range(first, first + count)]
    for index, path in enumerate(paths, start=first):
        pixels = np.random.default_rng(index).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, compress_level=1)
    return paths


@functools.cache
def warm():
    """Makes processes that start at once: forked from one that has imported everything and done nothing else."""
    folders = [str(ROOT)]
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([*folders, *([before] if before else [])])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.helpers.fake_extractor", "pytest"])
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
    return context


def wait_until(condition, seconds=60):
    """Wait for what another process does."""
    for _ in range(100 * seconds):
        if condition():
            return
        time.sleep(0.01)
    raise TimeoutError


def start(function, *arguments, **options):
    """Run a function of this module in a process of its own."""
    process = warm().Process(target=function, args=arguments, kwargs=options, daemon=True)
    process.start()
    return process


# --------------------------------------------------------------------------------------------- what other processes run


def run_maagiqa(arguments, log, small_parts=writer.SMALL_PARTS, refresh_seconds=10.0, setup=None):
    """The command line, with the fake extractor and output into a file; calls ``setup`` first."""
    with open(log, "ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    # as a new process has them: the old ones still take a terminal for the seekable file that was there before
    sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
    extractor.BACKENDS = BACKENDS
    writer.SMALL_PARTS = small_parts
    extraction.REFRESH_SECONDS = refresh_seconds
    if setup:
        setup()
    sys.exit(main(arguments))


def limit_file_size(size):
    """Let every write beyond a size fail, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def create_caches(location, part, barrier, outcomes, times):
    """Create caches at the same moment as others; put what became of each."""
    for index in range(times):
        barrier.wait()
        try:
            cache = CacheWriter.create(f"{location}{index}", FakeExtractor(parts={"model": part}))
            outcomes.put((index, part, cache.manifest.parts["model"], ""))
        except CacheMismatchError as error:
            outcomes.put((index, part, None, str(error)))


def compact_until(location, done):
    """Compact a cache over and over."""
    while not done.is_set():
        CacheWriter.open(location).compact()


def read_until(location, done, expected, wrong):
    """Read a cache over and over; put every row that is not what it should be, and every row lost."""
    cache = CacheReader.open(location)
    known = set()
    while not done.is_set():
        entries = list(cache.entries())
        for entry, features in zip(entries, cache.get(range(cache.rows)), strict=True):
            if not torch.equal(features, expected[entry.pixel_key]):
                wrong.put(("unequal", entry.source))
        found = {entry.pixel_key for entry in entries}
        for key in known - found:
            wrong.put(("lost", key.hex()))
        known |= found
        cache.refresh()


if __name__ == "__main__":
    extractor.BACKENDS = BACKENDS
    sys.exit(main(sys.argv[1:]))
