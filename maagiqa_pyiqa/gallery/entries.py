"""What the page knows of one image, as JSON takes it: words without effect, numbers, links."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from maagiqa_pyiqa.images.heatmaps import limits_of
from maagiqa_pyiqa.images.sources import only_files
from maagiqa_pyiqa.metrics.gates import name_gates
from maagiqa_pyiqa.metrics.scoring import ImageScores
from maagiqa_pyiqa.support.text import encodable, printable

if TYPE_CHECKING:
    from maagiqa_pyiqa.archs.region_map import RegionMap


def entry(
    result: ImageScores,
    metrics: Sequence[str],
    page: Path,
    root: str,
    thumbnail: str | None,
    size: tuple[int, int] | None,
    prompt: str = "",
) -> dict[str, object]:
    """An image as the page's script reads it.

    Args:
        result: its scores; it is a file on this machine.
        metrics: in the order of the page, for ``scores`` and ``gates``.
        page: file that the link to the picture starts from.
        root: folder, see ``common_folder``, that the image's own is named from.
        thumbnail: URL, None where there is none.
        size: width and height in pixels, None where they are not known.
        prompt: of the image, if any.
    """
    (path,) = only_files([result.path])
    return {
        "image": encodable(str(path)),  # as the CSV of scores has it
        "name": printable(path.name),
        "folder": printable(os.path.relpath(os.path.abspath(path.parent), root) if root else path.parent),
        "prompt": printable(prompt),
        "link": link(path, page),
        "thumbnail": thumbnail,
        "size": size,
        "scores": [result.scores.get(metric) for metric in metrics],
        "gates": [name_gates(result.gates[metric]) if metric in result.gates else None for metric in metrics],
        "standings": [_standing(result, metric) for metric in metrics],
        "error": printable(result.error),
    }


def _standing(result: ImageScores, metric: str) -> str:
    """Where a score stands among those of known pictures, in words; empty where nobody asked."""
    explanation = result.explanations.get(metric)
    return explanation.standing.in_words() if explanation and explanation.standing else ""


def regions_entry(regions: RegionMap | None) -> dict[str, object] | None:
    """A picture's regions as the page's script reads them; None where they are not known."""
    if regions is None:
        return None
    scores = regions.scores.float().cpu().numpy()
    low, high = limits_of(scores)
    return {
        "scores": [[round(score, 3) for score in row] for row in scores.tolist()],
        "limits": [round(low, 3), round(high, 3)],  # of the colours
        "window": regions.window,
    }


def common_folder(paths: Sequence[Path]) -> str:
    """The deepest folder that all these files are in; empty where they share none."""
    try:
        return os.path.commonpath([os.path.abspath(path.parent) for path in paths])
    except ValueError:  # no files, or two drives
        return ""


def link(path: Path, page: Path) -> str:
    """URL of a file relative to a page, with every byte of its name; absolute where they share no drive."""
    try:
        relative = os.path.relpath(os.path.abspath(path), os.path.realpath(page.expanduser().parent))
    except ValueError:
        return Path(os.path.abspath(path)).as_uri()
    return quote(os.fsencode(Path(relative).as_posix()))
