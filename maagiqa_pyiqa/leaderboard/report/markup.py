"""HTML and SVG made in Python; what is not markup already is escaped, so no file name or prompt can be code."""

from __future__ import annotations

import html

VOID = frozenset({"img", "input", "meta"})


class Markup(str):
    """Text that is HTML or SVG already and goes in as it is."""

    __slots__ = ()


def element(tag: str, *children: str | float | None, **attributes: str | float | bool | None) -> Markup:
    """One element with its children.

    Args:
        tag: element name.
        children: ``Markup`` goes in as it is, anything else escaped; None is left out.
        attributes: ``class_`` stands for ``class``, other underscores for hyphens; None and False are left out.
    """
    opening = tag + "".join(_attribute(key, value) for key, value in attributes.items())
    return Markup(f"<{opening}>" if tag in VOID else f"<{opening}>{join(*children)}</{tag}>")


def join(*children: str | float | None, separator: str = "") -> Markup:
    """Children one after the other, escaped as by ``element``."""
    return Markup(separator.join(_escaped(child) for child in children if child is not None))


def number(value: float, digits: int = 1) -> str:
    """A coordinate, short."""
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _attribute(key: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    text = key if value is True else number(value) if isinstance(value, float) else str(value)
    return f' {key.rstrip("_").replace("_", "-")}="{html.escape(text)}"'


def _escaped(child: str | float) -> str:
    return child if isinstance(child, Markup) else html.escape(str(child))
