"""The leaderboard's report: ``report.html``, ``table.md``, ``table.csv`` and ``table.tex`` out of the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from maagiqa_pyiqa.images.sources import ImagePath
from maagiqa_pyiqa.leaderboard.report.csv_table import as_csv
from maagiqa_pyiqa.leaderboard.report.markdown import as_markdown
from maagiqa_pyiqa.leaderboard.report.page import as_page
from maagiqa_pyiqa.leaderboard.report.subset import parse_subset
from maagiqa_pyiqa.leaderboard.report.tex import as_tex
from maagiqa_pyiqa.leaderboard.report.view import check_baseline, participants
from maagiqa_pyiqa.leaderboard.results import Results
from maagiqa_pyiqa.support.files import write_whole


def write_report(
    results: Results,
    out: Path,
    images: Mapping[str, ImagePath],
    *,
    baseline: str | None = None,
    where: Sequence[str] = (),
) -> None:
    """Write the report's four files into a folder.

    Args:
        results: of the benchmark.
        out: folder, made if absent.
        images: by their names in the results; one that cannot be read is shown as missing.
        baseline: metric the best is held against in the error densities and the gallery; without it, or where it could
            not run, MANIQA, or else the second best.
        where: parts of the images to look at by themselves, one filter each, such as ``generator=SDXL`` or
            ``prompt~digital & mos<1.5``.

    Raises:
        ValueError: ``baseline`` is no metric of the results, or a filter cannot be read or names no column.
    """
    check_baseline(participants(results), baseline)
    subsets = [parse_subset(text, [c for image in results.images for c in image.columns]) for text in where]
    write_whole(out / "table.md", as_markdown(results))
    write_whole(out / "table.csv", as_csv(results))
    write_whole(out / "table.tex", as_tex(results))
    write_whole(out / "report.html", as_page(results, images, baseline, subsets))
