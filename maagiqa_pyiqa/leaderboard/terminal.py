"""The ranking of a split as plain text, for the terminal."""

from __future__ import annotations

from collections.abc import Callable

from maagiqa_pyiqa.agreement.bootstrap import Estimate
from maagiqa_pyiqa.agreement.statistics import STATISTICS, Statistic
from maagiqa_pyiqa.leaderboard.results import Participant, Published, Results, Row
from maagiqa_pyiqa.leaderboard.shown import describe_power, published_of, shown_figure, undefined_figures, write_p
from maagiqa_pyiqa.support.text import printable

NONE = "-"


def as_ranking(results: Results, split: str) -> str:
    """Table of a split, best SRCC first, published figures under ours; metrics without figures stand below."""
    part = results.splits[split]
    ranked = [row.name for row in part.rows]
    others = [participant for participant in results.participants if participant.name not in ranked]
    width = max(len(name) for name in ("published", *(printable(one.name) for one in results.participants)))
    titles = _columns(lambda statistic: statistic.title)
    prompts = f" of {part.prompts} prompts, which were resampled" if part.prompts else ""
    lines = [
        f"{printable(results.dataset.name)}, split {split}, part {part.part}: {part.images} images{prompts}",
        f"rank  {'metric':<{width}}  {titles}  95 % of SRCC      p vs best  images",
    ]
    for rank, row in enumerate(part.rows, start=1):
        place = NONE if row.seen_in_training else str(rank)  # the last rows
        lines += [_ranked(results, row, place, width), *_published(results, split, row.name, width)]
    for participant in others:
        lines += [_unranked(participant, width), *_published(results, split, participant.name, width)]
    lines += [
        f"{printable(row.name)} was trained on {row.seen_in_training} of these images, which flatters its figures."
        for row in part.rows
        if row.seen_in_training
    ]
    notes = filter(None, [*undefined_figures(results, split), describe_power(results, split)])
    return "\n".join([*lines, *map(printable, notes)])


def _columns(write: Callable[[Statistic], str]) -> str:
    """What stands in the columns of the statistics."""
    return "  ".join(f"{write(statistic):>{max(8, len(statistic.title))}}" for statistic in STATISTICS.values())


def _ranked(results: Results, row: Row, place: str, width: int) -> str:
    figures = _columns(lambda statistic: _value(shown_figure(results, row, statistic.key)))
    interval = _interval(row.figures["srcc"])
    return f"{place:>4}  {printable(row.name):<{width}}  {figures}  {interval:<16}  {_p(row):>9}  {row.n:>6}"


def _unranked(participant: Participant, width: int) -> str:
    return f"{NONE:>4}  {printable(participant.name):<{width}}  {participant.status}"


def _published(results: Results, split: str, name: str, width: int) -> list[str]:
    found = published_of(results, split, name)
    if found is None:
        return []
    figures = _columns(lambda statistic: _published_value(found, statistic))
    return [f"      {'published':>{width}}  {figures}".rstrip()]


def _published_value(published: Published, statistic: Statistic) -> str:
    value = published.get(statistic.published_key)
    return "" if value is None else f"{value:.4f}"


def _value(figure: Estimate | None) -> str:
    return NONE if figure is None else f"{figure.value:.4f}"


def _interval(figure: Estimate | None) -> str:
    return NONE if figure is None else f"{figure.low:.4f} - {figure.high:.4f}"


def _p(row: Row) -> str:
    if row.is_best:
        return "best"
    return NONE if row.p_against_best is None else write_p(row.p_against_best)
