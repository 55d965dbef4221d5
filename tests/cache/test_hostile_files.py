"""Caches that come from strangers: nothing is allocated on a file's word, and each fault is one clear error."""

import hashlib
import json
import os
import threading

import numpy as np
import pyarrow
import pytest
import torch

from maagiqa_pyiqa.cache.manifest import DamagedCacheError, Manifest
from maagiqa_pyiqa.cache.part import encode_part, part_name
from maagiqa_pyiqa.cache.reader import CacheReader, read_manifest
from maagiqa_pyiqa.cache.storage import LocalStorage
from maagiqa_pyiqa.cache.verify import verify
from maagiqa_pyiqa.cache.writer import CacheWriter
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.semantics.cached import CachedExtractor
from tests.helpers import cache_contents
from tests.helpers.cache_contents import assert_holds, entry, features_of, parts_in, put
from tests.helpers.fake_extractor import FakeExtractor

cache, folder = cache_contents.cache, cache_contents.folder


def rewrite(folder, change=lambda batch: batch, options=None):
    """Write the only part anew with another content, under the name of that content."""
    (name,) = parts_in(folder)
    batch = pyarrow.ipc.open_file(folder / name).get_batch(0)
    batch = change(batch)
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_file(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    (folder / name).unlink()
    (folder / part_name(sink.getvalue())).write_bytes(sink.getvalue())


def with_metadata(**changes):
    def change(batch):
        return batch.replace_schema_metadata(
            {**batch.schema.metadata, **{key.encode(): value for key, value in changes.items()}}
        )

    return change


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_compressed_buffers_are_refused_before_they_are_allocated(cache, folder, compression):
    cache.append([entry(index) for index in range(4000)], torch.zeros(4000, 2, 8))
    rewrite(folder, options=pyarrow.ipc.IpcWriteOptions(compression=compression))
    before = pyarrow.total_allocated_bytes()
    with pytest.raises(DamagedCacheError, match="its buffers are compressed, which no part of a cache is"):
        CacheReader.open(folder)
    assert pyarrow.total_allocated_bytes() == before
    assert "compressed" in next(iter(verify(folder).damage.values()))


@pytest.mark.parametrize("claim", [b"1000000000000", b"-5", b"many", b"9" * 5000])
def test_a_size_that_a_part_claims_is_not_believed(cache, folder, claim):
    put(cache, range(3))
    rewrite(folder, with_metadata(batch_bytes=claim))
    (name,) = parts_in(folder)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-200])
    found = verify(folder, repair=True)
    assert list(found.damage) == [name]
    assert verify(folder).damage == {}


def sealed(**changes):
    """Text of a manifest with other values and the right checksum."""
    content = json.loads(Manifest.of_extractor(FakeExtractor()).to_json())
    del content["checksum"]
    content = {key: value for key, value in {**content, **changes}.items() if value is not KeyError}
    return json.dumps({**content, "checksum": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()})


MANIFESTS = {
    "deeply nested": "[" * 200_000,
    "nested parts": '{"parts": ' * 50_000 + "1" + "}" * 50_000,
    "a list": "[1]",
    "no prompts": sealed(prompts=KeyError),
    "no format": sealed(format=KeyError),
    "another key": sealed(more=1),
    "unknown dtype": sealed(dtype="float8"),
    "dtype of Python": sealed(dtype="object"),
    "prompts as text": sealed(prompts="ab"),
    "prompts as numbers": sealed(prompts=[1, 2]),
    "empty prompts": sealed(prompts=[]),
    "immense width": sealed(feature_dim=10**12),
    "immense row": sealed(feature_dim=2**17, prompts=["x"] * 1024),
    "width of none": sealed(feature_dim=0),
    "width as text": sealed(feature_dim="8"),
    "fingerprint as number": sealed(fingerprint=1),
    "parts as text": sealed(parts="a"),
    "format as text": sealed(format="1"),
    "format as truth": sealed(format=True),
    "format of none": sealed(format=0),
}


@pytest.mark.parametrize("text", MANIFESTS.values(), ids=MANIFESTS)
def test_a_hostile_manifest_is_one_clear_error_and_is_mended_from_the_parts(cache, folder, text):
    put(cache, range(3))
    (folder / "manifest.json").write_text(text)
    for read in (CacheReader.open, CachedExtractor, CachedExtractor.feature_dim_of):
        with pytest.raises(DamagedCacheError, match=r"manifest\.json' is no.* manifest.*verify --repair"):
            read(folder)
    assert list(verify(folder, repair=True).damage) == ["manifest.json"]
    assert_holds(CacheReader.open(folder), range(3))


@pytest.mark.parametrize("replaces", [b"[" * 100_000, b"{}", b"7", b"[[]]", b'[{"a": 1}]', b"[1]"])
def test_a_hostile_list_of_replaced_parts_is_one_clear_error(cache, folder, replaces):
    put(cache, range(3))
    rewrite(folder, with_metadata(replaces=replaces))
    with pytest.raises(DamagedCacheError, match="is damaged or cut short"):
        CacheReader.open(folder)


@pytest.mark.parametrize("name", ["manifest.json", "part-0.arrow", "failures-0.jsonl"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "loop", "dangling link"])
def test_a_pipe_a_folder_a_device_or_a_bad_link_in_place_of_a_file_is_one_clear_error(cache, folder, name, kind):
    put(cache, range(3))
    path = folder / name
    path.unlink(missing_ok=True)
    targets = {"device": "/dev/zero", "loop": name, "dangling link": "absent"}
    make = {"pipe": os.mkfifo, "folder": os.mkdir}.get(kind, lambda place: place.symlink_to(targets[kind]))
    make(path)
    with pytest.raises(DamagedCacheError, match=f"{name}' is (no file but a directory, a pipe|a link that leads nowh)"):
        CacheReader.open(folder).failures.read()
    assert list(verify(folder, repair=True).damage) == [name]
    assert_holds(CacheReader.open(folder), range(3))
    assert CacheReader.open(folder).failures.read() == []


def test_a_manifest_larger_than_any_is_not_read(cache, folder):
    with (folder / "manifest.json").open("r+b") as file:
        file.truncate(2**33)
    with pytest.raises(
        DamagedCacheError, match=r"manifest\.json' has 8,589,934,592 bytes; at most 67,108,864 are read"
    ):
        CacheReader.open(folder)


def write_part(folder, indices, replaces, name=None):
    indices = list(indices)
    features = torch.stack([features_of(index) for index in indices]).half()
    manifest = read_manifest(LocalStorage(str(folder)))
    content = encode_part(manifest, [entry(index) for index in indices], features, replaces)
    name = name or part_name(content)
    (folder / name).write_bytes(content)
    return name


def test_a_part_that_claims_to_replace_images_it_lacks_is_ignored_and_reported(cache, folder, capsys):
    put(cache, range(3))
    liar = write_part(folder, [0, 7], parts_in(folder))
    with pytest.warns(UserWarning, match=f"part '{liar}' of cache .* is ignored: it claims to replace parts of which"):
        assert_holds(CacheReader.open(folder), range(3))
    with pytest.warns(UserWarning, match="is ignored"):
        assert_holds(CacheWriter.create(folder, FakeExtractor()), range(3))  # which removes what is replaced
    assert list(verify(folder).damage) == [liar]
    assert main(["cache", "verify", str(folder), "--repair"]) == 0
    assert f"repaired: {liar}: it claims to replace" in capsys.readouterr().out
    assert_holds(CacheReader.open(folder), range(3))
    assert (folder / f"damaged-{liar}").is_file()


def test_parts_that_replace_one_another_or_themselves_replace_nothing(cache, folder):
    names = ["part-a.arrow", "part-b.arrow"]
    for name in names:
        write_part(folder, range(3), names, name)
    CacheWriter.create(folder, FakeExtractor())
    assert_holds(CacheReader.open(folder), range(3))
    assert parts_in(folder) == names


def test_names_that_overlap_are_refused(cache, folder):
    put(cache, range(50))

    (name,) = parts_in(folder)
    content = (folder / name).read_bytes()
    _, offsets, text = pyarrow.ipc.open_file(folder / name).get_batch(0).column("source").buffers()
    overlapping = np.zeros(51, np.int32)
    overlapping[1::2] = text.size  # every second row has all of the text as its name
    (folder / name).write_bytes(content.replace(offsets.to_pybytes()[: 4 * 51], overlapping.tobytes()))
    with pytest.raises(DamagedCacheError, match="names overlap"):
        CacheReader.open(folder)


# ------------------------------------------------------------------------------------------------------ wrong features


def damage_a_feature(folder, index):
    (path,) = [
        path for path in folder.glob("part-*") if features_of(index).half().numpy().tobytes() in path.read_bytes()
    ]
    content = bytearray(path.read_bytes())
    content[content.index(features_of(index).half().numpy().tobytes()) + 1] ^= 4
    path.write_bytes(content)
    return path.name


def test_a_damaged_row_is_never_returned_and_the_others_are(cache, folder):
    put(cache, range(6))
    name = damage_a_feature(folder, 4)
    damaged = CacheReader.open(folder)
    rows = {index: damaged.find_pixels(entry(index).pixel_key) for index in range(6)}
    for index in (0, 1, 2, 3, 5):
        assert torch.equal(damaged.get([rows[index]])[0], features_of(index))
    for _ in range(2):
        with pytest.raises(DamagedCacheError, match=rf"row 4 of part '{name}' .*image 'folder/4.png'.*verify --repair"):
            damaged.get([rows[4]])


@pytest.mark.parametrize("do", ["compact", "merge", "export"])
def test_nothing_blesses_damage(folder, tmp_path, do):
    for first in (0, 3):
        put(CacheWriter.create(folder, FakeExtractor()), range(first, first + 3))
    damage_a_feature(folder, 4)
    names = parts_in(folder)
    command = {
        "compact": ["compact", str(folder)],
        "merge": ["merge", str(tmp_path / "other"), str(folder)],
        "export": ["export-official", str(folder), "--files", str(tmp_path / "files")],
    }[do]
    CacheWriter.create(tmp_path / "other", FakeExtractor())
    assert main(["cache", *command]) != 0
    assert parts_in(folder) == names
    verify(folder, repair=True)
    assert main(["cache", *command]) == 0
    place = tmp_path / "other" if do == "merge" else folder
    assert_holds(CacheReader.open(place), [0, 1, 2, 3, 5])


def test_repair_beside_compaction_is_refused_with_who_holds_it(cache, folder, capsys):
    put(cache, range(3))
    with LocalStorage(str(folder)).held_for("compaction or repair"):
        for command in (["compact", str(folder)], ["verify", str(folder), "--repair"]):
            assert main(["cache", *command]) != 0
            assert f"another compaction or repair runs in '{folder}': process {os.getpid()}" in capsys.readouterr().err
        assert verify(folder).damage == {}
        assert_holds(CacheReader.open(folder), range(3))
    assert main(["cache", "compact", str(folder)]) == 0


def test_repair_and_compaction_at_once_leave_no_wrong_feature(folder):
    for first in range(0, 12, 3):
        put(CacheWriter.create(folder, FakeExtractor()), range(first, first + 3))
    damage_a_feature(folder, 4)
    errors = []

    def run(action):
        try:
            action()
        except (DamagedCacheError, FileExistsError, FileNotFoundError) as error:
            errors.append(error)

    actions = [lambda: verify(folder, repair=True), lambda: CacheWriter.open(folder).compact()] * 3
    threads = [threading.Thread(target=run, args=[action]) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verify(folder, repair=True)
    assert_holds(CacheReader.open(folder), [index for index in range(12) if index != 4])
