"""Images behind URLs: found and read as local ones are."""

import tarfile

import fsspec
import pytest

from maagiqa_pyiqa.images.decoding import UnreadableImageError, decode
from maagiqa_pyiqa.images.sources import ImageSource, find_images, find_sources
from tests.helpers.mplug_owl2_models import random_picture


@pytest.fixture
def bucket(tmp_path):
    """URL of a folder in memory with two pictures, a text and a tar of the pictures; and the pictures' contents."""
    filesystem = fsspec.filesystem("memory")
    contents = {}
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for seed, name in enumerate(("a.png", "b.jpg")):
            random_picture(20, 30, seed).save(tmp_path / name)
            tar.add(tmp_path / name, name)
            contents[name] = (tmp_path / name).read_bytes()
            filesystem.pipe_file(f"/bucket/deep/{name}", contents[name])
    filesystem.pipe_file("/bucket/deep/notes.txt", b"no image")
    filesystem.pipe_file("/bucket/shard.tar", (tmp_path / "shard.tar").read_bytes())
    yield "memory://bucket", contents
    filesystem.rm("/bucket", recursive=True)


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        (["/deep"], ["a.png", "b.jpg"]),
        (["/deep/b.jpg"], ["b.jpg"]),
        (["/deep/*.png"], ["a.png"]),
        (["/shard.tar"], ["a.png", "b.jpg"]),
        (["/*.tar"], ["a.png", "b.jpg"]),
        (["/deep", "/deep/a.png"], ["a.png", "b.jpg"]),
    ],
)
def test_folders_files_globs_and_tars_are_found_and_read(bucket, inputs, names):
    url, contents = bucket
    sources = find_sources([url + item for item in inputs])
    assert [source.name.rsplit("/", 1)[1] for source in sources] == names
    assert [source.read() for source in sources] == [contents[name] for name in names]


def test_a_csv_may_hold_urls_and_paths(bucket, tmp_path):
    url, contents = bucket
    (tmp_path / "table.csv").write_text(f"name\n{url}/deep/a.png\nb.jpg\n")
    sources = find_sources([tmp_path / "table.csv"])
    assert [source.read() for source in sources] == list(contents.values())


@pytest.mark.parametrize("where", ["url", "file"])
def test_a_list_may_name_members_of_a_tar_and_urls(bucket, tmp_path, where):
    url, contents = bucket
    root = f"{url}/shard.tar" if where == "url" else tmp_path / "shard.tar"
    (tmp_path / "table.csv").write_text(f"name,mos\n./b.jpg,1\n{url}/deep/a.png,2\nnone.png,3\n")
    found = find_images([tmp_path / "table.csv"], root=root)
    assert [source.read() for source in found.sources[:2]] == [contents["b.jpg"], contents["a.png"]]
    assert [row["mos"] for row in found.rows.values()] == ["1", "2", "3"]
    with pytest.raises(UnreadableImageError, match=r"no such file: '.*shard\.tar/none\.png'"):
        decode(found.sources[2])


def test_a_list_that_names_no_member_of_the_tar_is_refused(bucket, tmp_path):
    (tmp_path / "table.csv").write_text("name\nnone.png\n")
    with pytest.raises(FileNotFoundError, match=r"none of 1 images exists, first: .*shard\.tar/none\.png"):
        find_sources([tmp_path / "table.csv"], root=f"{bucket[0]}/shard.tar")


@pytest.mark.parametrize("item", ["/none", "/none.png", "/*.gif", "/deep/notes.txt"])
def test_a_url_without_images_is_an_error(bucket, item):
    with pytest.raises(FileNotFoundError, match=r"memory://bucket/.* does not exist or holds no image"):
        find_sources([bucket[0] + item])


def test_an_object_that_is_gone_is_as_a_file_that_is_gone(bucket):
    with pytest.raises(FileNotFoundError):
        ImageSource("gone", bucket[0] + "/gone.png").read()


@pytest.mark.parametrize("item", ["/deep/a.png", "/shard.tar"])
def test_the_state_of_an_image_changes_when_it_is_written_anew(bucket, item):
    url, contents = bucket
    source = find_sources([url + item])[0]
    before = source.state()
    assert find_sources([url + item])[0].state() == before
    fsspec.filesystem("memory").pipe_file("/bucket" + item, contents["b.jpg"] * 2)
    assert source.state() != before


def test_a_list_behind_a_url_starts_there_unless_a_root_is_named(bucket):
    url, contents = bucket
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe_file("/bucket/deep/list.jsonl", b'{"image": "b.jpg", "style": "ink"}\n')
    found = find_images([url + "/deep/list.jsonl"])
    assert found.paths[0].read() == contents["b.jpg"]
    assert found.rows[found.paths[0]] == {"image": "b.jpg", "style": "ink"}
    filesystem.pipe_file("/bucket/list.jsonl", b'{"image": "b.jpg"}\n')
    assert find_images([url + "/list.jsonl"], root=url + "/deep").paths == found.paths
