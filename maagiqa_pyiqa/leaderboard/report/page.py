"""``report.html``: one file that asks for nothing from outside, for screen, phone and paper."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from string import Template

from maagiqa_pyiqa.leaderboard.report import sections
from maagiqa_pyiqa.leaderboard.report.markup import Markup, element
from maagiqa_pyiqa.leaderboard.report.subset import Subset
from maagiqa_pyiqa.leaderboard.report.view import Results


def as_page(results: Results, image_root: Path, baseline: str | None, subsets: Sequence[Subset]) -> str:
    """The whole page.

    Args:
        results: as in results.json.
        image_root: folder the images' names are relative to, for the gallery.
        baseline: metric the best is held against; None for the usual one.
        subsets: parts of the images to look at by themselves.
    """
    parts = {
        "leaderboard-section": ("Leaderboard", sections.leaderboard(results)),
        "reading": ("How to read it", sections.reading(results)),
        "subsets": ("Subsets", sections.subsets(results, subsets, baseline)),
        "scatter": ("Prediction against MOS", sections.scatters(results)),
        "groups": ("By group", sections.groups(results)),
        "errors": ("Absolute errors", sections.errors(results, baseline)),
        "gallery": ("Gallery", sections.gallery(results, image_root, baseline)),
        "run": ("The run", sections.run(results)),
    }
    present = {key: (title, content) for key, (title, content) in parts.items() if content}
    links = [element("li", element("a", title, href=f"#{key}")) for key, (title, _) in present.items()]
    body = [
        sections.header(results),
        element("nav", element("ul", *links), aria_label="Contents"),
        element("main", *[_section(key, title, content) for key, (title, content) in present.items()]),
        sections.footer(),
    ]
    return _fill(f"Leaderboard: {results['dataset']['name']}", Markup("\n".join(body)))


def _section(key: str, title: str, content: Markup) -> Markup:
    return element("section", element("h2", title), content, id=key)


def _fill(title: str, body: Markup) -> str:
    style, script = (_part(name) for name in ("style.css", "page.js"))
    return Template(_part("template.html")).substitute(
        title=element("title", title),
        body=body,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def _part(name: str) -> str:
    return files("maagiqa_pyiqa.leaderboard.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What the page's policy lets through: exactly this text and nothing slipped in."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
