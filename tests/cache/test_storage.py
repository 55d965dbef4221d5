"""A cache lives in a folder or behind any URL that fsspec reads: the same there, S3 against a server of its own."""

import pickle
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import fsspec
import pytest
import torch

from maagiqa_pyiqa.cache.failures import Failure
from maagiqa_pyiqa.cache.keys import file_key
from maagiqa_pyiqa.cache.manifest import CacheMismatchError, DamagedCacheError
from maagiqa_pyiqa.cache.reader import CacheReader
from maagiqa_pyiqa.cache.storage import open_storage
from maagiqa_pyiqa.cache.verify import verify
from maagiqa_pyiqa.cache.writer import CacheWriter
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.extraction.run import Extraction
from maagiqa_pyiqa.images.sources import find_sources
from maagiqa_pyiqa.semantics import extractor
from maagiqa_pyiqa.semantics.extractor import create_extractor
from tests.helpers.fake_extractor import BACKENDS, FakeExtractor, spec, write_pictures


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("images"), 10)


@pytest.fixture(scope="module")
def expected(images):
    return FakeExtractor().extract(images).half().float()


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    """A bucket on a server in a process of its own."""
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    pytest.importorskip("moto.server", reason="moto[server] is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("moto") / "log").open("wb")
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stdout=log, stderr=log)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        environment.setenv("AWS_ACCESS_KEY_ID", "testing")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        wait_for(port, server)
        fsspec.filesystem("s3").mkdir("bucket")
        yield "s3://bucket"
    server.terminate()
    server.wait()
    log.close()
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def wait_for(port, server):
    for _ in range(600):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert server.poll() is None, "moto's server ended"
        time.sleep(0.1)
    raise TimeoutError("moto's server did not start")


@pytest.fixture(params=["local", "file", "memory", "s3"])
def location(request, tmp_path, monkeypatch):
    """Where a cache may be made."""
    monkeypatch.setenv("MAAGIQA_CACHE_COPIES", str(tmp_path / "copies"))
    if request.param == "s3":
        return f"{request.getfixturevalue('s3')}/{tmp_path.name}/cache/"
    prefix = {"local": "", "file": "file://", "memory": "memory://"}[request.param]
    return f"{prefix}{tmp_path}/cache"


def fill(location, images, **parts):
    extractor = FakeExtractor(parts=parts)
    cache = CacheWriter.create(location, extractor)
    Extraction(extractor, cache).run(find_sources(images))
    return cache


def read(cache, images):
    return cache.get([cache.find_file(file_key(path.read_bytes())) for path in images])


def test_what_is_extracted_is_read_equal_by_others(location, images, expected):
    reader = fill(location, images[:4])
    fill(location, images)
    for cache in (CacheReader.open(location), pickle.loads(pickle.dumps(CacheReader.open(location)))):
        assert torch.equal(read(cache, images), expected)
        assert cache.rows == 10
    assert reader.rows == 4
    reader.refresh()
    assert torch.equal(read(reader, images), expected)


def test_a_place_without_a_cache_is_said_with_the_command(location):
    with pytest.raises(FileNotFoundError, match=r"no feature cache: .*maagiqa extract IMAGES --cache"):
        CacheReader.open(location)
    with pytest.raises(FileNotFoundError, match="is no feature cache"):
        verify(location)


def test_other_features_are_refused(location, images):
    fill(location, images[:1], weights="a")
    with pytest.raises(CacheMismatchError, match='weights: "a" there, "b" here'):
        CacheWriter.create(location, FakeExtractor(parts={"weights": "b"}))


def test_of_many_who_create_a_cache_at_once_one_does(location):
    storages = [open_storage(location) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda number: storages[number].create("manifest.json", b"%d" % number), range(8)))
    assert written.count(True) == 1
    assert storages[0].read("manifest.json") == b"%d" % written.index(True)


def test_a_cache_is_not_taken_over_where_the_storage_would_let_it(tmp_path, images, monkeypatch):
    memory = fsspec.get_filesystem_class("memory")
    pipe = memory.pipe_file
    monkeypatch.setattr(memory, "pipe_file", lambda self, path, value, mode="overwrite": pipe(self, path, value))
    fill(f"memory://{tmp_path}", images[:1], weights="a")
    with pytest.raises(CacheMismatchError, match='weights: "a" there, "b" here'):
        CacheWriter.create(f"memory://{tmp_path}", FakeExtractor(parts={"weights": "b"}))


def test_compaction_leaves_one_part_and_readers_can_go_on(location, images, expected):
    cache = fill(location, images)
    reader = CacheReader.open(location)
    assert reader.statistics()["parts"] == 3
    cache.compact()
    assert len(open_storage(location).names("part-*")) == 1
    assert CacheReader.open(location).statistics()["parts"] == 1
    assert torch.equal(read(reader, images), expected)
    reader.refresh()
    assert torch.equal(read(reader, images), expected)


def test_a_damaged_file_is_named_and_mended(location, images, expected):
    fill(location, images)
    CacheReader.open(location)  # makes copies of what is remote
    storage = open_storage(location)
    name = storage.names("part-*")[0]
    content = storage.read(name)
    storage.write(name, content[:-40])
    with pytest.raises(DamagedCacheError, match=name):
        CacheReader.open(location)
    assert list(verify(location).damage) == [name]
    assert list(verify(location, repair=True).damage) == [name]
    assert verify(location).damage == {}
    assert storage.names("damaged-*") == [f"damaged-{name}"]
    assert torch.equal(read(CacheReader.open(location), images), expected)


def test_damage_behind_a_copy_is_found(s3, tmp_path, monkeypatch, images):
    monkeypatch.setenv("MAAGIQA_CACHE_COPIES", str(tmp_path / "copies"))
    fill(f"{s3}/behind", images)
    CacheReader.open(f"{s3}/behind")
    name = fsspec.filesystem("s3").ls("bucket/behind", detail=False)[1]
    fsspec.filesystem("s3").pipe_file(name, b"something else")
    assert list(verify(f"{s3}/behind").damage) == [name.rsplit("/", 1)[1]]


def test_caches_are_merged_across_places(location, images, expected, tmp_path):
    here = fill(tmp_path / "here", images[:6])
    there = fill(location, images[4:])
    assert there.merge(here) == 4
    assert torch.equal(read(CacheReader.open(location), images), expected)
    assert here.merge(there) == 4
    assert torch.equal(read(CacheReader.open(tmp_path / "here"), images), expected)


def test_failures_are_noted_and_forgotten(location):
    cache = CacheWriter.create(location, FakeExtractor())
    cache.failures.record([Failure("a.png", "00", "empty"), Failure("b.png", "01", "no image")])
    cache.failures.record([Failure("a.png", "00", "empty")])
    assert sorted(CacheReader.open(location).failures.read()) == [
        Failure("a.png", "00", "empty"),
        Failure("b.png", "01", "no image"),
    ]
    cache.failures.forget()
    assert CacheReader.open(location).failures.read() == []


def test_the_command_line_takes_urls(location, images, expected, capsys, monkeypatch):
    monkeypatch.setattr(extractor, "BACKENDS", BACKENDS)
    command = ["extract", str(images[0].parent), "--cache", location, "--extractor", spec()]
    assert main(command) == 0
    assert "10 extracted" in capsys.readouterr().out
    assert main(command) == 0
    assert "0 extracted, 10 cached before" in capsys.readouterr().out
    assert main(["cache", "info", location]) == main(["cache", "verify", location]) == 0
    assert "10 rows are whole" in capsys.readouterr().out
    assert torch.equal(create_extractor(f"cache:{location}").extract(images), expected)


def test_copies_of_remote_parts_are_made_once_and_go_with_them(s3, tmp_path, monkeypatch, images):
    monkeypatch.setenv("MAAGIQA_CACHE_COPIES", str(tmp_path / "copies"))
    cache = fill(f"{s3}/copied", images)
    copies = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("copies/*/*")}
    assert sorted(copies) == open_storage(f"{s3}/copied").names("part-*")
    CacheReader.open(f"{s3}/copied")
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("copies/*/*")} == copies
    cache.compact()
    assert [path.name for path in tmp_path.glob("copies/*/*")] == open_storage(f"{s3}/copied").names("part-*")
    shutil.rmtree(tmp_path / "copies")
    assert CacheReader.open(f"{s3}/copied").rows == 10


def test_a_place_that_cannot_be_reached_is_an_error_that_says_so(tmp_path, monkeypatch, images):
    class Refusal(Exception):
        """What a client of some storage raises in its own way."""

    def refuse(*_, **__):
        raise Refusal("the line is dead")

    location = f"memory://{tmp_path}"
    fill(location, images[:1])
    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "cat_file", refuse)
    with pytest.raises(ConnectionError, match=rf"'{location}' cannot be reached: the line is dead"):
        CacheReader.open(location)
    monkeypatch.undo()
    cache = CacheWriter.create(location, FakeExtractor())
    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "pipe_file", refuse)
    with pytest.raises(ConnectionError, match=r"features of 1 images could not be written .*: the line is dead"):
        cache.append(list(cache.entries()), cache.get([0]))


def test_a_folder_named_by_the_home_directory_is_found(tmp_path, monkeypatch, images):
    monkeypatch.setenv("HOME", str(tmp_path))
    fill("~/cache", images[:1])
    assert (tmp_path / "cache" / "manifest.json").is_file()
    assert CacheReader.open("~/cache").rows == 1


def test_a_cache_that_cannot_be_written_to_can_be_read_and_run_again(tmp_path, monkeypatch, images, expected):
    fill(tmp_path / "cache", images)

    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("maagiqa_pyiqa.cache.storage.LocalStorage.write", refuse)
    monkeypatch.setattr("os.link", refuse)
    assert torch.equal(read(fill(tmp_path / "cache", images), images), expected)
