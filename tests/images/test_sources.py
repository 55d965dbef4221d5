"""Finding inputs: files, folders, globs, CSVs and tars, each image once and in order."""

import io
import itertools
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from maagiqa_pyiqa.images.decoding import UnreadableImageError, decode
from maagiqa_pyiqa.images.sources import find_files, find_images, find_sources, take_shard
from maagiqa_pyiqa.support.csv_files import as_csv
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.files import write_whole
from tests.helpers.fake_extractor import write_pictures
from tests.helpers.input_files import make_tar, write_table


@pytest.fixture
def images(tmp_path):
    return write_pictures(tmp_path / "images", 10)


def names(sources):
    return [source.name for source in sources]


def test_folders_are_searched_and_files_taken_as_they_are_each_once(images, tmp_path):
    deeper = write_pictures(tmp_path / "images" / "a" / "b", 2, first=20)
    (tmp_path / "images" / "notes.txt").write_text("no image")
    found = names(find_sources([tmp_path / "images", images[3], tmp_path / "images" / "notes.txt"]))
    assert found == [*map(str, images), *map(str, deeper), str(tmp_path / "images" / "notes.txt")]


def test_globs_are_expanded_in_order(images, tmp_path):
    deeper = write_pictures(tmp_path / "images" / "a" / "b", 2, first=20)
    assert names(find_sources([f"{tmp_path}/images/*3.png", f"{tmp_path}/images/000[12].png"])) == [
        str(images[index]) for index in (3, 1, 2)
    ]
    assert names(find_sources([f"{tmp_path}/**/002*.png"])) == list(map(str, deeper))
    with pytest.raises(FileNotFoundError, match=r"no file matches '.*\*\.jpg'"):
        find_sources([f"{tmp_path}/*.jpg"])


def test_a_file_whose_name_looks_like_a_glob_is_that_file(images, tmp_path):
    odd = images[0].rename(tmp_path / "images" / "a[1].png")
    assert names(find_sources([odd])) == [str(odd)]
    assert names(find_sources([tmp_path / "images" / "*.png"]))[-1] == str(odd)


@pytest.mark.parametrize("column", ["name", "path", "image", "img_path", "file", "filename"])
def test_a_csv_names_images_beside_it(images, tmp_path, column):
    rows = [["mos", column], *([3, path.name] for path in images[4:1:-1])]
    found = names(find_sources([write_table(tmp_path / "images" / "data.csv", rows)]))
    assert found == list(map(str, images[4:1:-1]))


def test_column_and_root_of_a_csv_can_be_named(images, tmp_path):
    rows = [["name", "picture"], *(["no", path.name] for path in images)]
    path = write_table(tmp_path / "data.csv", rows)
    assert names(find_sources([path], column="picture", root=tmp_path / "images")) == list(map(str, images))
    absolute = write_table(tmp_path / "absolute.csv", [["name"], *([path] for path in images)])
    assert names(find_sources([absolute], root="/elsewhere")) == list(map(str, images))


def test_names_in_a_csv_are_taken_as_they_are_written(tmp_path):
    for name in ("007", "1.50", "NA", "None"):
        Image.new("RGB", (2, 2)).save(tmp_path / name, format="png")
    path = write_table(tmp_path / "data.csv", [["name"], ["007"], ["1.50"], ["NA"], ["None"]])
    assert names(find_sources([path])) == [str(tmp_path / name) for name in ("007", "1.50", "NA", "None")]


def test_a_csv_without_the_column_names_the_nearest(images, tmp_path):
    path = write_table(tmp_path / "images" / "data.csv", [["picture", "mos"], [images[0].name, 3]])
    with pytest.raises(ValueError, match=r"has no column pictrue\. Did you mean 'picture'\? Name one with --column"):
        find_sources([path], column="pictrue")
    with pytest.raises(ValueError, match=r"has no column name or path or .*Name one with --column"):
        find_sources([path])


def test_images_of_a_csv_that_are_not_there_fail_by_name(images, tmp_path):
    rows = [["name"], *([path.name] for path in images), ["absent.png"]]
    sources = find_sources([write_table(tmp_path / "images" / "data.csv", rows)])
    assert [Path(source.path).name for source in sources] == [*(path.name for path in images), "absent.png"]
    with pytest.raises(UnreadableImageError, match=r"no such file: '.*absent\.png'"):
        decode(sources[-1])


def test_a_csv_of_which_no_image_is_there_names_the_remedy(tmp_path):
    path = write_table(tmp_path / "data.csv", [["name"], *([f"absent{index}.png"] for index in range(5))])
    with pytest.raises(FileNotFoundError, match=r"none of 5 images exists, first: .*absent0\.png.*--root"):
        find_sources([path])


def test_a_csv_without_rows_is_said_to_name_nothing(tmp_path):
    with pytest.raises(InputError, match=r"data\.csv' names no image"):
        find_sources([write_table(tmp_path / "data.csv", [["name"]])])


def test_images_of_a_webdataset_tar_are_found_and_read_in_place(images, tmp_path):
    path = make_tar(tmp_path / "0.tar", images)
    sources = find_sources([path])
    assert names(sources) == [f"{path}/shard/{image.name}" for image in images]
    assert [source.read() for source in sources] == [image.read_bytes() for image in images]


@pytest.mark.parametrize(
    "write", [lambda path, images: make_tar(path, images, "w:gz"), lambda path, _: path.write_text("x" * 2000)]
)
def test_a_tar_that_cannot_be_read_in_place_is_refused(images, tmp_path, write):
    write(tmp_path / "0.tar", images)
    with pytest.raises(ValueError, match=r"'.*0\.tar' cannot be read as an uncompressed tar"):
        find_sources([tmp_path / "0.tar"])


@given(st.lists(st.integers(), unique=True), st.integers(1, 9))
def test_shards_are_even_and_leave_nothing_out(items, count):
    shards = [take_shard(items, f"{index}/{count}") for index in range(count)]
    assert sorted(itertools.chain(*shards)) == sorted(items)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_folders_are_searched_recursively_and_files_taken_as_named(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "a.JPG", "notes.txt", "sub/c.webp"):
        (tmp_path / name).touch()
    names = [path.relative_to(tmp_path).as_posix() for path in find_files([tmp_path, tmp_path / "notes.txt"])]
    assert names == ["a.JPG", "b.png", "sub/c.webp", "notes.txt"]


def test_nothing_to_score_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        find_files([tmp_path / "none"])
    with pytest.raises(FileNotFoundError, match="holds no image"):
        find_files([tmp_path])


def test_what_is_no_file_of_its_own_is_refused_where_files_are_needed(images, tmp_path):
    path = make_tar(tmp_path / "0.tar", images)
    with pytest.raises(ValueError, match=r"'.*0\.tar/shard/.*' is not a file on this machine; copy or unpack it first"):
        find_files([path])
    assert find_files([f"{tmp_path}/images/*.png"]) == images


# ------------------------------------------------------------------------------------ folders and lists as they come


def test_a_link_to_nothing_is_named_when_it_is_read(images, tmp_path):
    link = tmp_path / "images" / "gone.png"
    link.symlink_to(tmp_path / "moved.png")
    assert str(link) in names(find_sources([tmp_path / "images"]))
    assert names(find_sources([link])) == [str(link)]
    with pytest.raises(UnreadableImageError, match=r"a link to '.*moved\.png', which is not there"):
        decode(link)


def test_a_folder_without_permission_is_named(images, tmp_path, monkeypatch):
    closed, scandir = tmp_path / "images" / "closed", os.scandir
    closed.mkdir()

    def refuse(path):
        if str(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match=r"folder '.*closed' cannot be searched: Permission denied; change"):
        find_sources([tmp_path / "images"])


@pytest.mark.parametrize("name", ["=1.png", "-x.png", b"caf\xe9.png", "'+a.png", r"a\udce9.png"])
def test_names_from_our_own_csv_are_found_again(images, tmp_path, name):
    path = images[0].rename(tmp_path / "images" / os.fsdecode(name))
    write_whole(tmp_path / "images" / "list.csv", as_csv(["name"], [[path.name]]))
    assert names(find_sources([tmp_path / "images" / "list.csv"])) == [str(path)]


def test_lists_are_read_in_the_dialects_that_people_have(images, tmp_path):
    rows = "mos;name\r\n1,5;" + images[2].name + "\r\n"
    (tmp_path / "images" / "list.csv").write_bytes(b"\xef\xbb\xbf" + rows.encode())
    assert names(find_sources([tmp_path / "images" / "list.csv"])) == [str(images[2])]


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_standard_input_without_a_name_says_what_to_give(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    with pytest.raises(InputError, match="standard input names no image"):
        find_images(["-"])


def test_standard_input_can_be_read_once():
    with pytest.raises(InputError, match=r"standard input \(-\) is named twice"):
        find_images(["-", "-"])


def test_names_on_standard_input_start_at_the_root_and_may_be_no_unicode(images, tmp_path, monkeypatch):
    odd = Path(os.fsdecode(os.fsencode(images[0].parent) + b"/caf\xe9.png"))
    images[0].rename(odd)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9.png\n0001.png\n")))
    assert find_images(["-"], root=images[0].parent).paths == [odd, images[1]]
