"""What of a picture the native branch looks at."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from maagiqa_pyiqa.archs.native_views import TILE, WHOLE_VIEW_PIXELS, own_pixels, tiles, views

BUDGET = 1024 * 1024


@pytest.mark.parametrize("size", [(1, 1), (512, 512), (256, 1024), (570, 570)], ids=str)
def test_small_pictures_have_one_view_of_their_own_pixels(size):
    x = torch.rand(1, 3, *size)
    (whole,) = views(x, BUDGET)
    assert len(whole) == 1
    assert torch.equal(whole[0], x)


@pytest.mark.parametrize("size", [(600, 600), (1024, 1024), (2048, 512)], ids=str)
def test_larger_pictures_are_seen_whole_and_in_their_own_pixels(size):
    x = torch.rand(1, 3, *size)
    whole, close = views(x, BUDGET)
    assert whole[0].shape[-2] * whole[0].shape[-1] <= WHOLE_VIEW_PIXELS
    assert sum(tile.numel() for tile in close) == x.numel()


def numbered(height, width):
    """An image whose pixels say where they are: row * 10,000 + column."""
    rows, columns = torch.arange(height).view(1, 1, -1, 1), torch.arange(width).view(1, 1, 1, -1)
    return (rows * 10_000 + columns).expand(1, 1, height, width)


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 3000), width=st.integers(1, 3000), count=st.integers(1, 8))
def test_tiles_lie_within_the_picture_and_the_budget_and_do_not_repeat(height, width, count):
    found = tiles(numbered(height, width), count * TILE**2)
    ((tall, wide),) = {tile.shape[-2:] for tile in found}
    assert tall <= TILE >= wide
    assert len(found) * tall * wide <= count * TILE**2
    corners = [int(tile[0, 0, 0, 0]) for tile in found]
    assert len(set(corners)) == len(corners)


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 1000), width=st.integers(1, 1000))
def test_tiles_within_the_budget_leave_no_pixel_out(height, width):
    seen = torch.cat([tile.flatten() for tile in tiles(numbered(height, width), 1024 * 1024)])
    assert len(seen.unique()) == height * width
    assert len(seen) < height * width + 2 * (height + width)  # where sides are odd, a row of pixels is seen twice


def test_tiles_of_a_large_picture_lie_in_its_quarters_and_those_of_a_strip_side_by_side():
    corners = [divmod(int(tile[0, 0, 0, 0]), 10_000) for tile in tiles(numbered(3000, 4000), BUDGET)]
    assert corners == [(494, 744), (494, 2744), (1994, 744), (1994, 2744)]
    strip = [divmod(int(tile[0, 0, 0, 0]), 10_000) for tile in tiles(numbered(400, 4000), BUDGET)]
    assert strip == [(0, 244), (0, 1244), (0, 2244), (0, 3244)]


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 6])
def test_copied_pixels_are_taken_out(factor):
    image = torch.rand(3, 128, 150)
    assert torch.equal(own_pixels(image.repeat_interleave(factor, -1).repeat_interleave(factor, -2)), image)


def test_a_single_other_pixel_and_a_flat_picture_are_no_small_ones():
    image = torch.rand(3, 128, 128).repeat_interleave(2, -1).repeat_interleave(2, -2)
    image[1, 201, 77] += 0.01
    assert own_pixels(image) is image
    assert own_pixels(torch.zeros(3, 512, 512)).shape == (3, 128, 128)
