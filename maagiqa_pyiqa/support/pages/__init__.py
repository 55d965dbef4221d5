"""Pages in HTML that ask for nothing from outside: one frame, one set of colours, light and dark, one policy."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

HERE = Path(__file__).parent
NO_FILTERS: Mapping[str, Callable[..., Any]] = MappingProxyType({})


def render_page(
    folder: Path,
    scripts: Sequence[str],
    values: Mapping[str, Any],
    *,
    images_from: str = "data:",
    filters: Mapping[str, Callable[..., Any]] = NO_FILTERS,
) -> str:
    """Render ``templates/page.html`` of a folder, which extends ``base.html`` here.

    Args:
        folder: holds ``templates``, ``style.css``, which comes after ``base.css``, and the scripts.
        scripts: names of files, which become one script.
        values: what the templates are given; all of it is escaped.
        images_from: where the page's policy lets images come from.
        filters: of the templates, by name.
    """
    environment = Environment(
        loader=FileSystemLoader([folder / "templates", HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    style = _join([HERE / "base.css", folder / "style.css"])
    script = _join([folder / name for name in scripts])
    return environment.get_template("page.html").render(
        {
            **values,
            "images_from": images_from,
            "style": Markup(style),  # noqa: S704 (our own files)
            "style_hash": _hash(style),
            "script": Markup(script),  # noqa: S704 (our own files)
            "script_hash": _hash(script),
        }
    )


def _join(files: Sequence[Path]) -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def _hash(text: str) -> str:
    """What the page's policy lets through: exactly this text and nothing slipped in."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
