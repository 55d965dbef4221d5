"""The feature cache: what is written is found and read equal, by content and by name; nothing stale is ever given."""

import hashlib
import json
import pickle
import shutil
import struct
import threading

import numpy as np
import pyarrow
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms.functional import to_tensor

from maagiqa_pyiqa.cache import writer
from maagiqa_pyiqa.cache.index import ABSENT, KeyIndex
from maagiqa_pyiqa.cache.keys import pixel_key
from maagiqa_pyiqa.cache.manifest import CacheMismatchError, DamagedCacheError
from maagiqa_pyiqa.cache.part import Entry
from maagiqa_pyiqa.cache.reader import CacheReader
from maagiqa_pyiqa.cache.storage import LocalStorage
from maagiqa_pyiqa.cache.verify import verify
from maagiqa_pyiqa.cache.writer import CacheWriter
from maagiqa_pyiqa.semantics.mplug_owl2.extractor import MplugOwl2Extractor
from maagiqa_pyiqa.semantics.prompts import QUESTIONS
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


# ----------------------------------------------------------------------------------------------------------------- keys


def test_pixel_key_is_the_hash_of_size_and_decoded_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    expected = hashlib.sha256(struct.pack("<II", 5, 7) + pixels.tobytes()).digest()
    assert pixel_key(Image.fromarray(pixels)) == expected
    assert pixel_key(torch.from_numpy(pixels).permute(2, 0, 1)) == expected
    assert pixel_key(to_tensor(Image.fromarray(pixels))) == expected


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1), st.data())
def test_pixel_key_of_a_tensor_is_that_of_the_image_and_changes_with_any_level(height, width, seed, data):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    for near in (to_tensor(image), to_tensor(image).half(), to_tensor(image).double() - 0.4 / 255):
        assert pixel_key(near) == pixel_key(image)
    place = data.draw(st.integers(0, pixels.size - 1))
    pixels.reshape(-1)[place] ^= 1
    assert pixel_key(Image.fromarray(pixels)) != pixel_key(image)


def test_the_same_bytes_of_another_size_are_another_image():
    assert pixel_key(Image.new("RGB", (2, 6))) != pixel_key(Image.new("RGB", (6, 2)))
    assert pixel_key(Image.new("RGB", (2, 6))) != pixel_key(Image.new("RGB", (3, 4)))


few_beginnings = st.sampled_from([b"\0" * 8, b"\xff" * 8, b"12345678"])
keys = st.tuples(few_beginnings | st.binary(min_size=8, max_size=8), st.sampled_from([b"a" * 24, b"b" * 24]))


@given(st.lists(st.lists(keys.map(b"".join), max_size=8), max_size=5), st.integers(0, 5), st.lists(keys.map(b"".join)))
def test_index_finds_what_a_dictionary_finds(arrays, sorted_ones, others):
    flat = [item for array in arrays for item in array]
    expected = {item: row for row, item in reversed(list(enumerate(flat)))}
    index = KeyIndex([np.frombuffer(b"".join(array), np.uint8).reshape(-1, 32) for array in arrays[:sorted_ones]])
    for array in arrays[sorted_ones:]:
        index.add(np.frombuffer(b"".join(array), np.uint8).reshape(-1, 32))
    for item in flat + others:
        assert index.find(item) == expected.get(item, ABSENT)
    assert index.count_distinct() == len(expected)


# ----------------------------------------------------------------------------------------------------- writing, reading


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


def test_names_may_be_any_that_a_file_can_have(cache, folder):
    names = ["ä ö/日本.png", "new\nline.png", 'quote".png', "latin-\udce9.png", "", "x" * 3000]
    cache.append([Entry(key(i), None, name) for i, name in enumerate(names)], torch.zeros(len(names), *SHAPE))
    names[3] = r"latin-\udce9.png"
    assert [entry.source for entry in CacheReader.open(folder).entries()] == names


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


def test_statistics_tell_what_is_there(cache, folder):
    put(cache, range(3))
    put(cache, [0])
    facts = cache.statistics()
    assert (facts["images"], facts["rows"], facts["parts"], facts["failures"]) == (3, 4, 2, 0)
    assert facts["bytes"] == sum(path.stat().st_size for path in folder.glob("part-*"))
    assert facts["feature_bytes"] == 4 * 2 * 8 * 2
    assert facts["made by"]["extractor"] == "fake"
    json.dumps(facts)


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


# ------------------------------------------------------------------------------------------------------ what it refuses


def test_a_folder_that_is_no_cache_names_the_command_that_makes_one(tmp_path):
    (tmp_path / "file").touch()
    for location in (tmp_path, tmp_path / "absent", tmp_path / "file"):
        with pytest.raises(FileNotFoundError, match=rf"no feature cache.*'maagiqa extract IMAGES --cache {location}'"):
            CacheReader.open(location)


def test_an_unknown_dtype_is_refused(folder):
    with pytest.raises(ValueError, match=r"keeps float16 or float32, got dtype 'bfloat16'"):
        CacheWriter.create(folder, FakeExtractor(), "bfloat16")
    assert not folder.exists()


def test_a_newer_format_is_refused_and_not_called_damage(cache, folder):
    content = json.loads((folder / "manifest.json").read_text())
    del content["checksum"]
    content["format"] = 7
    checksum = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({**content, "checksum": checksum}))
    for read in (CacheReader.open, verify, lambda place: CacheWriter.create(place, FakeExtractor())):
        with pytest.raises(ValueError, match=r"manifest\.json'? has format 7; this version reads up to 1") as error:
            read(folder)
        assert not isinstance(error.value, DamagedCacheError)


OTHERS = {
    "model": ({"parts": {"weights": "b"}}, '  weights: "a" there, "b" here'),
    "width": ({"dim": 9}, "  dim: 8 there, 9 here"),
    "prompt": ({"prompts": ("semantic_content", "beauty")}, '"beauty"'),
    "order of prompts": ({"prompts": ("coherence", "semantic_content")}, "names of prompts: "),
    "one prompt": ({"prompts": ("coherence",)}, "names of prompts: "),
}


@pytest.mark.parametrize(("other", "shown"), OTHERS.values(), ids=OTHERS)
def test_another_extractor_is_refused_with_what_differs(folder, other, shown):
    mine = FakeExtractor(parts={"weights": "a"})
    put(CacheWriter.create(folder, mine), range(2))
    other = FakeExtractor(**{"parts": {"weights": "a"}, **other})
    with pytest.raises(CacheMismatchError) as error:
        CacheWriter.create(folder, other)
    assert str(folder) in str(error.value)
    assert mine.fingerprint[:12] in str(error.value)
    assert other.fingerprint[:12] in str(error.value)
    assert shown in str(error.value)
    assert_holds(CacheWriter.create(folder, mine), range(2))


def test_prompts_in_another_order_are_other_features_whatever_the_fingerprint_says(folder):
    CacheWriter.create(folder, FakeExtractor())
    other = FakeExtractor(prompts=("coherence", "semantic_content"))
    other.fingerprint = FakeExtractor().fingerprint
    with pytest.raises(CacheMismatchError, match=r"names of prompts: "):
        CacheWriter.create(folder, other)


def test_the_place_where_long_values_differ_is_shown(folder):
    tokens = list(range(100))
    CacheWriter.create(folder, FakeExtractor(parts={"tokens": tokens}))
    other = FakeExtractor(parts={"tokens": [*tokens[:60], "other", *tokens[61:]]})
    with pytest.raises(CacheMismatchError, match=r'tokens: \.\.\..* 59, 60, .* there, \.\.\..* 59, "other", .* here'):
        CacheWriter.create(folder, other)


@pytest.fixture
def tiny(shared, tmp_path):
    """Makes the recorded tiny mPLUG-Owl2, from a copy of its files that may be changed first."""

    def make(change=lambda folder: None, **options):
        folder = tmp_path / f"model-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(shared / "fixtures" / "tiny-mplug-owl2", folder)
        change(folder)
        return MplugOwl2Extractor(folder, **options)

    return make


def change_a_weight(folder):
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    weights["model.layers.0.mlp.gate_proj.weight"][0, 0] += 0.5
    torch.save(weights, folder / "pytorch_model.bin")


def change_the_preprocessing(folder):
    path = folder / "preprocessor_config.json"
    path.write_text(path.read_text().replace("0.26862954", "0.25"))


CHANGES = {
    "order of prompts": ({"questions": dict(reversed(QUESTIONS.items()))}, "names of prompts: "),
    "prompt": ({"questions": {**QUESTIONS, "coherence": "Is it coherent?"}}, "prompts"),
    "dtype": ({"dtype": "bf16"}, 'dtype: "float32" there, "bfloat16" here'),
    "weights": ({"change": change_a_weight}, "weights"),
    "preprocessing": ({"change": change_the_preprocessing}, "preprocessing: .*0.268.* there, .*0.25"),
}


@pytest.mark.parametrize(("change", "shown"), CHANGES.values(), ids=CHANGES)
def test_a_cache_of_the_real_model_refuses_another_prompt_dtype_weights_or_preprocessing(tiny, folder, change, shown):
    CacheWriter.create(folder, tiny())
    CacheWriter.create(folder, tiny())  # its like is welcome
    with pytest.raises(CacheMismatchError, match=rf"holds other features than the extractor's: .*\n  {shown}"):
        CacheWriter.create(folder, tiny(**change))


# ----------------------------------------------------------------------------------- joining, compacting, other writers


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


def test_a_part_that_cannot_be_opened_is_an_error_and_no_endless_loop(cache, folder):
    (folder / "part-dangling.arrow").symlink_to(folder / "nothing")
    with pytest.raises(FileNotFoundError):
        CacheReader.open(folder)


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


# ----------------------------------------------------------------------------------------------- copies in other places


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
