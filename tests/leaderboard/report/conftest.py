"""One benchmark of made-up metrics and its report, for all tests of the report."""

from dataclasses import replace

import pytest

from maagiqa_pyiqa.leaderboard.report import write_report
from tests.helpers.html_page import Page
from tests.helpers.synthetic_results import paths_of, small_results, with_rows


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Where the images lie."""
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="session")
def results(folder):
    return small_results(folder)


@pytest.fixture(scope="session")
def out(results, folder, tmp_path_factory):
    """The four files, with two subsets."""
    out = tmp_path_factory.mktemp("report")
    write_report(results, out, paths_of(results, folder), where=["generator=Attn<GAN> & mos<3", "mos>100"])
    return out


@pytest.fixture(scope="session")
def html(out):
    return (out / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def page(html):
    return Page(html)


@pytest.fixture
def render(folder, tmp_path):
    """Write the report of other results and read its page."""

    def render(results, **options):
        write_report(results, tmp_path, paths_of(results, folder), **options)
        return Page((tmp_path / "report.html").read_text(encoding="utf-8"))

    return render


@pytest.fixture
def seen_in_training(results):
    """The same, with the best metric trained on images of the official split, and therefore last."""
    first, second, third = results.splits["official"].rows
    first = replace(first, seen_in_training=31, is_best=False, p_against_best=0.3)
    second = replace(second, is_best=True, p_against_best=None)
    return with_rows(results, "official", [second, third, first])
