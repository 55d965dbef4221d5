"""SVG made in Python as ``Markup``: what is not markup already is escaped, so no file name can be code."""

from __future__ import annotations

from markupsafe import Markup


def element(tag: str, *children: str, **attributes: str | float) -> Markup:
    """One element with its children.

    Args:
        tag: element name.
        children: ``Markup`` goes in as it is, anything else escaped.
        attributes: ``class_`` stands for ``class``, other underscores for hyphens.
    """
    pairs = [_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items()]
    return Markup("<{0}{1}>{2}</{0}>").format(tag, join(*pairs), join(*children))


def join(*children: str) -> Markup:
    """Children one after the other, escaped as by ``element``."""
    return Markup("").join(children)


def number(value: float, digits: int = 1) -> str:
    """A coordinate, short."""
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _attribute(name: str, value: str | float) -> Markup:
    return Markup(' {}="{}"').format(name, number(value) if isinstance(value, float) else value)
