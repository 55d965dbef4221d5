"""The report in a real browser: quiet, sortable, readable on a phone, in the dark and on paper."""

import re

import pytest

from maagiqa_pyiqa.leaderboard.report import write_report
from tests.helpers.browser import needs_chromium, opener
from tests.helpers.synthetic_results import METRICS, Made, paths_of, small_results

SRCC, PROMPT_DISJOINT_SRCC, PUBLISHED_SRCC = 0, 1, 2  # the columns titled so, in order
pytestmark = needs_chromium


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Path of a page with seven metrics, of which two are not published and one is far off."""
    folder = tmp_path_factory.mktemp("report")
    more = [Made(f"metric_{i}", 0.5 + 0.3 * i, published=0.5 + 0.1 * i) for i in range(4)]
    results = small_results(folder, metrics=[*METRICS, *more])
    write_report(results, folder, paths_of(results, folder), where=["mos<3"])
    return folder / "report.html"


@pytest.fixture
def open_page(browser, report):
    """Open the report."""
    with opener(browser) as open_file:
        yield lambda width=1280, **options: open_file(report, width, **options)


def header(page, title="SRCC", nth=0):
    return page.locator("#leaderboard th", has=page.get_by_role("button", name=title, exact=True)).nth(nth)


def values(page, column):
    """What stands in a column from top to bottom; None where there is nothing."""
    index = column.evaluate("header => header.cellIndex")
    cells = page.locator(f"#leaderboard tbody tr > :nth-child({index + 1})").evaluate_all(
        "cells => cells.map(cell => cell.querySelector('span')?.textContent ?? cell.firstChild.textContent)"
    )
    return [None if cell == "-" else cell for cell in cells]


def numbers(page, column):
    return [float(value) for value in values(page, column) if value is not None]


def test_nothing_goes_wrong_and_nothing_is_asked_for(open_page, report):
    page = open_page()
    page.wait_for_timeout(200)
    assert page.console == []
    outside = [url for url in page.asked_for if not url.startswith("data:image/jpeg")]
    assert outside == [report.as_uri()]
    widths = page.locator("img").evaluate_all("images => images.map(image => image.naturalWidth)")
    assert widths
    assert all(width == 40 for width in widths)


def test_a_click_on_a_title_sorts_and_another_turns_it_round(open_page):
    page = open_page()
    column = header(page, "fitted RMSE")
    column.get_by_role("button").click()
    assert column.get_attribute("aria-sort") == "ascending"  # the better end first
    up = numbers(page, column)
    assert len(up) == 7
    assert up == sorted(up)
    column.get_by_role("button").click()
    assert column.get_attribute("aria-sort") == "descending"
    assert numbers(page, column) == up[::-1]
    assert page.locator("#leaderboard th[aria-sort]").count() == 1
    assert page.console == []


def test_the_table_comes_sorted_by_its_first_figure_and_says_so(open_page):
    page = open_page()
    column = header(page, nth=SRCC)
    assert column.get_attribute("aria-sort") == "descending"
    down = numbers(page, column)
    assert down == sorted(down, reverse=True)
    column.get_by_role("button").click()
    assert numbers(page, column) == sorted(down)


def test_rows_are_moved_whole_and_empty_cells_stay_last(open_page):
    page = open_page()
    metric = header(page, "Metric")
    before = dict(zip(values(page, metric), values(page, header(page, nth=SRCC)), strict=True))
    column = header(page, nth=PUBLISHED_SRCC)
    for _ in range(2):
        column.get_by_role("button").click()
        assert values(page, column)[-2:] == [None, None]
        assert dict(zip(values(page, metric), values(page, header(page, nth=SRCC)), strict=True)) == before


def test_the_keyboard_sorts_too_and_the_result_is_spoken(open_page):
    page = open_page()
    column = header(page, nth=PROMPT_DISJOINT_SRCC)
    column.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert column.get_attribute("aria-sort") == "descending"
    assert numbers(page, column) == sorted(numbers(page, column), reverse=True)
    page.keyboard.press("Space")
    assert column.get_attribute("aria-sort") == "ascending"
    assert numbers(page, column) == sorted(numbers(page, column))
    assert page.locator("#sorted").text_content() == "Sorted by SRCC, ascending."
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "fitted PLCC"


def test_metric_names_sort_as_words(open_page):
    page = open_page()
    column = header(page, "Metric")
    column.get_by_role("button").click()
    assert values(page, column) == sorted(values(page, column))


def test_the_filter_leaves_the_metrics_asked_for(open_page):
    page = open_page()
    page.get_by_label("Show metrics with").fill("GOOD high")
    shown = page.locator("#leaderboard tbody tr:visible").evaluate_all("rows => rows.map(row => row.dataset.metric)")
    assert shown == ["good", "worse_when_high"]
    assert page.locator("#shown").text_content() == "2 of 7 metrics"
    assert page.locator("#scatter figure:visible").count() == 2
    page.get_by_label("Show metrics with").fill("")
    assert page.locator("#leaderboard tbody tr:visible").count() == 7


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_the_page_never_scrolls_sideways_only_its_tables_do(open_page, width):
    page = open_page(width)
    page.evaluate("for (const item of document.querySelectorAll('details')) item.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate("document.body.scrollWidth") <= width
    box = page.locator(".scroll").first
    scrolls, fits = box.evaluate("box => [box.scrollWidth > box.clientWidth, box.getBoundingClientRect().right]")
    assert fits <= width
    assert scrolls or width == 1280


def test_a_wide_table_can_be_scrolled_with_the_name_in_sight(open_page):
    page = open_page(360)
    box = page.locator(".scroll").first
    box.focus()
    box.evaluate("box => box.scrollLeft = 300")
    left = page.locator("#leaderboard tbody th").first.evaluate("cell => cell.getBoundingClientRect().left")
    assert left == pytest.approx(box.evaluate("box => box.getBoundingClientRect().left"), abs=2)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_the_light_and_in_the_dark(open_page, scheme):
    page = open_page(color_scheme=scheme)
    paper = luminance(page, "body", "backgroundColor")
    assert (paper < 0.05) == (scheme == "dark")
    for selector in ("body", "small", "nav a", ".quiet"):
        assert contrast(luminance(page, selector, "color"), paper) >= 4.5
    assert contrast(luminance(page, "svg .fit", "stroke"), paper) >= 4.5
    assert contrast(luminance(page, "svg text", "fill"), paper) >= 4.5


def luminance(page, selector, style):
    """Relative luminance of a colour, as WCAG has it."""
    colour = page.locator(selector).first.evaluate(f"element => getComputedStyle(element).{style}")
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a, b):
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)


def test_printing_unfolds_everything_and_folds_it_again(open_page):
    page = open_page()
    opened = page.locator("details[open]").count()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == opened


def test_it_prints_on_several_pages(open_page):
    pdf = open_page(color_scheme="dark").pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 4


def test_a_script_that_slipped_in_would_not_run(open_page):
    page = open_page()
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: 'slipped = 1'}))")
    assert page.evaluate("typeof slipped") == "undefined"
    assert any("Content Security Policy" in text for text in page.console)
