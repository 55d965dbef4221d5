"""Hostile caches: random bit flips, then mutated files, against whatever reads a cache.

    python -m benchmarks.hostile_cache [--flips 1000] [--mutations 300] [--seed 0]

A flip is one bit of a part or of the manifest; afterwards every image is looked up and read, then the cache verified.
A mutation changes a file by more: pieces cut, doubled, zeroed or exchanged, another compression, other metadata,
immense numbers, other kinds of file. Each is opened, read, verified, repaired and compacted in a process of its own,
which may allocate 1 GiB beyond what its imports took, and has 5 s.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow
import torch

from maagiqa_pyiqa.cache.index import ABSENT
from maagiqa_pyiqa.cache.manifest import DamagedCacheError
from maagiqa_pyiqa.cache.part import Entry
from maagiqa_pyiqa.cache.reader import CacheReader
from maagiqa_pyiqa.cache.verify import verify
from maagiqa_pyiqa.cache.writer import CacheWriter
from maagiqa_pyiqa.support.errors import UserError

SHAPE = (2, 64)
PARTS, ROWS = 3, 20
ALLOCATION = 2**30
SECONDS = 5


class MadeUp:
    """Stands for an extractor."""

    prompts = ("semantic_content", "coherence")
    feature_dim = SHAPE[1]
    fingerprint = "made up"
    fingerprint_parts = MappingProxyType({"extractor": "made up", "tokens": list(range(20))})


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--mutations", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """Try both and print what was found."""
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory() as scratch:
        original = make_cache(Path(scratch) / "original")
        print(f"{arguments.flips} bit flips: {summary(flip_bits(original, arguments.flips, arguments.seed))}")
        print(
            f"{arguments.mutations} mutations: {summary(mutate_files(original, arguments.mutations, arguments.seed))}"
        )


def summary(counts: collections.Counter[str]) -> str:
    """Counts as text."""
    return ", ".join(f"{what} {count}" for what, count in sorted(counts.items()))


def entry_of(index: int) -> Entry:
    """Keys and name of a made-up image."""
    pixel_key, file_key = (hashlib.sha256(f"{kind}{index}".encode()).digest() for kind in ("pixels", "file"))
    return Entry(pixel_key, file_key, f"folder/{index}.png")


def features_of(index: int) -> torch.Tensor:
    """Its features."""
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(index)).half()


def make_cache(location: Path) -> Path:
    """Write a cache of several parts."""
    for first in range(0, PARTS * ROWS, ROWS):
        rows = range(first, first + ROWS)
        cache = CacheWriter.create(location, MadeUp())
        cache.append([entry_of(row) for row in rows], torch.stack([features_of(row) for row in rows]))
    return location


# ------------------------------------------------------------------------------------------------------------ bit flips


def flip_bits(original: Path, count: int, seed: int = 0) -> collections.Counter[str]:
    """Flip one bit at a time; count wrong features, and what found the flip."""
    moments = random.Random(seed)
    outcome = collections.Counter(
        {"wrong features": 0, "found by a read": 0, "found by verify alone": 0, "not found": 0}
    )
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(count):
            folder = Path(shutil.copytree(original, Path(scratch) / str(number)))
            path = moments.choice(sorted(folder.iterdir()))
            content = bytearray(path.read_bytes())
            content[moments.randrange(len(content))] ^= 1 << moments.randrange(8)
            path.write_bytes(content)
            outcome.update(read_and_verify(folder))
            shutil.rmtree(folder)
    return outcome


def read_and_verify(folder: Path) -> list[str]:
    """Read every image by its pixels and by its file; say what was noticed."""
    wrong, noticed = read_all(folder)
    found = ["wrong features"] * wrong
    if noticed:
        return [*found, "found by a read"]
    return [*found, "found by verify alone" if verify(folder).damage else "not found"]


def read_all(folder: Path) -> tuple[int, bool]:
    """Number of images with wrong features, and whether an error or a lost image was seen."""
    try:
        cache = CacheReader.open(folder)
    except ValueError:
        return 0, True
    wrong, noticed = 0, False
    for index in range(PARTS * ROWS):
        entry = entry_of(index)
        for row in (cache.find_pixels(entry.pixel_key), cache.find_file(entry.file_key or b"")):
            try:
                wrong += row != ABSENT and not torch.equal(cache.get([row])[0], features_of(index).float())
                noticed |= row == ABSENT
            except DamagedCacheError:
                noticed = True
    return wrong, noticed


# ------------------------------------------------------------------------------------------------------------ mutations


def mutate_files(original: Path, count: int, seed: int = 0) -> collections.Counter[str]:
    """Mutate one file at a time; count how reading ended."""
    outcome = collections.Counter({"crash": 0, "hang": 0, "out of memory": 0, "traceback": 0, "wrong features": 0})
    moments = random.Random(seed)
    mutations = list(MUTATIONS.values())
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(count):
            folder = Path(shutil.copytree(original, Path(scratch) / str(number)))
            mutations[number % len(mutations)](folder, moments)
            outcome[in_a_process(use_all, folder)] += 1
            shutil.rmtree(folder)
    return outcome


def in_a_process(function: Callable[[Path], str], folder: Path) -> str:
    """What a function says, or how its process ended."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_limited, args=(function, folder, sender))
    process.start()
    sender.close()
    try:
        said = receiver.recv() if receiver.poll(SECONDS) else "hang"
    except EOFError:
        said = "crash"
    process.kill()
    process.join()
    return str(said)


def _limited(function: Callable[[Path], str], folder: Path, sender: Any) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + ALLOCATION
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    sender.send(function(folder))


def use_all(folder: Path) -> str:
    """Do all that is done with a cache; say how it ended."""
    warnings.simplefilter("ignore")
    actions: tuple[Callable[[], Any], ...] = (
        lambda: read_all(folder)[0],
        lambda: CacheReader.open(folder).statistics() and 0,
        lambda: len(list(CacheReader.open(folder).entries())) and 0,
        lambda: len(verify(folder).damage) and 0,
        lambda: compact(folder),
        lambda: len(verify(folder, repair=True).damage) and 0,
        lambda: read_all(folder)[0],
    )
    errors = 0
    for action in actions:
        try:
            if action():
                return "wrong features"
        except UserError:
            errors += 1
        except OSError as error:
            if not re.search(r"no feature cache|of a cache .* cannot be mapped", str(error)):
                return f"traceback ({type(error).__name__}: {error})"
            errors += 1
        except MemoryError:
            return "out of memory"
        except BaseException as error:
            return f"traceback ({type(error).__name__}: {str(error)[:100]})"
    return "refused clearly" if errors else "read"


def compact(folder: Path) -> None:
    """Join its parts."""
    CacheWriter.open(folder).compact()


def _some_part(folder: Path, moments: random.Random) -> Path:
    return moments.choice(sorted(folder.glob("part-*")))


def _some_file(folder: Path, moments: random.Random) -> Path:
    return moments.choice(sorted(folder.iterdir()))


def _cut(folder: Path, moments: random.Random) -> None:
    path = _some_file(folder, moments)
    path.write_bytes(path.read_bytes()[: moments.randrange(path.stat().st_size)])


def _exchange(folder: Path, moments: random.Random) -> None:
    path = _some_file(folder, moments)
    content = path.read_bytes()
    start, end = sorted(moments.choices(range(len(content)), k=2))
    piece = moments.choice([b"", bytes(end - start), content[start:end] * 2, moments.randbytes(end - start)])
    path.write_bytes(content[:start] + piece + content[end:])


def _numbers(folder: Path, moments: random.Random) -> None:
    """Overwrite aligned numbers, such as lengths and offsets, with immense, negative and odd ones."""
    path = _some_part(folder, moments)
    content = bytearray(path.read_bytes())
    for _ in range(moments.randint(1, 4)):
        area = moments.choice([range(0, 4096, 4), range(len(content) // 4 * 4 - 2048, len(content) - 8, 4)])
        place = moments.choice(area)
        number = moments.choice([2**31 - 1, -1, 2**40, 2**62, -(2**63), moments.randrange(2**16)])
        content[place : place + 8] = number.to_bytes(8, "little", signed=True)
    path.write_bytes(content[: path.stat().st_size])


def _compress(folder: Path, moments: random.Random) -> None:
    """Write a batch of equal values, which compress to almost nothing."""
    batch = _batch(_some_part(folder, moments))
    many = pyarrow.Table.from_batches([batch.slice(0, 1)] * 2).combine_chunks()
    rows = pyarrow.concat_tables([many] * 20_000).combine_chunks().to_batches()[0]
    _write(folder, rows.replace_schema_metadata(batch.schema.metadata), moments.choice(["lz4", "zstd"]))


def _metadata(folder: Path, moments: random.Random) -> None:
    path = _some_part(folder, moments)
    batch = _batch(path)
    names = [other.name for other in folder.glob("part-*")]
    numbers = [b"9" * 30, b"-1", b"x", b""]
    changes = {
        b"batch_bytes": numbers,
        b"replaces": [json.dumps(names).encode(), b"[" * 50_000, b"{}", b"[[]]", b"7", b""],
        b"manifest": [b"[" * 50_000, b"{}", _sealed(batch, feature_dim=10**12), _sealed(batch, dtype="object")],
    }
    key = moments.choice(sorted(changes))
    changed = batch.replace_schema_metadata({**batch.schema.metadata, key: moments.choice(changes[key])})
    if moments.random() < 0.5:
        path.unlink()
    _write(folder, changed, None)
    if key == b"batch_bytes":  # which is read where the end is missing
        for other in folder.glob("part-x*"):
            other.write_bytes(other.read_bytes()[:-300])


def _manifest(folder: Path, moments: random.Random) -> None:
    values: dict[str, list[Any]] = {
        "feature_dim": [10**12, -1, 0, "8", None, True, 2**17],
        "dtype": ["object", "float8", 7, None, "float32"],
        "prompts": [[], "ab", [1], None, ["x"] * 100_000],
        "parts": [None, [], "x", {"a": [[[]]]}],
        "format": [None, 0, -1, "1", 10**9, True],
        "fingerprint": [None, 7, [], "x" * 10**6],
        "more": [1],
    }
    key = moments.choice(sorted(values))
    text = _sealed(_batch(_some_part(folder, moments)), **{key: moments.choice(values[key])})
    nested = b"[" * moments.choice([10, 10_000, 10**6])
    (folder / "manifest.json").write_bytes(moments.choice([text, text, text, nested, b'{"a":' * 100_000]))


def _kind(folder: Path, moments: random.Random) -> None:
    path = folder / moments.choice(
        ["manifest.json", "part-x.arrow", "failures-x.jsonl", _some_part(folder, moments).name]
    )
    path.unlink(missing_ok=True)
    kinds: tuple[Callable[[Path], Any], ...] = (
        os.mkfifo,
        os.mkdir,
        lambda place: os.symlink("/dev/zero", place),
        lambda place: os.symlink("/dev/full", place),
        lambda place: os.symlink(place.name, place),
        lambda place: os.symlink("absent", place),
        _immense,
    )
    moments.choice(kinds)(path)


def _immense(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**33)


MUTATIONS = MappingProxyType({
    "cut": _cut, "exchange": _exchange, "numbers": _numbers, "compress": _compress, "metadata": _metadata,
    "manifest": _manifest, "kind": _kind,
})  # fmt: skip


def _batch(path: Path) -> pyarrow.RecordBatch:
    return pyarrow.ipc.open_file(path.read_bytes()).get_batch(0)


def _write(folder: Path, batch: pyarrow.RecordBatch, compression: str | None) -> None:
    options = pyarrow.ipc.IpcWriteOptions(compression=compression)
    with pyarrow.ipc.new_file(folder / "part-x.arrow", batch.schema, options=options) as writer:
        writer.write_batch(batch)


def _sealed(batch: pyarrow.RecordBatch, **changes: Any) -> bytes:
    """A manifest with other values and the right checksum."""
    content = json.loads(batch.schema.metadata[b"manifest"])
    del content["checksum"]
    content.update(changes)
    checksum = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return json.dumps({**content, "checksum": checksum}).encode()


if __name__ == "__main__":
    started = time.perf_counter()
    main()
    print(f"{time.perf_counter() - started:.0f} s")
