"""Somebody's own images are checked as a whole, and divided, before anything is trained on them."""

import numpy as np
import pandas
import pytest
from PIL import Image

from maagiqa_pyiqa.data.own_images import OwnImages, check_own_images


@pytest.fixture
def write(tmp_path):
    """Write a table of forty images that are there, with columns changed or added; give what says where it is."""
    (tmp_path / "pictures").mkdir()
    for i in range(40):
        Image.new("RGB", (8, 8), (i, i, i)).save(tmp_path / "pictures" / f"{i}.png")

    def make(**columns):
        table = {"name": [f"{i}.png" for i in range(40)], "rating": np.linspace(1, 9, 40)} | columns
        pandas.DataFrame(table).to_csv(tmp_path / "mine.csv", index=False)
        return {"csv": str(tmp_path / "mine.csv"), "images": str(tmp_path / "pictures"), "mos_column": "rating"}

    return make


def test_without_prompts_rows_are_divided_by_chance_and_the_scale_is_that_of_the_table(write):
    images = check_own_images(OwnImages(**write(), val=0.2))
    assert images.sizes == {"train": 24, "val": 8, "test": 8}
    assert images.mos_range == (1.0, 9.0)
    assert images.section["split"] == "random"
    text = images.as_text()
    assert "by chance (there is no column of prompts)" in text
    assert "ratings from 1 to 9 (column rating); scores will be on this scale" in text


@pytest.mark.parametrize(("column", "named"), [("prompt", None), ("text", "text")])
def test_with_prompts_no_prompt_is_in_two_parts(write, column, named):
    own = OwnImages(**write(**{column: [f"prompt {i // 2}" for i in range(40)]}), prompt_column=named, val=0.25)
    images = check_own_images(own)
    assert images.section["split"] == "prompt-disjoint"
    assert images.section["prompt_column"] == column
    assert images.sizes["val"] == 10
    assert f"no prompt in two parts (column {column})" in images.as_text()


def test_a_column_of_parts_divides_them(write):
    parts = ["train"] * 20 + ["val"] * 12 + ["test"] * 8
    images = check_own_images(OwnImages(**write(use=parts), part_column="use", mos_range=(0, 10)))
    assert images.sizes == {"train": 20, "val": 12, "test": 8}
    assert images.mos_range == (0, 10)
    assert "as column use says" in images.as_text()


def test_all_that_is_wrong_is_said_at_once(write, tmp_path):
    names = ["0.png", "0.png", "no.png", *(f"{i}.png" for i in range(3, 40))]
    own = write(name=names, rating=["good", *np.linspace(1, 9, 38), 99], part=["tset", *["train"] * 39])
    (tmp_path / "pictures" / "7.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="6 problems") as error:
        check_own_images(OwnImages(**own, part_column="part", mos_range=(1, 9)))
    for problem in (
        "0.png: named more than once",
        "0.png: part 'tset' is not one of",
        "0.png: MOS good is not a number in [1, 9]",
        "no.png: no such image",
        "7.png: cannot be read",
        "39.png: MOS 99",
    ):
        assert problem in str(error.value)


REFUSED = {
    "columns": (
        {"mos_column": "ratign", "path_column": "nmae", "prompt_column": "text", "part_column": "part"},
        {},
        "no column 'nmae'.*And no column 'ratign'.*And no column 'text'.*And no column 'part'",
    ),
    "one rating": ({}, {"rating": 3.0}, "all ratings in column 'rating' are 3: nothing to learn"),
    "small parts": ({"val": 0.05, "test": 0.9}, {}, "5 images or more, got 2 train, 2 val, 36 test; change --val"),
    "no validation": (
        {"part_column": "p"},
        {"p": ["train"] * 30 + ["test"] * 10},
        "got 30 train, 0 val, 10 test; change column 'p'",
    ),
    "no share": ({"val": 0.0}, {}, "val and test must be over 0"),
    "range": ({"mos_range": (5.0, 1.0)}, {}, "lowest rating of a range must be below the highest, got 5 1"),
}


@pytest.mark.parametrize(("options", "columns", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_trained_on_is_refused(write, options, columns, message):
    with pytest.raises(ValueError, match=message):
        check_own_images(OwnImages(**{**write(**columns), **options}))


def test_no_folder_of_images_is_named(write, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere' is not a folder"):
        check_own_images(OwnImages(**{**write(), "images": str(tmp_path / "nowhere")}))
