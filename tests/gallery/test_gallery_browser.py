"""The gallery in a real browser, on a desk and on a phone: quiet, quick, and what is chosen comes out as a list."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from maagiqa_pyiqa.archs.region_map import RegionMap
from maagiqa_pyiqa.gallery.gallery import Gallery
from maagiqa_pyiqa.images.heatmaps import colours_of_quality, limits_of, spread
from maagiqa_pyiqa.images.sources import find_files
from maagiqa_pyiqa.metrics.explanation import Explanation, Standing
from maagiqa_pyiqa.metrics.scoring import ImageScores
from maagiqa_pyiqa.support.csv_files import read_csv
from tests.helpers.browser import needs_chromium, opener
from tests.helpers.gallery_pages import HOSTILE, draw

pytestmark = needs_chromium
WIDTHS = (1280, 390)
N = 24


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """A page of 24 images in two folders, of three prompts, by two metrics; of one lower is better."""
    folder = tmp_path_factory.mktemp("gallery")
    images = [
        ImageScores(
            draw(folder / ("cats" if i % 2 else "dogs") / f"{i:02d}.png", i),
            scores={"lite": i / 10, "niqe": float(i % 7)},
            gates={"lite": [0.2, 0.3, 0.5]},
        )
        for i in range(N)
    ]
    images.append(ImageScores(folder / "gone.png", errors={"": "no such file"}))
    prompts = {image.path: f"prompt {i % 3}" for i, image in enumerate(images)}
    page = folder / "out.html"
    page.write_text(Gallery(page, images, {"lite": False, "niqe": True}, prompts).make_page())
    return page


@pytest.fixture
def open_page(browser, page_file):
    with opener(browser) as open_file:
        yield lambda width=1280, file=page_file, **options: open_file(file, width, **options)


@pytest.fixture(scope="module")
def explained(tmp_path_factory):
    """A page of three images: of two the regions are known, good at the left of one and below in the other."""
    folder = tmp_path_factory.mktemp("explained")
    sizes = {"wide.png": (160, 64), "tall.png": (64, 160), "unmapped.png": (64, 64)}
    images = []
    for i, (name, size) in enumerate(sizes.items()):
        Image.linear_gradient("L").resize(size).convert("RGB").save(folder / name)
        standing = Standing(80.0 - i, {"Midjourney (2022)": 60.0, "DALL-E 2 (2022)": 70.0})
        explanation = Explanation(standing, {})
        images.append(ImageScores(folder / name, scores={"lite": 3.0 - i}, explanations={"lite": explanation}))
    maps = {
        folder / "wide.png": RegionMap(torch.tensor([[4.0, 2.5, 1.0]]), 3.0, (1.0, 0.5)),
        folder / "tall.png": RegionMap(torch.tensor([[1.0, 1.0], [4.0, 4.0]]), 2.0, (0.4, 0.9)),
    }
    page = folder / "out.html"
    page.write_text(Gallery(page, images, {"lite": False}, {}, regions=maps.get).make_page())
    return page, maps


def width_of(picture):
    """Width in its own pixels, once it is loaded."""
    return picture.evaluate("picture => picture.decode().then(() => picture.naturalWidth)")


def scores(page):
    return [float(text) for text in page.locator(".card .score").all_text_contents()]


def names(page):
    return page.locator(".card .name").all_text_contents()


def exported(page, button, tmp_path):
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    return read_csv(path, as_text=True)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_quiet_asks_for_nothing_outside_and_fits(open_page, width, scheme):
    page = open_page(width, color_scheme=scheme)
    assert scores(page) == [i / 10 for i in reversed(range(N))]
    page.locator(".card").first.click()
    assert width_of(page.locator("#pictures img")) == 16
    assert not page.locator("#pictures .gone").is_visible()  # so it is the file itself
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.console == []
    assert all(url.startswith(("file:", "data:")) for url in page.asked_for)


@pytest.mark.parametrize("width", WIDTHS)
def test_words_folder_and_groups_part_the_images(open_page, width):
    page = open_page(width)
    page.get_by_label("Find", exact=True).fill("CATS 1")
    fits = [i for i in reversed(range(N)) if i % 2 and ("1" in f"{i:02d}" or i % 3 == 1)]
    assert names(page) == [f"{i:02d}.png" for i in fits]
    page.get_by_label("Find", exact=True).fill("")
    page.get_by_label("Folder", exact=True).select_option(index=1)
    assert page.locator("#count").text_content().startswith("12 of 24 shown")
    page.get_by_label("Folder", exact=True).select_option("")
    page.get_by_label("Groups", exact=True).select_option("prompt")
    assert [text.split(" 8 of")[0] for text in page.locator("main h2").all_text_contents()] == [
        "prompt 0", "prompt 1", "prompt 2",
    ]  # fmt: skip
    assert scores(page)[:8] == [i / 10 for i in reversed(range(0, N, 3))]


def test_a_metric_of_which_lower_is_better_sorts_and_cuts_the_other_way(open_page):
    page = open_page()
    page.get_by_label("Score", exact=True).select_option(label="niqe \u2193")
    assert scores(page) == sorted(float(i % 7) for i in range(N))
    page.get_by_label("niqe at most").fill("1")
    assert set(scores(page)) == {0.0, 1.0}


@pytest.mark.parametrize("width", WIDTHS)
def test_the_slider_leaves_what_passes_and_the_rest_can_be_looked_at(open_page, width):
    page = open_page(width)
    page.get_by_label("Threshold", exact=True).fill("1.95")
    assert scores(page) == [2.3, 2.2, 2.1, 2.0]
    assert page.locator("#threshold").input_value() == "1.950"
    page.get_by_label("Show", exact=True).select_option("below")
    assert len(scores(page)) == N - 4
    heights = page.locator("#histogram .pass").evaluate_all("bars => bars.filter(bar => +bar.getAttribute('height'))")
    assert len(heights) == 4


@pytest.mark.parametrize("width", WIDTHS)
def test_the_large_picture_says_what_is_known(open_page, width):
    page = open_page(width)
    page.locator(".card").nth(1).click()
    text = page.locator("#pictures").inner_text()
    for part in (
        "22.png",
        "prompt 1",
        "2.200",
        "better than 96 % of the 23 others shown",
        "quality 0.50",
        "16 \u00d7 16",
    ):
        assert part in text
    assert page.locator("#place").text_content() == "2 of 24"


def drawn(canvas):
    """Pixels (rows, columns, RGB) of a canvas."""
    data = canvas.evaluate("c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]")
    width, height = canvas.evaluate("c => [c.width, c.height]")
    return np.array(data).reshape(height, width, 4)[..., :3]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_regions_lie_over_the_picture_in_the_colours_of_the_heat_maps(open_page, explained, width):
    file, maps = explained
    page = open_page(width, file)
    page.locator(".card").first.click()
    over, picture = page.locator("#pictures .map"), page.locator("#pictures img")
    assert not over.is_visible()
    page.keyboard.press("m")
    for path, regions in maps.items():
        size = Image.open(path).size
        low, high = limits_of(regions.scores.numpy())
        shares = (spread(regions.scores.numpy(), size[::-1], regions.window) - low) / (high - low)
        expected = colours_of_quality()[(shares * 255).round().astype(int)]
        assert np.abs(drawn(over) - expected.astype(int)).max() <= 3  # neighbours on the scale, by rounding
        assert over.bounding_box() == pytest.approx(picture.bounding_box(), abs=1.5)
        assert "grayscale" in picture.evaluate("picture => getComputedStyle(picture).filter")
        assert "1.000" in page.locator("#pictures .regions").inner_text()
        page.keyboard.press("ArrowRight")
    assert not over.is_visible()  # the third has no map, and says nothing of one
    assert not page.locator("#pictures .regions").is_visible()
    page.keyboard.press("ArrowLeft")
    page.get_by_role("button", name="Map", exact=True).click()
    assert not over.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.console == []


def test_the_large_picture_says_where_its_score_stands(open_page, explained):
    page = open_page(file=explained[0])
    page.locator(".card").first.click()
    assert "better than 80 % of AGIQA-3k: 60 % of the Midjourney (2022)" in page.locator("#pictures").inner_text()


def test_without_maps_there_is_no_button_for_them(open_page):
    page = open_page()
    page.locator(".card").first.click()
    assert not page.get_by_role("button", name="Map", exact=True).is_visible()
    page.keyboard.press("m")
    assert not page.evaluate("byId('pictures').classList.contains('mapped')")


def test_two_are_compared_and_escape_closes(open_page):
    page = open_page()
    page.locator(".card").first.click()
    page.keyboard.press("c")
    shown = page.locator("#pictures .name")
    assert shown.all_text_contents() == ["23.png", "22.png"]
    page.keyboard.press("ArrowRight")
    assert shown.all_text_contents() == ["23.png", "21.png"]
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").is_visible()
    page.locator(".card:focus .name", has_text="21.png").wait_for()  # told in a task of its own


def test_the_keyboard_walks_marks_and_takes_back(open_page):
    page = open_page()
    for key in ("ArrowRight", "k", "ArrowRight", "r", "ArrowRight", "k", "k"):
        page.keyboard.press(key)
    marked = page.locator(".card").evaluate_all("cards => cards.map(card => card.dataset.mark)")
    assert marked[:3] == ["keep", "reject", ""]
    page.keyboard.press("ArrowDown")
    columns = page.evaluate("columns()")
    assert page.evaluate("focusedIndex()") == 2 + columns
    page.keyboard.press("Enter")
    page.keyboard.press("r")
    assert page.locator("#reject").get_attribute("aria-pressed") == "true"
    assert page.locator("#count").text_content() == "24 of 24 shown, 1 marked keep, 2 reject"


@pytest.mark.parametrize("width", WIDTHS)
def test_marks_survive_a_reload_and_come_out_as_a_list_before_the_threshold(open_page, width, tmp_path):
    page = open_page(width)
    for index, key in ((0, "r"), (23, "k")):
        page.locator(".card").nth(index).focus()
        page.keyboard.press(key)
    page.reload()
    page.get_by_label("Threshold", exact=True).fill("1.95")
    kept = exported(page, "Kept (CSV)", tmp_path)
    assert [os.path.basename(name) for name in kept["image"]] == ["22.png", "21.png", "20.png", "00.png"]
    assert list(kept["by"]) == ["threshold", "threshold", "threshold", "person"]
    everything = exported(page, "All choices", tmp_path)
    assert len(everything) == N
    assert everything["lite"].astype(float).tolist() == [i / 10 for i in reversed(range(N))]
    assert list(everything["choice"]).count("keep") == 4
    assert [path.name for path in find_files([tmp_path / "kept.csv"])] == [os.path.basename(n) for n in kept["image"]]


def test_hostile_names_inject_nothing_open_and_come_back_from_the_list(browser, tmp_path):
    images = [ImageScores(draw(tmp_path / "p" / name, i), scores={"=1+1": float(i)}) for i, name in enumerate(HOSTILE)]
    file = tmp_path / "out.html"
    prompts = {image.path: image.path.name for image in images}
    file.write_text(Gallery(file, images, {"=1+1": False}, prompts).make_page())
    with opener(browser) as open_file:
        page = open_file(file, 390)
        assert page.locator(".card").count() == len(HOSTILE)
        assert page.locator(".card").evaluate_all("cards => cards.every(card => card.children.length === 3)")
        page.get_by_label("Groups", exact=True).select_option("prompt")
        page.locator(".card").first.click()
        for _ in HOSTILE:
            assert width_of(page.locator("#pictures img")) == 16
            assert not page.locator("#pictures .gone").is_visible()
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Escape")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        exported(page, "Kept (CSV)", tmp_path)
        assert page.console == []
    assert sorted(find_files([tmp_path / "kept.csv"])) == sorted(image.path for image in images)


@pytest.mark.parametrize("width", WIDTHS)
def test_of_a_thousand_images_only_those_near_are_put_on_the_page(browser, thousand, width):
    with opener(browser) as open_file:
        page = open_file(thousand, width)
        assert 0 < page.locator(".card").count() <= 2 * 120  # benchmarks/gallery_speed.py measures how soon
        page.get_by_label("Find", exact=True).fill("0999")
        assert names(page) == ["0999.png"]
        page.get_by_label("Find", exact=True).fill("")
        assert width_of(page.locator(".card img").first) == 12
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.locator(".card").nth(120).wait_for(state="attached")
        assert page.console == []
        assert all(url.startswith("file:") for url in page.asked_for)


@pytest.fixture(scope="module")
def thousand(tmp_path_factory):
    """A page of 1,000 small pictures with maps of as many regions as a megapixel has."""
    folder = tmp_path_factory.mktemp("thousand")
    images = []
    for i, level in enumerate(np.random.default_rng(0).integers(0, 256, (1000, 3), dtype=np.uint8)):
        Image.fromarray(np.broadcast_to(level, (12, 12, 3)).copy()).save(folder / f"{i:04d}.png")
        images.append(ImageScores(folder / f"{i:04d}.png", scores={"lite": float(level.mean())}))
    page = folder / "out.html"
    regions = RegionMap(torch.rand(15, 15), 0.5, (0.125, 0.125))
    page.write_text(Gallery(page, images, {"lite": False}, {}, regions=lambda path: regions).make_page())
    return page
