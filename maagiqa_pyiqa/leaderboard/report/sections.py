"""What the sections of the page show, one function each; its words and elements are in ``templates/``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from maagiqa_pyiqa.agreement.bootstrap import Estimate
from maagiqa_pyiqa.leaderboard.datasets import MIN_IMAGES
from maagiqa_pyiqa.leaderboard.report import figures, tables
from maagiqa_pyiqa.leaderboard.report.subset import Subset, measure
from maagiqa_pyiqa.leaderboard.report.tables import Table, figures_of, headline_statistics, statistic_column
from maagiqa_pyiqa.leaderboard.report.view import (
    Predictions,
    all_predictions,
    choose_pair,
    label,
    names_of,
    positions_in,
    published_figure,
    quantity,
    rows,
    trained_here,
)
from maagiqa_pyiqa.leaderboard.results import GroupRow, Results
from maagiqa_pyiqa.leaderboard.shown import describe_power, undefined_figures

CHANCE = 0.05  # p above which a metric cannot be told from the best
HARDEST = 0.25  # share of the images, those on which the baseline errs most
MAX_GROUPS = 24  # shown of one column


@dataclass(frozen=True)
class Panel:
    """A drawing under its name."""

    name: str
    drawing: Markup


# ------------------------------------------------------------------------------------------------ header, leaderboard


@dataclass(frozen=True)
class Finding:
    """Who is best on a split (None where no metric has a figure), its SRCC, who is level with it, who is left out.

    ``undefined`` are sentences on metrics without a figure, ``power`` is one on what the images can show.
    """

    split: str
    best: str | None = None
    srcc: Estimate | None = None
    level: Sequence[str] = ()
    trained_here: Sequence[str] = ()
    undefined: Sequence[str] = ()
    power: str = ""


def finding(results: Results, split: str) -> Finding:
    """Who is best on a split, who cannot be told from it, and who was trained on its images."""
    ranked = {name: row for name, row in rows(results, split).items() if row.figures.get("srcc")}
    undefined = undefined_figures(results, split)
    if not ranked:
        return Finding(split, undefined=undefined)
    best = next((name for name, row in ranked.items() if row.is_best), next(iter(ranked)))
    trained = [name for name in trained_here(results, split) if name in ranked and name != best]
    others = [name for name in ranked if name not in (best, *trained)]
    level = [name for name in others if (ranked[name].p_against_best or 0) >= CHANCE]
    power = describe_power(results, split)
    return Finding(split, best, ranked[best].figures["srcc"], level, trained, undefined, power)


def leaderboard(results: Results) -> Table:
    """The table with a small drawing beside each SRCC."""
    table, strips = tables.leaderboard(results), _strips(results)
    columns = [
        replace(column, drawings=strips.get(column.group, {})) if column.title == "SRCC" else column
        for column in table.columns
    ]
    return replace(table, columns=columns)


def _strips(results: Results) -> dict[str, dict[str, Markup]]:
    """Drawings by heading of a split and metric, all on one scale."""
    srcc = {split: figures_of(results, split, "srcc") for split in results.splits}
    lowest = _lowest([figure for by_name in srcc.values() for figure in by_name.values()])
    return {
        label(split): {
            name: figures.strip(figure, published_figure(results, split, name, "srcc"), lowest)
            for name, figure in by_name.items()
            if figure
        }
        for split, by_name in srcc.items()
    }


def _lowest(estimates: Sequence[Estimate | None]) -> float:
    return min((e.value if e.low is None else e.low for e in estimates if e), default=0.0)


# ------------------------------------------------------------------------------------------------------------ subsets


@dataclass(frozen=True)
class SubsetView:
    """How many of a split's images are in the subset; figures and scatters, unless there are none."""

    images: int
    of: int
    table: Table | None = None
    panels: Sequence[Panel] = ()


def subset(results: Results, chosen: Subset, baseline: str | None) -> dict[str, SubsetView]:
    """Figure 2: agreement on a part of the images beside that on all, by split."""
    positions = chosen.positions(results)
    return {split: _subset(results, split, positions, baseline) for split in results.splits}


def _subset(results: Results, split: str, positions: np.ndarray, baseline: str | None) -> SubsetView:
    every = positions_in(results, split)
    inside = np.intersect1d(every, positions)
    if not len(inside):
        return SubsetView(0, len(every))
    whole = all_predictions(results, split)
    parts = {name: metric.only(inside) for name, metric in whole.items()}
    names = choose_pair(results, split, baseline) or tuple(whole)[:1]
    panels = [_subset_panel(results, parts[name], whole[name]) for name in reversed(names)]
    return SubsetView(len(inside), len(every), _subset_table(results, split, parts), panels)


def _subset_table(results: Results, split: str, parts: Mapping[str, Predictions]) -> Table:
    measured = {name: measure(results, part) for name, part in parts.items()}
    unfair = trained_here(results, split)
    columns = [statistic_column(figures_of(results, split, "srcc"), "srcc", "All images", unfair)]
    for key in headline_statistics():
        figures_here = {name: by_key[key] for name, by_key in measured.items()}
        columns.append(statistic_column(figures_here, key, "Subset", unfair))
    return Table(list(parts), {name: quantity(len(part), "image") for name, part in parts.items()}, columns)


def _subset_panel(results: Results, part: Predictions, whole: Predictions) -> Panel:
    names = names_of(results, part.positions)
    return Panel(part.name, figures.scatter(part, results.dataset.mos_range, names, whole))


# ------------------------------------------------------------------------------------------------------------ scatter


@dataclass(frozen=True)
class ScatterPanel(Panel):
    """Scores against MOS, and SRCC."""

    srcc: Estimate | None


def scatter(results: Results) -> dict[str, list[ScatterPanel]]:
    """Score against MOS for every metric, by split."""
    return {
        split: [_scatter(results, metric, figures_of(results, split, "srcc")[name]) for name, metric in metrics.items()]
        for split in results.splits
        if (metrics := all_predictions(results, split))
    }


def _scatter(results: Results, metric: Predictions, srcc: Estimate | None) -> ScatterPanel:
    names = names_of(results, metric.positions)
    return ScatterPanel(metric.name, figures.scatter(metric, results.dataset.mos_range, names), srcc)


# ------------------------------------------------------------------------------------------------------------- groups


@dataclass(frozen=True)
class GroupPanel(Panel):
    """SRCC of every metric on the images of a group, and how many there are."""

    images: int


@dataclass(frozen=True)
class GroupsView:
    """The largest groups of a column, and how many are not drawn."""

    panels: Sequence[GroupPanel]
    left_out: int


def groups(results: Results) -> dict[str, dict[str, GroupsView]]:
    """SRCC within each generator, style and whatever else the data set tells, by split and column."""
    views = {
        split: {column: _groups(entries) for column, entries in content.groups.items() if entries}
        for split, content in results.splits.items()
    }
    return {split: columns for split, columns in views.items() if columns}


def _groups(entries: Sequence[GroupRow]) -> GroupsView:
    by_group: dict[str, list[GroupRow]] = {}
    for entry in entries:
        by_group.setdefault(entry.group, []).append(entry)
    sizes = {group: max(entry.n for entry in members) for group, members in by_group.items()}
    srcc = {group: {entry.name: entry.figures.get("srcc") for entry in members} for group, members in by_group.items()}
    largest = sorted((g for g in srcc if any(srcc[g].values())), key=lambda group: -sizes[group])[:MAX_GROUPS]
    lowest = min((f.value for group in largest for f in srcc[group].values() if f), default=0.0)
    panels = [
        GroupPanel(
            group,
            figures.bars(srcc[group], f"SRCC of each metric on {group}", lowest, _why_absent(by_group[group])),
            sizes[group],
        )
        for group in srcc
        if group in largest
    ]
    return GroupsView(panels, len(srcc) - len(panels))


def _why_absent(entries: Sequence[GroupRow]) -> dict[str, str]:
    return {entry.name: "too few images" if entry.n < MIN_IMAGES else "MOS or scores all equal" for entry in entries}


# ------------------------------------------------------------------------------------------------------------- errors


@dataclass(frozen=True)
class ErrorPanel(Panel):
    """Density of absolute errors on the hardest images, and mean errors on these and on all."""

    mean: float
    mean_of_all: float


@dataclass(frozen=True)
class ErrorsView:
    """The images on which the baseline errs most, and how far off each metric is there."""

    baseline: str
    hardest: int
    of: int
    panels: Sequence[ErrorPanel]


def errors(results: Results, baseline: str | None) -> dict[str, ErrorsView]:
    """Figure 6: how far off each metric is where the baseline is furthest off, by split."""
    views = {split: _errors(results, split, baseline) for split in results.splits}
    return {split: view for split, view in views.items() if view}


def _errors(results: Results, split: str, wanted: str | None) -> ErrorsView | None:
    pair = choose_pair(results, split, wanted)
    if pair is None:
        return None
    baseline = pair[0]
    whole = {name: metric for name, metric in all_predictions(results, split).items() if metric.logistic}
    hardest = hardest_images(whole[baseline])
    here = {name: part.errors for name, metric in whole.items() if len(part := metric.only(hardest))}
    panels = [
        ErrorPanel(name, drawing, here[name].mean(), whole[name].errors.mean())
        for name, drawing in figures.densities(here, baseline).items()
    ]
    return ErrorsView(baseline, len(hardest), len(whole[baseline]), panels)


def hardest_images(metric: Predictions, share: float = HARDEST) -> np.ndarray:
    """Positions of the images on which a metric errs most, at least one."""
    size = max(1, round(share * len(metric)))
    return metric.positions[np.argsort(-metric.errors, kind="stable")[:size]]
