"""Nothing that was written is lost: damage is named and mended; kills, full disks and other writers do no harm."""

import contextlib
import functools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maagiqa_pyiqa.cache.failures import Failure
from maagiqa_pyiqa.cache.index import ABSENT
from maagiqa_pyiqa.cache.keys import pixel_key
from maagiqa_pyiqa.cache.manifest import CacheMismatchError, DamagedCacheError
from maagiqa_pyiqa.cache.reader import CacheReader
from maagiqa_pyiqa.cache.verify import verify
from maagiqa_pyiqa.cache.writer import CacheWriter
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.extraction.run import Extraction
from maagiqa_pyiqa.images.sources import find_sources
from tests.helpers.fake_extractor import (
    FakeExtractor,
    compact_until,
    create_caches,
    limit_file_size,
    read_until,
    run_maagiqa,
    spec,
    start,
    wait_until,
    warm,
    write_pictures,
)

COUNT = 12  # in three parts


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("images"), COUNT)


@pytest.fixture(scope="module")
def expected(images):
    return expected_features(images)


def expected_features(images):
    keys = [pixel_key(Image.open(path)) for path in images]
    return dict(zip(keys, FakeExtractor().extract(images).half().float(), strict=True))


@pytest.fixture(scope="module")
def original(images, tmp_path_factory):
    """A cache of all images, to be copied."""
    folder = tmp_path_factory.mktemp("original") / "cache"
    extract(images, folder)
    return folder


@pytest.fixture
def folder(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "cache"))


def extract(images, folder):
    extractor = FakeExtractor()
    summary = Extraction(extractor, CacheWriter.create(folder, extractor)).run(find_sources(images))
    assert not summary.failures
    return summary


def parts_in(folder):
    return sorted(folder.glob("part-*"))


def held(folder, expected):
    """Keys of the images in a cache, after a look whether all that it holds is right."""
    cache = CacheReader.open(folder)
    keys = [entry.pixel_key for entry in cache.entries()]
    for key, features in zip(keys, cache.get(range(cache.rows)), strict=True):
        assert torch.equal(features, expected[key])
        assert torch.equal(cache.get([cache.find_pixels(key)])[0], features)
    return keys


def assert_whole(folder, expected):
    """Every image is there, none twice, and no byte is wrong."""
    keys = held(folder, expected)
    assert set(keys) == set(expected)
    assert len(keys) == len(expected)
    assert verify(folder).damage == {}


# --------------------------------------------------------------------------------------------------------------- damage


def test_a_whole_cache_is_found_whole(folder, expected):
    assert verify(folder).rows == COUNT
    assert_whole(folder, expected)


def place_of(part, what, row=2):
    """Where in a part's file something stands."""
    content = part.read_bytes()
    table = pyarrow.ipc.open_file(content).read_all()
    if what == "end":
        return len(content) - 1
    if what == "footer":
        return len(content) - 100
    if what == "start":
        return 0
    if what == "manifest":
        return content.index(b"fingerprint") + 20
    value = table[what][row].as_py()
    if what == "features":
        return content.index(np.array(value, np.float16).tobytes()) + 5
    return content.index(value if isinstance(value, bytes) else value.encode()) + 3


def flip(path, place, bits=0x10):
    content = bytearray(path.read_bytes())
    content[place] ^= bits
    path.write_bytes(content)


ROW = ("features", "pixel_key", "file_key", "source")


@pytest.mark.parametrize("what", [*ROW, "footer", "end", "start", "manifest"])
def test_a_flipped_byte_is_named_and_costs_its_row_alone(folder, images, expected, what, capsys):
    part = parts_in(folder)[1]
    flip(part, place_of(part, what))
    assert list(verify(folder).damage) == [part.name]
    assert main(["cache", "verify", str(folder)]) == 1
    assert f"damaged: {part.name}" in capsys.readouterr().out
    assert main(["cache", "verify", str(folder), "--repair"]) == 0
    assert f"repaired: {part.name}" in capsys.readouterr().out
    lost = set(expected) - set(held(folder, expected))
    assert len(lost) == (what in ROW)
    assert verify(folder).damage == {}
    assert (folder / f"damaged-{part.name}").is_file()
    assert extract(images, folder).extracted == len(lost)
    assert_whole(folder, expected)


@settings(max_examples=150)
@given(place=st.integers(0, 10**6), bits=st.integers(1, 255), number=st.integers(0, 2))
def test_whatever_byte_of_a_part_is_flipped_it_is_named_and_mended(original, images, expected, place, bits, number):
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(shutil.copytree(original, Path(scratch) / "cache"))
        part = parts_in(folder)[number]
        flip(part, place % part.stat().st_size, bits)
        found = verify(folder, repair=True)
        assert list(found.damage) == [part.name]
        keys = held(folder, expected)
        assert len(keys) == len(set(keys)) == found.rows
        assert len(keys) >= COUNT - 4  # nothing but rows of this part is lost
        assert verify(folder).damage == {}
        extract(images, folder)
        assert_whole(folder, expected)


@settings(max_examples=50)
@given(place=st.integers(0, 10**6), bits=st.integers(1, 255))
def test_reading_a_damaged_part_never_ends_the_process(original, place, bits):
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(shutil.copytree(original, Path(scratch) / "cache"))
        part = parts_in(folder)[0]
        flip(part, place % part.stat().st_size, bits)
        with contextlib.suppress(DamagedCacheError):
            cache = CacheReader.open(folder)
            assert cache.get(range(cache.rows)).shape[1:] == (2, 8)
            assert len(list(cache.entries())) == cache.rows
            assert cache.find_pixels(b"x" * 32) == cache.find_file(b"x" * 32) == ABSENT


@settings(max_examples=40)
@given(length=st.integers(0, 10**6))
def test_a_part_cut_short_is_named_and_gives_up_the_rows_before_the_cut(original, images, expected, length):
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(shutil.copytree(original, Path(scratch) / "cache"))
        part = parts_in(folder)[1]
        ends = [place_of(part, "features", row) - 5 + 32 for row in range(4)]
        content = part.read_bytes()
        part.write_bytes(content[: length % len(content)])
        with pytest.raises(DamagedCacheError, match=rf"part '{part.name}' .* damaged or cut short .*verify --repair"):
            CacheReader.open(folder)
        assert list(verify(folder, repair=True).damage) == [part.name]
        keys = held(folder, expected)
        assert len(keys) >= COUNT - 4 + sum(end <= length % len(content) for end in ends)
        extract(images, folder)
        assert_whole(folder, expected)


def test_several_damaged_parts_are_all_named(folder, images, expected):
    first, second, third = parts_in(folder)
    first.write_bytes(b"")
    second.write_bytes(b"not at all what it was")
    flip(third, place_of(third, "features"))
    assert set(verify(folder, repair=True).damage) == {first.name, second.name, third.name}
    assert len(held(folder, expected)) == 3
    extract(images, folder)
    assert_whole(folder, expected)


def test_a_part_under_another_name_is_named_and_mended(folder, expected):
    part = parts_in(folder)[0]
    part.rename(folder / "part-renamed.arrow")
    assert list(verify(folder, repair=True).damage) == ["part-renamed.arrow"]
    assert_whole(folder, expected)


def test_a_part_of_another_cache_is_named_and_set_aside(folder, expected, tmp_path):
    other = CacheWriter.create(tmp_path / "other", FakeExtractor(parts={"weights": "other"}))
    other.append([next(CacheReader.open(folder).entries())], torch.zeros(1, 2, 8))
    stranger = Path(shutil.copy(parts_in(tmp_path / "other")[0], folder))
    with pytest.raises(CacheMismatchError, match=rf"part '{stranger.name}' .* other features than its manifest says"):
        CacheReader.open(folder)
    assert list(verify(folder, repair=True).damage) == [stranger.name]
    assert_whole(folder, expected)


@settings(max_examples=60)
@given(place=st.integers(0, 10**6), bits=st.integers(1, 255))
def test_whatever_byte_of_the_manifest_is_flipped_it_is_named_or_means_the_same(original, expected, place, bits):
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(shutil.copytree(original, Path(scratch) / "cache"))
        path = folder / "manifest.json"
        flip(path, place % path.stat().st_size, bits)
        damage = verify(folder).damage
        if damage:
            assert list(damage) == ["manifest.json"]
            with pytest.raises(DamagedCacheError, match=r"manifest\.json.*maagiqa cache verify --repair"):
                CacheReader.open(folder)
        else:
            assert CacheReader.open(folder).manifest == CacheReader.open(original).manifest
        verify(folder, repair=True)
        assert path.read_bytes() == (original / "manifest.json").read_bytes() or not damage
        assert_whole(folder, expected)


def anothers_manifest(folder):
    CacheWriter.create(folder.parent / "other", FakeExtractor(parts={"weights": "other"}))
    shutil.copy(folder.parent / "other" / "manifest.json", folder)


def edited_manifest(folder):
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"dim": 8', '"dim": 9'))


MANIFESTS = {
    "absent": (lambda folder: (folder / "manifest.json").unlink(), FileNotFoundError, ""),
    "cut short": (lambda folder: os.truncate(folder / "manifest.json", 100), DamagedCacheError, "not a whole manifest"),
    "empty": (lambda folder: os.truncate(folder / "manifest.json", 0), DamagedCacheError, "not a whole manifest"),
    "no mapping": (lambda folder: (folder / "manifest.json").write_text("[1]"), DamagedCacheError, "not a whole"),
    "edited": (edited_manifest, DamagedCacheError, "was changed after it was written"),
    "another cache's": (anothers_manifest, CacheMismatchError, "no part agrees with it"),
}


@pytest.mark.parametrize(("change", "error", "said"), MANIFESTS.values(), ids=MANIFESTS)
def test_a_changed_manifest_is_named_and_written_anew_from_the_parts(folder, expected, change, error, said):
    change(folder)
    with pytest.raises(error, match=r"manifest"):
        CacheReader.open(folder)
    found = verify(folder)
    assert list(found.damage) == ["manifest.json"]
    assert said in found.damage["manifest.json"]
    assert found.rows == COUNT
    verify(folder, repair=True)
    assert_whole(folder, expected)


def test_where_nothing_can_be_saved_verify_says_so(folder):
    (folder / "manifest.json").unlink()
    for part in parts_in(folder):
        part.write_bytes(b"")
    with pytest.raises(DamagedCacheError, match="nothing can be saved"):
        verify(folder, repair=True)


def test_verify_of_no_cache_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no feature cache"):
        verify(tmp_path)


def test_damaged_notes_of_failures_are_named_and_set_aside(folder, expected):
    CacheReader.open(folder).failures.record([Failure("a.png", "00", "no image")])
    notes = next(folder.glob("failures-*"))
    os.truncate(notes, 20)
    with pytest.raises(DamagedCacheError, match=rf"'{notes.name}' .* is damaged .*verify --repair"):
        CacheReader.open(folder).failures.read()
    assert list(verify(folder, repair=True).damage) == [notes.name]
    assert CacheReader.open(folder).failures.read() == []
    assert_whole(folder, expected)


def test_leftovers_of_unfinished_writes_do_no_harm(folder, images, expected):
    for name in (f".{parts_in(folder)[0].name}.0123", ".manifest.json.4567", ".failures-1.jsonl.89"):
        (folder / name).write_bytes(b"half of")
    assert_whole(folder, expected)
    assert extract(images, folder).cached == COUNT


# ---------------------------------------------------------------------------------------------------------------- kills


def test_thirty_kills_at_random_moments_lose_nothing(tmp_path):
    images = write_pictures(tmp_path / "images", 2000)  # more than thirty runs get through before they are killed
    expected = expected_features(images)
    folder = tmp_path / "cache"
    command = ["extract", str(tmp_path / "images"), "--cache", str(folder), "--extractor"]
    moments = random.Random(0)
    committed = set()
    sizes = []
    longest = 0.4  # seconds until a kill; more while the machine is too busy to get anywhere
    mark = tmp_path / "mark"
    for number in range(30):
        mark.unlink(missing_ok=True)
        slow = [*command, spec(delay=0.01, mark=str(mark)), "--batch-size", "2"]
        process = start(run_maagiqa, slow, tmp_path / "log", small_parts=4)
        at_work = number % 3 > 0  # else it may also be on its way to the first batch
        if at_work:
            wait_until(mark.exists)
        time.sleep(moments.uniform(0, longest))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL, (tmp_path / "log").read_text()
        if (folder / "manifest.json").exists():
            keys = held(folder, expected)
            assert len(keys) == len(set(keys))
            assert committed <= set(keys)
            assert verify(folder).damage == {}
            committed = set(keys)
        sizes.append(len(committed))
        if at_work:
            longest = 2 * longest if sizes[-2:] == [len(committed)] * 2 else max(0.4, longest / 2)
    assert len(set(sizes)) > 10  # many runs came further than the one before
    process = start(run_maagiqa, [*command, spec(), "--batch-size", "50"], tmp_path / "log")
    process.join(60)
    assert process.exitcode == 0
    assert_whole(folder, expected)


# ----------------------------------------------------------------------------------------------------------- full disks


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KB, and a function that makes it larger."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield place, lambda: subprocess.run(["mount", "-o", "remount,size=8m", place], check=True)
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_is_said_clearly_and_what_was_there_is_there(tmp_path, small_disk):
    place, enlarge = small_disk
    images = write_pictures(tmp_path / "images", 100)
    expected = expected_features(images)
    command = ["extract", str(tmp_path / "images"), "--cache", str(place / "cache"), "--extractor", spec()]
    assert_stopped_by_the_disk(command, tmp_path / "log", "No space left on device")
    keys = held(place / "cache", expected)
    assert 0 < len(keys) < 100
    assert verify(place / "cache").damage == {}
    assert_stopped_by_the_disk(command, tmp_path / "log2", "No space left on device")
    assert set(keys) <= set(held(place / "cache", expected))
    enlarge()
    process = start(run_maagiqa, command, tmp_path / "log3")
    process.join(60)
    assert process.exitcode == 0
    assert_whole(place / "cache", expected)


def assert_stopped_by_the_disk(command, log, reason, **options):
    process = start(run_maagiqa, command, log, **options)
    process.join(60)
    assert process.exitcode not in (0, None)
    last = log.read_text().strip().splitlines()[-1]
    assert re.search(rf"features of \d+ images could not be written to cache '.*': {reason}\. What was written", last)


def test_a_part_too_large_to_write_leaves_what_was_there(tmp_path):
    images = write_pictures(tmp_path / "images", 40)
    expected = expected_features(images)
    command = ["extract", str(tmp_path / "images"), "--cache", str(tmp_path / "cache"), "--extractor", spec()]
    limit = functools.partial(limit_file_size, 5000)  # enough for a batch, not for parts joined
    assert_stopped_by_the_disk(command, tmp_path / "log", "File too large", setup=limit, small_parts=8)
    assert len(held(tmp_path / "cache", expected)) == 32
    assert not list((tmp_path / "cache").glob(".*"))
    process = start(run_maagiqa, command, tmp_path / "log2", small_parts=8)
    process.join(60)
    assert process.exitcode == 0
    assert_whole(tmp_path / "cache", expected)


# ---------------------------------------------------------------------------------------------------- several processes


def test_four_processes_with_overlapping_images_fill_one_cache(tmp_path):
    images = write_pictures(tmp_path / "images", 80)
    expected = expected_features(images)
    folder = tmp_path / "cache"
    shares = [images[:40], images[20:60], images[40:], images[::-2]]
    processes = []
    for index, share in enumerate(shares):
        command = ["extract", *map(str, share), "--cache", str(folder), "--extractor", spec(delay=0.01)]
        options = {"small_parts": 3, "refresh_seconds": 0.02}
        processes.append(start(run_maagiqa, command, tmp_path / f"log{index}", **options))
    for index, process in enumerate(processes):
        process.join(60)
        assert process.exitcode == 0, (tmp_path / f"log{index}").read_text()
    assert set(held(folder, expected)) == set(expected)
    assert len(CacheReader.open(folder)) == 80
    assert verify(folder).damage == {}
    CacheWriter.open(folder).compact()
    assert_whole(folder, expected)


def test_of_two_extractors_creating_a_cache_at_the_same_moment_one_is_refused(tmp_path):
    times = 15
    barrier, outcomes = warm().Barrier(2), warm().Queue()
    processes = [start(create_caches, tmp_path / "cache", part, barrier, outcomes, times) for part in ("a", "b")]
    found = [outcomes.get(timeout=60) for _ in range(2 * times)]
    for process in processes:
        process.join()
    for number in range(times):
        (first, second) = sorted((o for o in found if o[0] == number), key=lambda o: o[2] is None)
        assert (
            first[1]
            == first[2]
            == json.loads((tmp_path / f"cache{number}" / "manifest.json").read_text())["parts"]["model"]
        )
        assert second[2] is None
        assert re.search(r'model: "\w" there, "\w" here', second[3])


def test_compaction_while_others_read_and_write(tmp_path):
    images = write_pictures(tmp_path / "images", 120)
    expected = expected_features(images)
    folder = tmp_path / "cache"
    CacheWriter.create(folder, FakeExtractor())
    done, wrong = warm().Event(), warm().Queue()
    others = [start(compact_until, folder, done), start(read_until, folder, done, expected, wrong)]
    writers = []
    for index, share in enumerate((images[:70], images[50:])):
        command = ["extract", *map(str, share), "--cache", str(folder), "--extractor", spec(delay=0.02)]
        options = {"small_parts": 4, "refresh_seconds": 0.1}
        writers.append(start(run_maagiqa, command, tmp_path / f"log{index}", **options))
    for index, process in enumerate(writers):
        process.join(60)
        assert process.exitcode == 0, (tmp_path / f"log{index}").read_text()
    done.set()
    for process in others:
        process.join(60)
        assert process.exitcode == 0
    assert wrong.empty()
    CacheWriter.open(folder).compact()
    assert_whole(folder, expected)
