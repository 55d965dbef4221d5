"""``table.tex``: the leaderboard as a ``table*`` in booktabs style."""

from __future__ import annotations

from itertools import accumulate

from maagiqa_pyiqa.leaderboard.report.tables import VISIBLE, Cell, Table, leaderboard
from maagiqa_pyiqa.leaderboard.report.view import described, failures
from maagiqa_pyiqa.leaderboard.results import Results

ESCAPES = str.maketrans(
    {c: f"\\{c}" for c in "{}$&#_%"}
    | {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
    | {"<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}", "\n": " "}
)


def as_tex(results: Results) -> str:
    """The table, with what could not run in small print under it."""
    table = _narrowed(leaderboard(results))
    lines = [
        "% needs \\usepackage{booktabs} and, for its width, \\usepackage{graphicx}",
        "\\begin{table*}",
        "\\centering",
        f"\\caption{{{_caption(results)}}}",
        "\\setlength{\\tabcolsep}{3pt}\\renewcommand{\\arraystretch}{1.45}",
        "\\resizebox{\\textwidth}{!}{%",
        f"\\begin{{tabular}}{{@{{}}l{'r' * len(table.columns)}@{{}}}}",
        "\\toprule",
        *_head(table),
        "\\midrule",
        *[_row(table, name) for name in table.names],
        "\\bottomrule",
        "\\end{tabular}}",
        *_small_print(results),
        "\\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def _narrowed(table: Table) -> Table:
    """What fits a printed page: of what is published only SRCC, and neither memory nor what a test can see."""
    kept = [c for c in table.columns if not (c.group.startswith("Published") and c.title != "SRCC")]
    return Table(table.names, table.notes, [column for column in kept if column.title not in ("Memory", VISIBLE)])


def _caption(results: Results) -> str:
    sizes = _escape(" and ".join(described(results, split) for split in results.splits))
    return (
        f"Agreement with MOS on {_escape(results.dataset.name)}, {sizes}. Sub- and superscripts are the ends of "
        "the 95\\,\\% bootstrap interval; fitted PLCC and RMSE are after a 4-parameter logistic fit; differences are "
        "ours minus published."
    )


def _head(table: Table) -> list[str]:
    """Groups over their columns, a rule under each, titles."""
    sizes = [len(columns) for _, columns in table.groups]
    ends = [1 + end for end in accumulate(sizes)]  # the first column holds the names
    spans = [f"\\multicolumn{{{len(columns)}}}{{c}}{{{_escape(group)}}}" for group, columns in table.groups]
    rules = [f"\\cmidrule(lr){{{end - size + 1}-{end}}}" for size, end in zip(sizes, ends, strict=True)]
    titles = ["Metric", *[_escape(column.title) for column in table.columns]]
    return [" & ".join(["", *spans]) + " \\\\", " ".join(rules), " & ".join(titles) + " \\\\"]


def _row(table: Table, name: str) -> str:
    arrow = " $\\downarrow$" if "lower is better" in table.notes[name] else ""
    return " & ".join([_escape(name) + arrow, *[_cell(column.cell(name)) for column in table.columns]]) + " \\\\"


def _cell(cell: Cell) -> str:
    text = f"\\textbf{{{cell.text}}}" if cell.best else _escape(cell.text)
    if cell.note.startswith("["):
        low, high = cell.note.strip("[]").split(", ")
        return f"{text}$_{{{low}}}^{{{high}}}$"
    return f"{text} (${cell.note}$)" if cell.note else text


def _small_print(results: Results) -> list[str]:
    notes = ["$\\downarrow$ the metric's raw score is better when lower; the figures take that into account."]
    notes += [f"{_escape(name)} could not run: {_escape(reason)}." for name, reason in failures(results).items()]
    return ["\\par\\smallskip\\raggedright\\footnotesize", *[f"{note}\\\\" for note in notes[:-1]], notes[-1]]


def _escape(text: str) -> str:
    return text.translate(ESCAPES)
