"""``table.md``: the leaderboard as Markdown."""

from __future__ import annotations

from maagiqa_pyiqa.leaderboard.report.tables import COST, Cell, Table, leaderboard, raw_figures
from maagiqa_pyiqa.leaderboard.report.view import described, failures, label, listed, ranking
from maagiqa_pyiqa.leaderboard.results import Results
from maagiqa_pyiqa.leaderboard.shown import describe_power, name_identical_images, undefined_figures


def as_markdown(results: Results) -> str:
    """Both tables, then the metrics that could not run."""
    lines = [f"# {_escape(results.dataset.name)}", "", *_caption(results), ""]
    if listed(results):
        lines += _table(leaderboard(results))
    if ranking(results):
        lines += ["", "The scores as they are, without the fit:", ""]
        lines += _table(raw_figures(results))
    lines += [line for note in _remarks(results) for line in ("", _escape(note))]
    if failed := failures(results):
        lines += ["", "Could not run:", ""]
        lines += [f"- {_escape(name)}: {_escape(reason)}" for name, reason in failed.items()]
    return "\n".join(lines) + "\n"


def _remarks(results: Results) -> list[str]:
    notes = [f"{label(split)}: {note}" for split in results.splits for note in undefined_figures(results, split)]
    notes += [f"{label(split)}: {note}" for split in results.splits if (note := describe_power(results, split))]
    identical = name_identical_images(results.dataset.identical_images)
    return [*notes, identical] if identical else notes


def _caption(results: Results) -> list[str]:
    sizes = " and ".join(described(results, split) for split in results.splits)
    return [
        f"Agreement with MOS on {sizes}.",
        "95 % bootstrap intervals in brackets, best in bold. SRCC, PLCC, KRCC: higher is better; RMSE: lower. Fitted:",
        "after a 4-parameter logistic fit. Raw RMSE is given for scores on the scale of MOS only. p: paired bootstrap",
        "against the best; visible: the smallest distance in SRCC that it finds four times in five. Beside published",
        "figures: ours minus published. Zero-shot: known to have seen nothing of this data set.",
    ]


def _table(table: Table) -> list[str]:
    titles = ["metric", *[c.title if c.group == COST else f"{c.group}: {c.title}" for c in table.columns]]
    lines = [f"| {' | '.join(titles)} |", "|---" + "|---:" * len(table.columns) + "|"]
    for name in table.names:
        note = f" ({table.notes[name]})" if table.notes[name] else ""
        cells = [_cell(column.cell(name)) for column in table.columns]
        lines.append(f"| {_escape(name)}{note} | {' | '.join(cells)} |")
    return lines


def _cell(cell: Cell) -> str:
    text = f"**{cell.text}**" if cell.best else _escape(cell.text)
    note = cell.note if cell.note.startswith("[") or not cell.note else f"({cell.note})"
    return f"{text} {note}".rstrip()


def _escape(text: str) -> str:
    """Escape what Markdown or HTML would take for a mark."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return "".join("\\" + character if character in "\\`*[]|" else character for character in text)
