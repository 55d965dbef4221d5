"""``table.csv``: one line a metric, every figure in full."""

from __future__ import annotations

from maagiqa_pyiqa.agreement.statistics import STATISTICS
from maagiqa_pyiqa.leaderboard.report.tables import headline_statistics
from maagiqa_pyiqa.leaderboard.report.view import failures, participants, published_figure, ranking, rows
from maagiqa_pyiqa.leaderboard.results import Results
from maagiqa_pyiqa.support import csv_files

PARTICIPANT = (
    "status", "reason", "lower_better", "zero_shot", "device", "images_per_second", "parameters", "peak_memory_bytes",
)  # fmt: skip


def as_csv(results: Results) -> str:
    """One line a metric; those that failed at the end, with their reason."""
    header = ["metric", *PARTICIPANT, *[column for split in results.splits for column in _columns(split)]]
    known = participants(results)
    lines: list[list[object]] = []
    for name in [*ranking(results), *failures(results)]:
        figures = [cell for split in results.splits for cell in _cells(results, split, name)]
        lines.append([name, *[getattr(known[name], key) for key in PARTICIPANT], *figures])
    return csv_files.as_csv(header, lines)


def _columns(split: str) -> list[str]:
    figures = [f"{key}{end}" for key in STATISTICS for end in ("", "_low", "_high")]
    published = [f"published_{key}" for key in _published_keys()]
    tests = ("p_against_best", "detectable")
    return [f"{split}_{name}" for name in ("images", "seen_in_training", *figures, *tests, *published)]


def _cells(results: Results, split: str, name: str) -> list[float | None]:
    row = rows(results, split).get(name)
    published = [published_figure(results, split, name, key) for key in _published_keys()]
    if row is None:
        return [*[None] * (len(_columns("")) - len(published)), *published]
    figures = [row.figures.get(key) for key in STATISTICS]
    ends = [end for f in figures for end in ((f.value, f.low, f.high) if f else (None, None, None))]
    return [row.n, row.seen_in_training, *ends, row.p_against_best, row.detectable, *published]


def _published_keys() -> list[str | None]:
    return [STATISTICS[key].published_key for key in headline_statistics()]
