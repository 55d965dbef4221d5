"""The prompt of an image: by its path, then by its name, and never by a guess."""

import os

import pytest

from maagiqa_pyiqa.metrics.prompts_of_images import read_prompts
from maagiqa_pyiqa.support.csv_files import as_csv
from maagiqa_pyiqa.support.files import write_whole


@pytest.fixture
def find(tmp_path):
    """Prompts of images, all given relative to one folder, by rows of names and prompts in a CSV there."""

    def find(rows, *names, **columns):
        write_whole(tmp_path / "prompts.csv", as_csv(["name", "prompt"], rows))
        found = read_prompts(tmp_path / "prompts.csv", [tmp_path / name for name in names], **columns)
        return {str(path.relative_to(tmp_path)): prompt for path, prompt in found.items()}

    return find


def test_paths_tell_equal_names_apart(find):
    rows = [("x/a.png", "one"), ("y/a.png", "two")]
    assert find(rows, "x/a.png", "y/a.png") == {"x/a.png": "one", "y/a.png": "two"}
    assert find(rows, "in/x/a.png", "in/y/a.png") == {"in/x/a.png": "one", "in/y/a.png": "two"}


def test_a_path_goes_before_a_name(find):
    assert find([("a.png", "here"), ("x/a.png", "there")], "a.png", "x/a.png") == {"a.png": "here", "x/a.png": "there"}


def test_base_names_do_where_they_are_unambiguous(find):
    rows = [("elsewhere/a.png", "one"), ("b.png", "two")]
    assert find(rows, "x/a.png", "y/b.png") == {"x/a.png": "one", "y/b.png": "two"}


def test_two_images_of_one_name_are_not_taken_for_one(find):
    with pytest.raises(ValueError, match=r"y/a\.png: row 2 fits .*x/a\.png too; name paths"):
        find([("a.png", "one")], "x/a.png", "y/a.png")


def test_two_prompts_for_one_image_are_named(find):
    with pytest.raises(ValueError, match=r"x/a\.png: fits rows with different prompts, 'one' and 'two'"):
        find([("a.png", "one"), ("a.png", "two")], "x/a.png")
    assert find([("a.png", "one"), ("a.png", "one")], "x/a.png") == {"x/a.png": "one"}


def test_images_without_a_row_are_listed(find):
    with pytest.raises(ValueError, match=r"(?s)12 problems\n.*x0\.png: has no row.*and 2 more"):
        find([("a.png", "one")], *(f"x{index}.png" for index in range(12)))


@pytest.mark.parametrize("name", ["001", "NA", "=1.png", b"caf\xe9.png"])
def test_names_are_words_whatever_they_look_like(find, name):
    name = os.fsdecode(name)
    assert find([(name, "=a prompt")], name) == {name: "=a prompt"}


def test_a_missing_column_names_the_nearest(find):
    with pytest.raises(ValueError, match=r"has no column 'prompts'\. Did you mean 'prompt'"):
        find([("a.png", "one")], "a.png", prompt_column="prompts")
