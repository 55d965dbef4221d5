"""The leaderboard as a table, and that table as Markdown, CSV and TeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from maagiqa_pyiqa.leaderboard.report.view import (
    Figure,
    Results,
    count,
    described,
    failures,
    figure,
    label,
    participants,
    ranking,
    rows,
    trained_here,
)

# key, title, whether higher is better; PLCC and RMSE after the fit, as the paper's code has them
FITTED = (("srcc", "SRCC", True), ("plcc_fitted", "PLCC", True), ("krcc", "KRCC", True), ("rmse_fitted", "RMSE", False))
RAW = (("plcc", "raw PLCC", True), ("rmse", "raw RMSE", False))
PUBLISHED = ("srcc", "plcc", "krcc", "rmse")  # the figures of FITTED by their published names
MEANING = {
    "SRCC": "Spearman's rank correlation with MOS; 1 is the order people give",
    "PLCC": "Pearson's correlation with MOS, after a 4-parameter logistic fitted to these MOS",
    "KRCC": "Kendall's rank correlation with MOS",
    "RMSE": "root mean square difference to MOS after the same fit, on the MOS scale; lower is better",
    "raw PLCC": "Pearson's correlation of the scores as they are",
    "raw RMSE": "difference of the scores as they are to MOS; means little for a metric of another scale",
    "p": "paired bootstrap on SRCC: how easily chance alone gives this distance to the best",
    "Images/s": "from file to score on the machine named below",
    "Parameters": "of the network",
    "Memory": "peak, while scoring",
}
CSV_FIGURES = ("srcc", "plcc", "krcc", "rmse", "plcc_fitted", "rmse_fitted")
COSTS = ("images_per_second", "parameters", "peak_memory_bytes")


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
    """A column: its title, its cells by metric, what it belongs to, whether high is better, and its meaning."""

    title: str
    cells: Mapping[str, Cell]
    group: str
    high_first: bool = True
    meaning: str = ""


@dataclass(frozen=True)
class Table:
    """Metrics as rows, best first, with notes by metric."""

    names: list[str]
    notes: Mapping[str, str]
    columns: list[Column]


def leaderboard(results: Results) -> Table:
    """Every split side by side: agreement with MOS, published figures, significance; then the cost."""
    columns = []
    for split in results["splits"]:
        columns += [*[_statistic(results, split, *spec) for spec in FITTED], _significance(results, split)]
    columns += [
        _published(results, split, key, *spec)
        for split in results["splits"]
        for key, spec in zip(PUBLISHED, FITTED, strict=True)
    ]
    columns += _costs(results)
    return Table(ranking(results), _notes(results), [column for column in columns if column.cells])


def raw_figures(results: Results) -> Table:
    """What the fit changes: correlation and error of the scores as they are."""
    columns = [_statistic(results, split, *spec) for split in results["splits"] for spec in RAW]
    return Table(ranking(results), _notes(results), columns)


def _statistic(results: Results, split: str, key: str, title: str, high: bool) -> Column:
    found = {name: figure(row, key) for name, row in rows(results, split).items()}
    cells = statistic_cells(found, high, trained_here(results, split))
    return Column(title, cells, label(split), high, MEANING[title])


def statistic_cells(
    found: Mapping[str, Figure | None], high: bool = True, unfair: Collection[str] = ()
) -> dict[str, Cell]:
    """Cells of one statistic by metric, the best marked, which none of ``unfair`` can be beside others."""
    fair = [f.value for name, f in found.items() if f and name not in unfair]
    best = (max if high else min)(fair or [f.value for f in found.values() if f], default=None)
    return {n: Cell(f"{f.value:.4f}", f.interval, f.value, f.value == best, n in unfair) for n, f in found.items() if f}


def _published(results: Results, split: str, key: str, ours: str, title: str, high: bool) -> Column:
    cells = {}
    for name, row in rows(results, split).items():
        value, measured = (row.get("published") or {}).get(key), figure(row, ours)
        if value is not None:
            cells[name] = Cell(f"{value:.4f}", f"{measured.value - value:+.4f}" if measured else "", value)
    return Column(title, cells, f"Published, {label(split).lower()}", high, "as published, and ours minus published")


def _significance(results: Results, split: str) -> Column:
    cells = {}
    for name, row in rows(results, split).items():
        p = row.get("p_against_best")
        if p is not None:
            cells[name] = Cell("<0.001" if p < 0.001 else f"{p:.3f}", order=p)
        elif row.get("is_best"):
            cells[name] = Cell("best", order=2.0)
    return Column("p", cells, label(split), meaning=MEANING["p"])


def _costs(results: Results) -> list[Column]:
    def column(title: str, key: str, write: Callable[[float], str], high: bool = False) -> Column:
        given = {name: p.get(key) for name, p in participants(results).items()}
        cells = {name: Cell(write(value), order=value) for name, value in given.items() if value is not None}
        return Column(title, cells, "Cost", high, MEANING[title])

    return [
        column("Images/s", "images_per_second", lambda v: f"{v:.3g}", high=True),
        column("Parameters", "parameters", lambda v: f"{v / 1e6:.3g} M" if v else "0"),
        column("Memory", "peak_memory_bytes", lambda v: f"{v / 1e9:.2g} GB"),
    ]


def _notes(results: Results) -> dict[str, str]:
    """What has to be said of a metric beside its name."""
    notes = {}
    for name in ranking(results):
        participant = participants(results)[name]
        said = ["lower is better"] if participant.get("lower_better") else []
        if participant.get("failed_images"):
            said.append(f"{count(len(participant['failed_images']), 'image')} without score")
        said += [
            f"trained on {seen} {'' if split == 'all' else f'{split} '}images"
            for split in results["splits"]
            if (seen := trained_here(results, split).get(name))
        ]
        notes[name] = ", ".join(said)
    return notes


def as_markdown(results: Results) -> str:
    """Both tables, then the metrics that could not run."""
    dataset = results["dataset"]
    lines = [f"# {_markdown(dataset['name'])}", "", *_markdown_caption(results), ""]
    if ranking(results):
        lines += [*_markdown_table(leaderboard(results)), "", "The scores as they are, without the fit:", ""]
        lines += _markdown_table(raw_figures(results))
    if failed := failures(results):
        lines += ["", "Could not run:", "", *[f"- {_markdown(n)}: {_markdown(r)}" for n, r in failed.items()]]
    return "\n".join(lines) + "\n"


def _markdown_caption(results: Results) -> list[str]:
    counts = " and ".join(described(results, split) for split in results["splits"])
    return [
        f"Agreement with MOS on {counts}.",
        "95 % bootstrap intervals in brackets, best in bold. SRCC, PLCC, KRCC: higher is better; RMSE: lower. PLCC and",
        "RMSE after a 4-parameter logistic fit. p: paired bootstrap against the best. Beside published figures: ours",
        "minus published.",
    ]


def _markdown_table(table: Table) -> list[str]:
    titles = ["metric", *[c.title if c.group == "Cost" else f"{c.group}: {c.title}" for c in table.columns]]
    lines = [f"| {' | '.join(titles)} |", "|---" + "|---:" * len(table.columns) + "|"]
    for name in table.names:
        note = f" ({table.notes[name]})" if table.notes[name] else ""
        cells = [_markdown_cell(column.cells.get(name, MISSING)) for column in table.columns]
        lines.append(f"| {_markdown(name)}{note} | {' | '.join(cells)} |")
    return lines


def _markdown_cell(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.best else _markdown(cell.text)
    note = cell.note if cell.note.startswith("[") or not cell.note else f"({cell.note})"
    return f"{text} {note}".rstrip()


def _markdown(text: str) -> str:
    """Escape what Markdown or HTML would take for a mark."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return "".join("\\" + character if character in "\\`*[]|" else character for character in text)


def as_csv(results: Results) -> str:
    """One line a metric, figures in full; those that failed at the end, with their reason."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["metric", "status", "reason", "lower_better", "device", *COSTS]
        + [column for split in results["splits"] for column in _csv_columns(split)]
    )
    everyone = participants(results)
    for name in [*ranking(results), *failures(results)]:
        p = everyone[name]
        cells = [name, p["status"], p.get("reason"), p.get("lower_better"), p.get("device"), *[p.get(c) for c in COSTS]]
        for split in results["splits"]:
            cells += _csv_cells(rows(results, split).get(name, {}))
        writer.writerow(cells)
    return text.getvalue()


def _csv_columns(split: str) -> list[str]:
    figures = [f"{key}{part}" for key in CSV_FIGURES for part in ("", "_low", "_high")]
    return [
        f"{split}_{column}"
        for column in ["images", "seen_in_training", *figures, "p_against_best", *(f"published_{p}" for p in PUBLISHED)]
    ]


def _csv_cells(row: Mapping[str, Any]) -> list[float | None]:
    figures = [figure(row, key) for key in CSV_FIGURES]
    published = row.get("published") or {}
    return [
        row.get("n"),
        row.get("seen_in_training"),
        *[part for f in figures for part in ((f.value, f.low, f.high) if f else (None, None, None))],
        row.get("p_against_best"),
        *[published.get(key) for key in PUBLISHED],
    ]


def as_tex(results: Results) -> str:
    """A ``table*`` in booktabs style, with what could not run in small print under it."""
    table = _narrowed(leaderboard(results))
    groups = _runs([column.group for column in table.columns])
    lines = [
        "% needs \\usepackage{booktabs} and, for its width, \\usepackage{graphicx}",
        "\\begin{table*}",
        "\\centering",
        f"\\caption{{{_tex_caption(results)}}}",
        "\\setlength{\\tabcolsep}{3pt}\\renewcommand{\\arraystretch}{1.45}",
        "\\resizebox{\\textwidth}{!}{%",
        f"\\begin{{tabular}}{{@{{}}l{'r' * len(table.columns)}@{{}}}}",
        "\\toprule",
        " & ".join(["", *[f"\\multicolumn{{{last - first}}}{{c}}{{{_tex(g)}}}" for g, first, last in groups]])
        + " \\\\",
        " ".join(f"\\cmidrule(lr){{{first + 2}-{last + 1}}}" for _, first, last in groups),
        " & ".join(["Metric", *[_tex(column.title) for column in table.columns]]) + " \\\\",
        "\\midrule",
        *[_tex_row(table, name) for name in table.names],
        "\\bottomrule",
        "\\end{tabular}}",
        *_tex_small_print(results),
        "\\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def _narrowed(table: Table) -> Table:
    """What fits a printed page: of what is published only SRCC, and no memory."""
    kept = [c for c in table.columns if not (c.group.startswith("Published") and c.title != "SRCC")]
    return Table(table.names, table.notes, [column for column in kept if column.title != "Memory"])


def _runs(groups: list[str]) -> list[tuple[str, int, int]]:
    """Neighbours of the same group: (group, first, one past the last)."""
    starts = [i for i, group in enumerate(groups) if i == 0 or group != groups[i - 1]]
    return [(groups[a], a, b) for a, b in pairwise([*starts, len(groups)])]


def _tex_caption(results: Results) -> str:
    counts = _tex(" and ".join(described(results, split) for split in results["splits"]))
    return (
        f"Agreement with MOS on {_tex(results['dataset']['name'])}, {counts}. Sub- and superscripts are the ends of "
        "the 95\\,\\% bootstrap interval; PLCC and RMSE after a 4-parameter logistic fit; differences are ours "
        "minus published."
    )


def _tex_row(table: Table, name: str) -> str:
    arrow = " $\\downarrow$" if "lower is better" in table.notes[name] else ""
    cells = [_tex_cell(column.cells.get(name, MISSING)) for column in table.columns]
    return " & ".join([_tex(name) + arrow, *cells]) + " \\\\"


def _tex_cell(cell: Cell) -> str:
    text = f"\\textbf{{{cell.text}}}" if cell.best else _tex(cell.text)
    if cell.note.startswith("["):
        low, high = cell.note.strip("[]").split(", ")
        return f"{text}$_{{{low}}}^{{{high}}}$"
    return f"{text} (${cell.note}$)" if cell.note else text


def _tex_small_print(results: Results) -> list[str]:
    said = ["$\\downarrow$ the metric's raw score is better when lower; the figures take that into account."]
    said += [f"{_tex(name)} could not run: {_tex(reason)}." for name, reason in failures(results).items()]
    return ["\\par\\smallskip\\raggedright\\footnotesize", *[f"{line}\\\\" for line in said[:-1]], said[-1]]


TEX = str.maketrans(
    {c: f"\\{c}" for c in "{}$&#_%"}
    | {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
    | {"<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}", "\n": " "}
)


def _tex(text: str) -> str:
    return text.translate(TEX)
