"""Tables of the page: sortable by their headers, in a box of their own that scrolls where the screen is narrow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from maagiqa_pyiqa.leaderboard.report.markup import Markup, element, join
from maagiqa_pyiqa.leaderboard.report.tables import MISSING, Cell, Column, Table

Strips = Mapping[tuple[str, str], Markup]  # small drawings beside SRCC, by split label and metric


def html_table(table: Table, caption: str, *, strips: Strips | None = None, id: str | None = None) -> Markup:
    """A table in its box.

    Args:
        table: what to show.
        caption: what it is, said to those who cannot see it.
        strips: drawings of SRCC, put into a column of their own.
        id: of the table element.
    """
    drawings = strips or {}
    head = element("thead", _group_row(table, drawings), _title_row(table, drawings))
    body = element("tbody", *[_row(table, name, drawings) for name in table.names])
    caption_element = element("caption", caption, class_="aloud")
    content = element("table", caption_element, head, body, id=id)
    return element("div", content, class_="scroll", tabindex="0", role="region", aria_label=caption)


def plain_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Markup:
    """A small table that is not sorted; the first cell of a row is its header."""
    head = element("tr", *[element("th", title, scope="col") for title in titles])
    body = [
        element("tr", element("th", first, scope="row"), *[element("td", c) for c in rest]) for first, *rest in rows
    ]
    return element("table", element("thead", head), element("tbody", *body))


def _has_strip(column: Column, strips: Strips) -> bool:
    return column.title == "SRCC" and any(group == column.group for group, _ in strips)


def _group_row(table: Table, strips: Strips) -> Markup:
    cells = [element("td")]
    for group, columns in groupby(table.columns, key=lambda column: column.group):
        width = sum(1 + _has_strip(column, strips) for column in columns)
        cells.append(element("th", group, colspan=width, scope="colgroup", class_="start"))
    return element("tr", *cells, class_="groups")


def _title_row(table: Table, strips: Strips) -> Markup:
    cells = [_sorter("Metric", 0, "ascending")]
    for i, column in enumerate(table.columns):
        first = "descending" if column.high_first else "ascending"
        sorted_now = first if i == 0 and _is_sorted(table) else None
        cells.append(_sorter(column.title, len(cells), first, column.meaning, _start(table, i), sorted_now))
        if _has_strip(column, strips):
            scale = element("span", "SRCC from 0 to 1", class_="aloud")
            cells.append(element("th", scale, scope="col", class_="strip-cell"))
    return element("tr", *cells)


def _is_sorted(table: Table) -> bool:
    """Whether rows come sorted by their first figure, as they do unless some were trained on the images."""
    return not any(cell.unfair for cell in table.columns[0].cells.values())


def _start(table: Table, i: int) -> str | None:
    """Class of a column that is the first of its group."""
    return "start" if i == 0 or table.columns[i].group != table.columns[i - 1].group else None


def _sorter(
    title: str, column: int, first: str, meaning: str = "", class_: str | None = None, sorted_now: str | None = None
) -> Markup:
    button = element("button", title, type="button", title=meaning or None)
    return element("th", button, scope="col", data_column=column, data_first=first, aria_sort=sorted_now, class_=class_)


def _row(table: Table, name: str, strips: Strips) -> Markup:
    note = element("small", table.notes[name]) if table.notes.get(name) else None
    cells = [element("th", name, note, scope="row", data_order=name)]
    for i, column in enumerate(table.columns):
        cells.append(_cell(column.cells.get(name, MISSING), _start(table, i)))
        if _has_strip(column, strips):
            cells.append(element("td", strips.get((column.group, name), ""), class_="strip-cell"))
    return element("tr", *cells, data_metric=name)


def _cell(cell: Cell, start: str | None) -> Markup:
    marks = ("best" if cell.best else None, "unfair" if cell.unfair else None)
    classes = " ".join(word for word in (start, *marks) if word)
    order = None if cell.order is None else repr(float(cell.order))
    note = element("small", cell.note) if cell.note else None
    return element("td", join(element("span", cell.text), note), class_=classes or None, data_order=order)
