"""The images that verbs work on: one vocabulary for all of them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.text import from_spreadsheet

if TYPE_CHECKING:
    from maagiqa_pyiqa.images.sources import FoundImages, ImagePath

KINDS = (
    "image files, folders (searched recursively), globs, uncompressed tars, lists of paths (CSV, Parquet, JSON lines), "
    "URLs of any of these, or - (a list on standard input)"
)


def add_inputs(parser: argparse.ArgumentParser, minimum: Literal["+", "*"] = "+") -> None:
    """Add the images to work on, of a verb that can do without by ``*``."""
    parser.add_argument("inputs", nargs=minimum, metavar="PATH", help=KINDS)
    add_list_options(parser)


def add_list_options(parser: argparse.ArgumentParser) -> None:
    """Add how lists are read: ``--column`` and ``--root``."""
    parser.add_argument(
        "--column", metavar="NAME", help="of a list, its column of paths (default: name, path, image, file or the like)"
    )
    parser.add_argument(
        "--root", metavar="DIR", help="folder, URL or tar that a list's paths start from (default: the list's own)"
    )


def find_inputs(arguments: argparse.Namespace, inputs: Sequence[str] | None = None) -> FoundImages:
    """The images that a verb was given, or those of ``inputs``.

    Raises:
        FileNotFoundError, InputError: as ``sources.find_images``.
    """
    from maagiqa_pyiqa.images.sources import find_images

    return find_images(arguments.inputs if inputs is None else inputs, arguments.column, arguments.root)


def cells_of(found: FoundImages, column: str) -> list[str]:
    """The cell of each image, in their order, in a column of the list that names it.

    Raises:
        InputError: no list names an image, or the list has no such column.
    """
    return [_cell_of(found, image, column) for image in found.paths]


def _cell_of(found: FoundImages, image: ImagePath, column: str) -> str:
    row = found.rows.get(image, {})
    if column not in row:
        known = ", ".join(row) or "none"
        raise InputError(
            f"image '{image}' has no '{column}': it has to be a column of the list that names it ({known})."
        )
    return from_spreadsheet(row[column])
