"""Reading a cache: what is there is found and read equal, by others, later and in workers."""

import hashlib
import json
import pickle

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from maagiqa_pyiqa.cache import storage
from maagiqa_pyiqa.cache.index import ABSENT
from maagiqa_pyiqa.cache.keys import ImageFile, pixel_key
from maagiqa_pyiqa.cache.manifest import DamagedCacheError
from maagiqa_pyiqa.cache.part import Entry
from maagiqa_pyiqa.cache.reader import CacheReader
from maagiqa_pyiqa.cache.storage import LocalStorage
from maagiqa_pyiqa.cache.writer import CacheWriter
from maagiqa_pyiqa.images.decoding import UnreadableImageError
from tests.helpers import cache_contents
from tests.helpers.cache_contents import SHAPE, assert_holds, entry, features_of, key, parts_in, put
from tests.helpers.fake_extractor import FakeExtractor

cache, folder = cache_contents.cache, cache_contents.folder


def test_what_is_appended_is_found_by_all_its_keys_and_reads_equal(cache, folder):
    put(cache, range(5))
    put(cache, [5])
    assert_holds(cache, range(6))
    assert_holds(CacheReader.open(folder), range(6))
    assert list(cache.entries()) == [entry(index) for index in range(6)]


def test_rows_are_read_in_any_order_and_as_often_as_wanted(cache):
    put(cache, range(3))
    put(cache, range(3, 7))
    order = [6, 0, 3, 3, 2]
    assert torch.equal(cache.get(order), torch.stack([features_of(index) for index in order]))
    assert cache.get([]).shape == (0, *SHAPE)


def test_what_is_read_is_a_copy(cache):
    put(cache, range(2))
    cache.get([0]).zero_()
    assert torch.equal(cache.get([0])[0], features_of(0))


def test_absent_images_are_absent(cache):
    assert (cache.find_pixels(key(0)), cache.find_file(key(0))) == (ABSENT, ABSENT)
    put(cache, [0])
    assert (cache.find_pixels(key(1)), cache.find_file(key(1))) == (ABSENT, ABSENT)


@pytest.mark.parametrize("row", [ABSENT, 2, -2])
def test_a_row_that_is_not_there_is_an_error(cache, row):
    put(cache, range(2))
    with pytest.raises(IndexError, match=rf"has 2 rows, no row {row}"):
        cache.get([0, row])


def test_an_image_without_a_file_is_found_by_its_pixels(cache, folder):
    cache.append([Entry(key(0), None, "tensor"), entry(1)], torch.stack([features_of(0), features_of(1)]))
    for opened in (cache, CacheReader.open(folder)):
        assert torch.equal(opened.get([opened.find_pixels(key(0))])[0], features_of(0))
        assert next(opened.entries()).file_key is None
        assert torch.equal(opened.get([opened.find_file(key("file", 1))])[0], features_of(1))


def test_an_image_file_is_found_by_its_bytes_undecoded_or_else_by_its_pixels(cache, tmp_path):
    cache.append([Entry(key(0), hashlib.sha256(b"no image").digest(), "")], features_of(0)[None])
    assert cache.find(ImageFile(b"no image")) == 0
    image = Image.effect_noise((8, 6), 50).convert("RGB")
    cache.append([Entry(pixel_key(image), None, "")], features_of(1)[None])
    image.save(tmp_path / "again.bmp")
    assert cache.find(ImageFile((tmp_path / "again.bmp").read_bytes())) == 1
    Image.new("RGB", (8, 6)).save(tmp_path / "other.png")
    assert cache.find(ImageFile((tmp_path / "other.png").read_bytes())) == ABSENT
    with pytest.raises(UnreadableImageError, match=r"empty file"):
        cache.find(ImageFile(b""))


def test_names_may_be_any_that_a_file_can_have(cache, folder):
    names = ["ä ö/日本.png", "new\nline.png", 'quote".png', "latin-\udce9.png", "", "x" * 3000]
    cache.append([Entry(key(i), None, name) for i, name in enumerate(names)], torch.zeros(len(names), *SHAPE))
    names[3] = r"latin-\udce9.png"
    assert [entry.source for entry in CacheReader.open(folder).entries()] == names


def test_statistics_tell_what_is_there(cache, folder):
    put(cache, range(3))
    put(cache, [0])
    facts = cache.statistics()
    assert (facts["images"], facts["rows"], facts["parts"], facts["failures"]) == (3, 4, 2, 0)
    assert facts["bytes"] == sum(path.stat().st_size for path in folder.glob("part-*"))
    assert facts["feature_bytes"] == 4 * 2 * 8 * 2
    assert facts["made by"]["extractor"] == "fake"
    json.dumps(facts)


def test_a_folder_that_is_no_cache_names_the_command_that_makes_one(tmp_path):
    (tmp_path / "file").touch()
    for location in (tmp_path, tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(FileNotFoundError, match=rf"no feature cache.*'maagiqa extract IMAGES --cache {location}'"):
            CacheReader.open(location)


def test_refresh_shows_what_others_have_written_and_joined(cache, folder):
    reader = CacheReader.open(folder)
    put(cache, range(3))
    assert len(reader) == 0
    reader.refresh()
    assert_holds(reader, range(3))
    put(cache, range(3, 5))
    cache.compact()
    put(cache, [5])
    reader.refresh()
    assert_holds(reader, range(6))


def test_a_listing_that_is_out_of_date_loses_nothing(cache, folder, monkeypatch):
    put(cache, [0])
    put(cache, [1])
    old = parts_in(folder)
    cache.compact()
    listings = [old]
    names = LocalStorage.names
    monkeypatch.setattr(LocalStorage, "names", lambda *arguments: listings.pop() if listings else names(*arguments))
    reader = CacheReader.open(folder)
    assert listings == []
    assert_holds(reader, range(2))


def test_a_part_that_is_joined_into_another_while_it_is_opened_loses_nothing(cache, folder, monkeypatch):
    reader = CacheReader.open(folder)
    put(cache, range(2))
    put(cache, range(2, 4))
    measure, joined = storage._size, []

    def measure_and_join(path):
        size = measure(path)
        if not joined:
            joined.append(path)
            CacheWriter.open(folder).compact()
        return size

    monkeypatch.setattr(storage, "_size", measure_and_join)
    reader.refresh()
    assert not joined[0].exists()
    assert_holds(reader, range(4))


def test_a_part_that_cannot_be_opened_is_an_error_and_no_endless_loop(cache, folder):
    (folder / "part-dangling.arrow").symlink_to(folder / "nothing")
    with pytest.raises(DamagedCacheError, match=r"part-dangling\.arrow' is a link that leads nowhere"):
        CacheReader.open(folder)


def test_a_pickled_cache_has_the_same_rows(cache, folder):
    for index in (3, 1, 2):
        put(cache, [index])
    pickled = pickle.dumps(cache)
    put(cache, [0])
    copied = pickle.loads(pickled)
    assert torch.equal(copied.get(range(3)), torch.stack([features_of(index) for index in (3, 1, 2)]))
    assert copied.rows == 3
    assert_holds(copied, range(1, 4))


def test_a_pickled_cache_that_was_compacted_meanwhile_says_so(cache):
    put(cache, [0])
    put(cache, [1])
    pickled = pickle.dumps(cache)
    cache.compact()
    with pytest.raises(DamagedCacheError, match="was compacted while it was in use; open it again"):
        pickle.loads(pickled)


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_of_a_data_loader_read_what_was_written(folder, context):
    cache = CacheWriter.create(folder, FakeExtractor())
    for start_at in range(0, 20, 3):
        put(cache, range(start_at, min(start_at + 3, 20)))
    options = {"num_workers": 2, "multiprocessing_context": context}
    batches = list(DataLoader(range(20), batch_size=7, collate_fn=cache.get, **options))
    assert [len(batch) for batch in batches] == [7, 7, 6]
    assert torch.equal(torch.cat(batches), torch.stack([features_of(index) for index in range(20)]))
