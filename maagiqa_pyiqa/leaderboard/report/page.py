"""``report.html``: one file that asks for nothing from outside, for screen, phone and paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from maagiqa_pyiqa.images.sources import ImagePath
from maagiqa_pyiqa.leaderboard.report import sections
from maagiqa_pyiqa.leaderboard.report.gallery import gallery
from maagiqa_pyiqa.leaderboard.report.subset import Subset
from maagiqa_pyiqa.leaderboard.report.tables import raw_figures
from maagiqa_pyiqa.leaderboard.report.view import described, failures, label, quantity
from maagiqa_pyiqa.leaderboard.results import Results
from maagiqa_pyiqa.leaderboard.shown import name_identical_images
from maagiqa_pyiqa.support.pages import render_page

HERE = Path(__file__).parent


def as_page(results: Results, images: Mapping[str, ImagePath], baseline: str | None, subsets: Sequence[Subset]) -> str:
    """The whole page.

    Args:
        results: of the benchmark.
        images: by their names in the results, for the gallery.
        baseline: metric the best is held against; None for the usual one.
        subsets: parts of the images to look at by themselves.
    """
    values = {
        "results": results,
        "findings": [sections.finding(results, split) for split in results.splits],
        "identical_images": name_identical_images(results.dataset.identical_images),
        "chance": sections.CHANCE,
        "failures": failures(results),
        "leaderboard": sections.leaderboard(results),
        "raw_figures": raw_figures(results),
        "subsets": [(subset.text, sections.subset(results, subset, baseline)) for subset in subsets],
        "scatter": sections.scatter(results),
        "groups": sections.groups(results),
        "errors": sections.errors(results, baseline),
        "gallery": gallery(results, images, baseline),
    }
    filters: dict[str, Callable[..., Any]] = {
        "label": label,
        "quantity": quantity,
        "described": lambda split: described(results, split),
    }
    return render_page(HERE, ["page.js"], values, filters=filters)
