"""The course of a training as a table and a picture."""

import io

import pytest
from PIL import Image

from maagiqa_pyiqa.models.history import History, draw_history


def course(history, steps):
    for step in steps:
        history.add_step(step, [0.1, 0.2], {"l_mos": float(step)})
        if step % 2 == 0:
            history.close_row()
        if step % 3 == 0:
            history.add_figures("my validation", {"srcc": 0.5, "rmse": 2.0})
    return history


def test_rows_hold_means_since_the_row_before_and_figures_of_validations():
    table = course(History(), range(1, 7)).table()
    assert list(table.step) == [2, 3, 4, 6]
    assert list(table.l_mos) == [1.5, 3.0, 4.0, 5.5]
    assert list(table.learning_rate_2) == [0.2] * 4
    assert table["my validation srcc"].notna().tolist() == [False, True, False, True]


@pytest.mark.parametrize("interrupted_after", range(1, 7))
def test_an_interruption_anywhere_changes_no_row(interrupted_after):
    before = course(History(), range(1, interrupted_after + 1))
    after = course(History(before.state()), range(interrupted_after + 1, 7))
    assert after.rows == course(History(), range(1, 7)).rows


@pytest.mark.parametrize("steps", [0, 1, 6])
def test_picture_is_drawn_of_any_course(steps):
    picture = Image.open(io.BytesIO(draw_history(course(History(), range(1, steps + 1)).table(), r"mine <b>$\frac$")))
    assert picture.format == "PNG"
    assert min(picture.size) > 500
