"""Cache contents that are known: entries and features by number, written and checked."""

import hashlib

import pytest
import torch

from maagiqa_pyiqa.cache.index import ABSENT
from maagiqa_pyiqa.cache.part import Entry
from maagiqa_pyiqa.cache.writer import CacheWriter
from tests.helpers.fake_extractor import FakeExtractor

SHAPE = (2, 8)


def key(*what):
    return hashlib.sha256(repr(what).encode()).digest()


def entry(index):
    return Entry(key(index), key("file", index), f"folder/{index}.png")


def features_of(index):
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(index)).half().float()


def put(cache, indices):
    indices = list(indices)
    cache.append([entry(index) for index in indices], torch.stack([features_of(index) for index in indices]))


def assert_holds(cache, indices):
    """Every image is found by all its keys and its features are equal; there are no others."""
    indices = list(indices)
    rows = [cache.find_pixels(key(index)) for index in indices]
    assert ABSENT not in rows
    assert torch.equal(cache.get(rows), torch.stack([features_of(index) for index in indices]))
    assert torch.equal(cache.get([cache.find_file(key("file", index)) for index in indices]), cache.get(rows))
    entries = list(cache.entries())
    assert [entries[row] for row in rows] == [entry(index) for index in indices]
    assert len(cache) == len(indices)


def parts_in(folder):
    return sorted(path.name for path in folder.glob("part-*"))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def cache(folder):
    return CacheWriter.create(folder, FakeExtractor())
