"""The leaderboard as a table: which columns, and what stands in each cell."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from markupsafe import Markup

from maagiqa_pyiqa.agreement.bootstrap import Estimate
from maagiqa_pyiqa.agreement.statistics import STATISTICS
from maagiqa_pyiqa.leaderboard.report.view import (
    label,
    listed,
    participants,
    published_figure,
    quantity,
    ranking,
    rows,
    trained_here,
)
from maagiqa_pyiqa.leaderboard.results import Participant, Results
from maagiqa_pyiqa.leaderboard.shown import shown_figure, write_p
from maagiqa_pyiqa.metrics.cost import SLOW_METRICS

SIGNIFICANCE = "paired bootstrap on SRCC: how easily chance alone gives this distance to the best"
VISIBLE = "Visible"
DETECTABLE = "smallest distance to the best in SRCC that a test with these images finds four times in five"
COST = "Cost"
SLOW = 5.0  # seconds an image, from which a table says so beside the name


@dataclass(frozen=True)
class Cell:
    """What stands in a cell, the small print under it, and the number it is sorted by (None goes last).

    ``unfair`` is the figure of a metric on images that it was trained on.
    """

    text: str
    note: str = ""
    order: float | None = None
    best: bool = False
    unfair: bool = False


MISSING = Cell("-")


@dataclass(frozen=True)
class Column:
    """A column: its title, its cells by metric, what it belongs to, whether high is better, and its meaning.

    ``drawings`` by metric stand beside the cells where there is room for them.
    """

    title: str
    cells: Mapping[str, Cell]
    group: str
    high_first: bool = True
    meaning: str = ""
    drawings: Mapping[str, Markup] = field(default_factory=dict)

    def cell(self, name: str) -> Cell:
        """What stands in the row of a metric."""
        return self.cells.get(name, MISSING)


@dataclass(frozen=True)
class Table:
    """Metrics as rows, best first, with notes by metric."""

    names: list[str]
    notes: Mapping[str, str]
    columns: list[Column]

    @property
    def groups(self) -> list[tuple[str, list[Column]]]:
        """Neighbouring columns that belong to the same, in order."""
        return [(group, list(columns)) for group, columns in groupby(self.columns, key=lambda column: column.group)]

    @property
    def is_sorted(self) -> bool:
        """Whether rows come sorted by their first figure, as they do unless some were trained on the images."""
        return not any(cell.unfair for cell in self.columns[0].cells.values())


def headline_statistics() -> list[str]:
    """Keys of the statistics that papers give: PLCC and RMSE after the fit, as the paper's code has them."""
    by_published_key = {statistic.published_key: key for key, statistic in STATISTICS.items()}
    return [by_published_key[key] for key in STATISTICS if key in by_published_key]


def other_statistics() -> list[str]:
    """Keys of the rest: of the scores as they are."""
    headline = headline_statistics()
    return [key for key in STATISTICS if key not in headline]


def leaderboard(results: Results) -> Table:
    """Every split side by side: agreement with MOS, published figures, significance; then the cost."""
    keys, columns = headline_statistics(), []
    for split in results.splits:
        columns += [*[_statistic(results, split, key) for key in keys], _significance(results, split)]
        columns.append(_detectable(results, split))
    columns += [_published(results, split, key) for split in results.splits for key in keys]
    columns += _costs(results)
    return Table(listed(results), _notes(results), [column for column in columns if column.cells])


def raw_figures(results: Results) -> Table:
    """What the fit changes: correlation and error of the scores as they are."""
    columns = [_statistic(results, split, key) for split in results.splits for key in other_statistics()]
    return Table(ranking(results), _notes(results), columns)


def figures_of(results: Results, split: str, key: str) -> dict[str, Estimate | None]:
    """One statistic of every metric of a split."""
    return {name: shown_figure(results, row, key) for name, row in rows(results, split).items()}


def statistic_column(
    figures: Mapping[str, Estimate | None], key: str, group: str, unfair: Collection[str] = (), meaning: str = ""
) -> Column:
    """A column of one statistic, the best marked, which none of ``unfair`` can be beside others."""
    statistic = STATISTICS[key]
    defined = {name: figure for name, figure in figures.items() if figure}
    fair = [figure.value for name, figure in defined.items() if name not in unfair]
    choose = max if statistic.higher_is_better else min
    best = choose(fair or [figure.value for figure in defined.values()], default=None)
    cells = {
        name: Cell(f"{figure.value:.4f}", figure.interval, figure.value, figure.value == best, name in unfair)
        for name, figure in defined.items()
    }
    return Column(statistic.title, cells, group, statistic.higher_is_better, meaning)


def _statistic(results: Results, split: str, key: str) -> Column:
    figures, unfair = figures_of(results, split, key), trained_here(results, split)
    return statistic_column(figures, key, label(split), unfair, STATISTICS[key].meaning)


def _published(results: Results, split: str, key: str) -> Column:
    statistic, ours, cells = STATISTICS[key], figures_of(results, split, key), {}
    for name in listed(results):
        value, measured = published_figure(results, split, name, statistic.published_key), ours.get(name)
        if value is not None:
            cells[name] = Cell(f"{value:.4f}", f"{measured.value - value:+.4f}" if measured else "", value)
    meaning = "as published, and ours minus published"
    return Column(statistic.title, cells, f"Published, {label(split).lower()}", statistic.higher_is_better, meaning)


def _significance(results: Results, split: str) -> Column:
    cells = {}
    for name, row in rows(results, split).items():
        p = row.p_against_best
        if p is not None:
            cells[name] = Cell(write_p(p), order=p)
        elif row.is_best:
            cells[name] = Cell("best", order=2.0)
    return Column("p", cells, label(split), meaning=SIGNIFICANCE)


def _detectable(results: Results, split: str) -> Column:
    found = {name: row.detectable for name, row in rows(results, split).items()}
    cells = {name: Cell(f"{value:.3f}", order=value) for name, value in found.items() if value is not None}
    return Column(VISIBLE, cells, label(split), high_first=False, meaning=DETECTABLE)


def _costs(results: Results) -> list[Column]:
    def column(
        title: str, key: str, write: Callable[[float], str], meaning: str, higher_is_better: bool = False
    ) -> Column:
        values = {name: getattr(participant, key) for name, participant in participants(results).items()}
        cells = {name: Cell(write(value), order=value) for name, value in values.items() if value is not None}
        return Column(title, cells, COST, higher_is_better, meaning)

    speed = "from file to score on the machine named below"
    return [
        column("Images/s", "images_per_second", lambda v: f"{v:.3g}", speed, higher_is_better=True),
        column("Parameters", "parameters", lambda v: f"{v / 1e6:.3g} M" if v else "0", "of the network"),
        column("Memory", "peak_memory_bytes", lambda v: f"{v / 1e9:.2g} GB", "peak, while scoring"),
    ]


def _notes(results: Results) -> dict[str, str]:
    """What has to be said of a metric beside its name."""
    return {name: ", ".join(_notes_on(results, name)) for name in listed(results)}


def _notes_on(results: Results, name: str) -> list[str]:
    participant = participants(results)[name]
    notes = ["lower is better"] if participant.lower_better else []
    if name not in ranking(results):
        notes.append("no figures of ours, see below")
    elif participant.failed_images:
        notes.append(f"{quantity(len(participant.failed_images), 'image')} without score")
    for split in results.splits:
        if seen := trained_here(results, split).get(name):
            notes.append(f"trained on {seen} {'' if split == 'all' else f'{split} '}images")
    notes += ["zero-shot"] if participant.zero_shot else []
    return [*notes, *_slowness(participant)]


def _slowness(participant: Participant) -> list[str]:
    """A note on a metric that takes long, as measured, or as it is known to."""
    speed = participant.images_per_second
    seconds = SLOW_METRICS.get(participant.spec) if speed is None else 1 / speed
    return [f"about {seconds:.0f} s an image"] if seconds is not None and seconds >= SLOW else []
