"""Running ``maagiqa extract`` with the fake extractor, and looking at the cache it leaves."""

import struct
import zlib

import pytest
import torch
from PIL import Image

from maagiqa_pyiqa.cache.keys import pixel_key
from maagiqa_pyiqa.cache.reader import CacheReader
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.semantics import extractor
from tests.helpers.fake_extractor import BACKENDS, FakeExtractor, spec, write_pictures


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    """The fake extractor, by its name."""
    monkeypatch.setattr(extractor, "BACKENDS", BACKENDS)


@pytest.fixture
def images(tmp_path):
    return write_pictures(tmp_path / "images", 10)


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def extract(*inputs, cache, **options):
    """Run ``maagiqa extract`` and return its exit code."""
    arguments = [text for name, value in options.items() for text in option(name, value)]
    known = [] if "extractor" in options else ["--extractor", spec()]
    return main(["extract", *map(str, inputs), "--cache", str(cache), *known, *arguments])


def option(name, value):
    flag = f"--{name.replace('_', '-')}"
    return [flag] if value is True else [flag, str(value)]


def assert_holds(cache, images):
    """The cache holds these images, each once, with the features they have."""
    opened = CacheReader.open(cache)
    rows = [opened.find_pixels(pixel_key(Image.open(path).convert("RGB"))) for path in images]
    assert torch.equal(opened.get(rows), FakeExtractor().extract(images).half().float())
    assert opened.rows == len(opened) == len(set(rows))


def contents(cache):
    """Features by pixels."""
    opened = CacheReader.open(cache)
    return {entry.pixel_key: opened.get([row])[0].tolist() for row, entry in enumerate(opened.entries())}


def features_by_name(cache):
    opened = CacheReader.open(cache)
    return {entry.source: opened.get([row])[0] for row, entry in enumerate(opened.entries())}


def bomb():
    """A PNG of a few bytes that claims 40,000 x 40,000 pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def truncated(folder):
    path = folder / "whole.jpg"
    Image.effect_noise((64, 64), 50).convert("RGB").save(path)
    content = path.read_bytes()
    path.unlink()
    return content[: len(content) // 2]


@pytest.fixture
def bad(tmp_path, images):
    """Files beside the images that are none, and why."""
    folder = tmp_path / "images"
    files = {
        "text.png": (b"not an image", "not an image of a format"),
        "empty.png": (b"", r"empty file (0 bytes)"),
        "cut.jpg": (truncated(folder), "truncated"),
        "bomb.png": (bomb(), "decompression bomb"),
    }
    for name, (content, _) in files.items():
        (folder / name).write_bytes(content)
    return {str(folder / name): reason for name, (_, reason) in files.items()}
