"""Memory of whole commands over large images: bounded, and not by how many images there are."""

import pytest

from benchmarks.peak_memory import COMMANDS, make_images, peak_of

LIMITS_GB = {"extract": 2.4, "score": 3.0}  # what holds all at once takes 3.1 and 5.6


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    make_images(folder, 12, (6000, 4000))
    return folder


@pytest.mark.parametrize("name", COMMANDS)
def test_a_dozen_of_24_megapixels_is_not_held_at_once(name, pictures, tmp_path):
    options = COMMANDS[name]
    peak, _ = peak_of([options[0], str(pictures), *options[1:], str(tmp_path / "out.csv")])
    assert peak < LIMITS_GB[name]
