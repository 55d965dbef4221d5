"""The ranking of a split as plain text, for the terminal."""

from __future__ import annotations

from maagiqa_pyiqa.agreement.bootstrap import Estimate
from maagiqa_pyiqa.agreement.statistics import STATISTICS
from maagiqa_pyiqa.leaderboard.results import Results, Row

NONE = "-"


def as_ranking(results: Results, split: str) -> str:
    """Table of a split, best SRCC first; metrics without figures stand below with their status."""
    part = results.splits[split]
    ranked = [row.name for row in part.rows]
    others = [participant for participant in results.participants if participant.name not in ranked]
    width = max(len(participant.name) for participant in results.participants)
    titles = "  ".join(f"{statistic.title:>8}" for statistic in STATISTICS.values())
    lines = [
        f"{results.dataset.name}, split {split}, part {part.part}: {part.images} images",
        f"rank  {'metric':<{width}}  {titles}  95 % of SRCC      p vs best  images",
    ]
    for rank, row in enumerate(part.rows, start=1):
        figures = "  ".join(f"{_value(row.figures[key]):>8}" for key in STATISTICS)
        place = NONE if row.seen_in_training else rank  # the last rows
        interval = _interval(row.figures["srcc"])
        lines.append(f"{place:>4}  {row.name:<{width}}  {figures}  {interval:<16}  {_p(row):>9}  {row.n:>6}")
    lines += [f"   {NONE}  {participant.name:<{width}}  {participant.status}" for participant in others]
    lines += [
        f"{row.name} was trained on {row.seen_in_training} of these images, which flatters its figures."
        for row in part.rows
        if row.seen_in_training
    ]
    return "\n".join(lines)


def _value(figure: Estimate | None) -> str:
    return NONE if figure is None else f"{figure.value:.4f}"


def _interval(figure: Estimate | None) -> str:
    return NONE if figure is None else f"{figure.low:.4f} - {figure.high:.4f}"


def _p(row: Row) -> str:
    if row.is_best:
        return "best"
    return NONE if row.p_against_best is None else f"{row.p_against_best:.3f}"
