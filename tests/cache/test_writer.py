"""Writing a cache: what is refused, and parts that are joined, compacted and merged with nothing lost."""

import threading

import numpy as np
import pyarrow
import pytest
import torch

from maagiqa_pyiqa.cache import writer
from maagiqa_pyiqa.cache.index import ABSENT
from maagiqa_pyiqa.cache.manifest import CacheMismatchError
from maagiqa_pyiqa.cache.part import Entry
from maagiqa_pyiqa.cache.reader import CacheReader
from maagiqa_pyiqa.cache.storage import LocalStorage
from maagiqa_pyiqa.cache.writer import CacheWriter
from tests.helpers import cache_contents
from tests.helpers.cache_contents import SHAPE, assert_holds, entry, features_of, key, parts_in, put
from tests.helpers.fake_extractor import FakeExtractor

cache, folder = cache_contents.cache, cache_contents.folder


def test_an_image_extracted_twice_counts_once(cache):
    put(cache, [0, 1])
    put(cache, [1, 2])
    assert_holds(cache, range(3))
    assert cache.rows == 4


def test_half_precision_is_rounded_and_single_is_exact(tmp_path):
    values = torch.randn(1, *SHAPE)
    for dtype, expected in (("float16", values.half().float()), ("float32", values)):
        cache = CacheWriter.create(tmp_path / dtype, FakeExtractor(), dtype)
        cache.append([entry(0)], values)
        assert torch.equal(CacheReader.open(tmp_path / dtype).get([0]), expected)
        assert cache.statistics()["features"] == f"2 x 8 {dtype}"


def test_features_of_any_floating_type_and_layout_can_be_written(cache):
    wide = torch.randn(3, 8, 2, dtype=torch.float64, requires_grad=True).transpose(1, 2)
    cache.append([entry(index) for index in range(3)], wide)
    assert torch.equal(cache.get(range(3)), wide.detach().half().float())


def test_nothing_to_append_writes_nothing(cache, folder):
    cache.append([], torch.empty(0, *SHAPE))
    assert parts_in(folder) == []


@pytest.mark.parametrize("shape", [(1, 2, 8), (2, 2, 7), (2, 8, 2), (2, 16)])
def test_features_of_a_wrong_shape_are_refused(cache, folder, shape):
    with pytest.raises(ValueError, match=r"shape \(N, E, D\) = \(2, 2, 8\), got"):
        cache.append([entry(0), entry(1)], torch.zeros(shape))
    assert parts_in(folder) == []


@pytest.mark.parametrize("value", [torch.nan, torch.inf, 1e5])
def test_values_that_half_precision_cannot_hold_are_refused_with_advice(cache, folder, value):
    features = torch.zeros(2, *SHAPE)
    features[1, 1, 3] = value
    with pytest.raises(ValueError, match=r"\['folder/1\.png'\] are not finite in float16; .* dtype float32 holds"):
        cache.append([entry(0), entry(1)], features)
    assert parts_in(folder) == []


def test_single_precision_holds_large_values_but_no_nan(folder):
    cache = CacheWriter.create(folder, FakeExtractor(), "float32")
    cache.append([entry(0)], torch.full((1, *SHAPE), 1e30))
    assert cache.get([0]).unique().tolist() == [torch.tensor(1e30).item()]
    with pytest.raises(ValueError, match="NaN is never written"):
        cache.append([entry(1)], torch.full((1, *SHAPE), torch.nan))


def test_a_part_is_an_arrow_file_that_others_can_read(cache, folder):
    put(cache, range(3))
    with pyarrow.memory_map(str(folder / parts_in(folder)[0])) as file:
        table = pyarrow.ipc.open_file(file).read_all()
    assert table["pixel_key"].to_pylist() == [key(index) for index in range(3)]
    assert table["source"].to_pylist() == [entry(index).source for index in range(3)]
    assert np.array_equal(table["features"].to_pylist()[1], features_of(1).flatten().half().numpy())


def test_threads_find_everything_that_was_appended_while_they_looked(cache, monkeypatch):
    monkeypatch.setattr(writer, "SMALL_PARTS", 8)
    appended, errors = [], []
    done = threading.Event()

    def look():
        generator = np.random.default_rng()
        while not done.wait(0.001):
            count = len(appended)
            index = int(generator.integers(count)) if count else 0
            if count and ABSENT in (cache.find_file(key("file", index)), cache.find_pixels(key(index))):
                errors.append(index)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for index in range(120):
        put(cache, [index])
        appended.append(index)
    done.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert_holds(cache, range(120))


def test_a_long_run_leaves_few_parts(cache, folder, monkeypatch):
    monkeypatch.setattr(writer, "SMALL_PARTS", 4)
    for index in range(70):
        put(cache, [index])
    assert_holds(cache, range(70))
    assert_holds(CacheReader.open(folder), range(70))
    assert cache.rows == 70
    assert len(parts_in(folder)) <= 3 * 3  # at most 3 each of 1, 4, 16 rows
    assert cache.statistics()["parts"] == len(parts_in(folder))


def test_parts_are_joined_up_to_a_limit(folder, monkeypatch):
    monkeypatch.setattr(writer, "SMALL_PARTS", 4)
    monkeypatch.setattr(writer, "PART_BYTES", 100_000)
    extractor = FakeExtractor(dim=1000)
    cache = CacheWriter.create(folder, extractor)
    for index in range(200):
        cache.append([entry(index)], torch.full((1, 2, 1000), float(index)))
    sizes = [(folder / name).stat().st_size for name in parts_in(folder)]
    assert max(sizes) <= 1.5 * 100_000
    assert sum(size >= 50_000 for size in sizes) >= 0.8 * 200 * 4000 / 150_000
    assert torch.equal(cache.get([cache.find_pixels(key(i)) for i in range(200)])[:, 0, 0], torch.arange(200.0))


def test_a_cache_takes_little_more_than_its_features(folder):
    """At the size of mPLUG-Owl2, in batches of 32, with names as folders of generations have them."""
    tokens = {name: [list(range(29000, 29080)), list(range(30))] for name in ("semantic_content", "coherence")}
    extractor = FakeExtractor(dim=4096, parts={"prompts": tokens, "template": "USER: ...", "weights": "0" * 64})
    cache = CacheWriter.create(folder, extractor)
    generator = torch.Generator().manual_seed(0)
    for batch in range(0, 3000, 32):
        name = f"/data/generations/stable-diffusion-xl/2024-05-17/batch-{batch:05d}/a photograph of a cat, no. "
        entries = [Entry(key(i), key("file", i), f"{name}{i:05d}.png") for i in range(batch, batch + 32)]
        cache.append(entries, torch.randn(32, 2, 4096, generator=generator))
    raw = len(cache) * 16384
    on_disk = sum(path.stat().st_size for path in folder.iterdir())
    assert len(cache) == 3008
    assert raw < on_disk <= 1.02 * raw
    cache.compact()
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 1.015 * raw


def test_compaction_leaves_one_part_with_each_image_once(cache, folder):
    for indices in ([0, 1], [1, 2], [2, 0], [3]):
        put(cache, indices)
    reader = CacheReader.open(folder)
    cache.compact()
    assert (len(parts_in(folder)), cache.rows) == (1, 4)
    assert_holds(cache, range(4))
    assert_holds(reader, range(4))  # what is open stays readable
    reader.refresh()
    assert reader.rows == 4
    assert_holds(reader, range(4))


def test_compaction_makes_parts_of_limited_size(cache, folder, monkeypatch):
    for index in range(40):
        put(cache, [index])
    monkeypatch.setattr(writer, "PART_BYTES", 10 * 2 * 8 * 2)
    cache.compact()
    assert len(parts_in(folder)) == 4
    assert_holds(cache, range(40))
    cache.compact()
    assert len(parts_in(folder)) == 4


def interrupted_join(cache, monkeypatch):
    """A process that is killed when the joined part is there and the others are not yet removed."""

    def die(storage, name):
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalStorage, "remove", die)
    with pytest.raises(KeyboardInterrupt):
        cache.compact()
    monkeypatch.undo()


def test_parts_that_were_joined_but_not_removed_yet_do_not_count(cache, folder, monkeypatch):
    put(cache, [0, 1])
    put(cache, [2])
    interrupted_join(cache, monkeypatch)
    assert len(parts_in(folder)) == 3
    for opened in (CacheReader.open(folder), CacheWriter.create(folder, FakeExtractor())):
        assert opened.rows == 3
        assert_holds(opened, range(3))
    assert len(parts_in(folder)) == 1  # the next writer removes them
    put(opened, [3])
    opened.compact()
    assert_holds(CacheReader.open(folder), range(4))


def test_a_writer_goes_on_after_another_has_compacted_its_parts(cache, folder, monkeypatch):
    monkeypatch.setattr(writer, "SMALL_PARTS", 6)
    for index in range(4):
        put(cache, [index])
    CacheWriter.open(folder).compact()
    for index in range(4, 20):
        put(cache, [index])
    assert_holds(CacheReader.open(folder), range(20))
    assert CacheReader.open(folder).rows == 20


def test_merge_adds_what_is_new_and_counts_it(cache, tmp_path):
    other = CacheWriter.create(tmp_path / "other", FakeExtractor())
    put(cache, range(3))
    put(other, range(2, 6))
    put(other, [5, 6])
    assert cache.merge(other) == 4
    assert_holds(CacheReader.open(tmp_path / "cache"), range(7))
    assert cache.rows == 7
    assert cache.merge(other) == cache.merge(cache) == 0
    assert_holds(other, range(2, 7))


def test_merge_of_other_features_is_refused_with_both_shown(cache, tmp_path):
    other = CacheWriter.create(tmp_path / "other", FakeExtractor(parts={"weights": "b"}))
    put(other, [0])
    with pytest.raises(CacheMismatchError, match=r'weights: null there, "b" here') as error:
        cache.merge(other)
    for shown in (tmp_path / "cache", tmp_path / "other", cache.manifest.fingerprint, other.manifest.fingerprint):
        assert str(shown)[-80:][:12] in str(error.value)
    assert len(cache) == 0
