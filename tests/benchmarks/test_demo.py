"""The demo: metrics notice damage, and the files it promises are written."""

from pathlib import Path

import numpy as np
import pandas
import pytest
from PIL import Image

from benchmarks import contact_sheet, demo
from benchmarks.contact_sheet import BAR, SIDE, Cell, Row, Texts, draw_contact_sheet


def test_nearly_all_damage_and_every_shuffled_and_noise_version_scores_worse(tmp_path, capsys):
    assert demo.main(["--out", str(tmp_path)]) == 0
    last = next(line for line in capsys.readouterr().out.splitlines() if "score worse than their original" in line)
    noticed, pairs = int(last.split()[0]), int(last.split()[2])
    assert pairs == len(demo.PICTURES) * len(demo.VERSIONS)
    assert noticed >= 0.95 * pairs
    assert Image.open(tmp_path / "contact_sheet.png").width > 900
    table = pandas.read_csv(tmp_path / "scores.csv")
    scores = table.set_index(table["image"].map(lambda path: Path(path).stem))["maagiqa-lite"]
    assert len(scores) == pairs + len(demo.PICTURES)
    for stem in (picture.path.stem for picture in demo.PICTURES):
        assert scores[f"{stem}_original"] > max(scores[f"{stem}_shuffled"], scores[f"{stem}_noise"])


def test_where_generated_pictures_are_not_the_photographs_are_shown(monkeypatch, tmp_path):
    elsewhere = [picture._replace(path=tmp_path / picture.path.name) for picture in demo.PICTURES[5:]]
    monkeypatch.setattr(demo, "PICTURES", (*demo.PICTURES[:5], *elsewhere))
    assert {picture.origin for picture in demo.present_pictures()} == {"photograph"}
    assert len(demo.present_pictures()) == 5


def test_each_version_is_compared_with_its_own_original():
    scores = np.array([[3.0, 1.0, 4.0, 3.0], [1.0, 0.5, 2.0, 0.9]])
    assert demo.find_noticed(scores, lower_better=False).tolist() == [[True, False, False], [True, False, True]]
    assert demo.find_noticed(scores, lower_better=True).tolist() == [[False, True, False], [False, True, False]]


def test_versions_are_of_the_size_of_their_picture_and_all_differ(tmp_path):
    (paths,) = demo.make_images(demo.PICTURES[1:2], tmp_path)
    images = [np.asarray(Image.open(path)) for path in paths]
    assert [path.stem.rpartition("_")[2] for path in paths] == list(demo.COLUMNS)
    assert {image.shape for image in images} == {(300, 451, 3)}
    assert len({image.tobytes() for image in images}) == len(demo.COLUMNS)


@pytest.fixture
def grey(tmp_path):
    """A picture that is wider than high, its middle square grey and the rest white."""
    image = Image.new("RGB", (300, 100), "white")
    image.paste((90, 90, 90), (100, 0, 200, 100))
    image.save(tmp_path / "grey.png")
    return tmp_path / "grey.png"


def pixel(sheet, column, row):
    """Of a column, so many rows below the upper edge of its thumbnail."""
    return sheet.getpixel((contact_sheet._left(column) + 20, contact_sheet.MARGIN + contact_sheet.HEADER + row))


def test_thumbnails_are_squares_on_the_colour_of_their_score(grey):
    row = Row("Grey", "made here", [Cell(grey, 4.0), Cell(grey, 1.0), Cell(grey, 2.5, wrong=True)])
    sheet = draw_contact_sheet([row], Texts("Title", "Explanation", ("a", "b", "c")))
    assert all(pixel(sheet, column, 20) == (90, 90, 90) for column in (0, 1))
    best, worst = (pixel(sheet, column, SIDE + 3) for column in (0, 1))
    turned = draw_contact_sheet([row], Texts("Title", "Explanation", ("a", "b", "c")), lower_better=True)
    assert best != worst
    assert (pixel(turned, 1, SIDE + 3), pixel(turned, 0, SIDE + 3)) == (best, worst)
    assert pixel(sheet, 2, -1) == (208, 49, 45)  # the frame around what is wrong
    assert pixel(sheet, 1, -1) == (255, 255, 255)
    assert sheet.height > SIDE + BAR


def test_rows_are_ranked_by_their_originals(grey, monkeypatch):
    drawn = []
    monkeypatch.setattr(demo, "draw_contact_sheet", lambda rows, texts, lower: drawn.append((rows, texts, lower)))
    scores = np.array([[1.0, 0.5], [3.0, 4.0], [2.0, 1.0]])
    demo.contact_sheet(demo.PICTURES[:3], [[grey, grey]] * 3, scores, "maagiqa-lite")
    demo.contact_sheet(demo.PICTURES[:3], [[grey, grey]] * 3, scores, "piqe")
    (rows, texts, _), (of_piqe, _, lower_better) = drawn
    assert [row.name for row in rows] == ["Cat", "Coffee", "Astronaut"]
    assert [row.name for row in of_piqe] == ["Astronaut", "Coffee", "Cat"]
    assert lower_better
    assert [[cell.wrong for cell in row.cells] for row in rows] == [[False, True], [False, False], [False, False]]
    assert texts.explanation.startswith("2 of 3 ")
