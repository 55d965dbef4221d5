"""Heat maps: colours where the regions are, and a scale that does not make an even picture look uneven."""

import numpy as np
import pytest
from PIL import Image

from maagiqa_pyiqa.images.heatmaps import GAP, MARGIN, draw_heatmap, spread


def test_regions_lie_at_their_centres_and_go_on_to_the_edges():
    pixels = spread(np.array([[0.0, 1.0, 2.0]]), (10, 400), (1.0, 0.5))
    assert pixels.shape == (10, 400)
    for place, value in {0: 0, 99: 0, 200: 1, 301: 2, 399: 2, 250: 1.5}.items():
        assert pixels[:, place] == pytest.approx(value, abs=0.01)


def colour_at(sheet, picture, x):
    return sheet.getpixel((MARGIN + picture.width + GAP + x, MARGIN + picture.height // 2))


def test_the_good_side_is_yellow_and_the_poor_one_violet():
    picture = Image.new("RGB", (200, 100), "grey")
    sheet = draw_heatmap(picture, np.array([[1.0, 4.0]]), 2.5, (1.0, 0.5))
    assert sheet.getpixel((MARGIN + 100, MARGIN + 50)) == picture.getpixel((0, 0))
    poor, good = colour_at(sheet, picture, 10), colour_at(sheet, picture, 190)
    assert good[1] > good[2] + 50  # green above blue
    assert poor[2] > poor[1] + 30


def test_small_differences_have_nearly_one_colour():
    picture = Image.new("RGB", (200, 100), "grey")
    sheet = draw_heatmap(picture, np.array([[2.49, 2.51]]), 2.5, (1.0, 0.5))
    left, right = colour_at(sheet, picture, 10), colour_at(sheet, picture, 190)
    assert np.abs(np.subtract(left, right)).max() < 10


@pytest.mark.parametrize("size", [(40, 3000), (1, 1), (3000, 2000)])
def test_pictures_of_any_size_are_drawn(size):
    sheet = draw_heatmap(Image.new("RGB", size), np.array([[2.0]]), 2.0, (1.0, 1.0))
    assert max(sheet.size) < 1400
