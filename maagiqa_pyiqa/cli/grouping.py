"""``--by``: what images are ranked within."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from maagiqa_pyiqa.cli.scoring import read_prompts_of
from maagiqa_pyiqa.support.errors import InputError

if TYPE_CHECKING:
    from maagiqa_pyiqa.images.sources import FoundImages, ImagePath

PROMPT, FOLDER = "prompt", "folder"
TAKEN = ("rank", "score", "image")  # columns of a ranking
EVERYTHING = ""  # the one group where there are none


class Groups(NamedTuple):
    """What images are grouped by, and the group of each."""

    by: str
    of: Mapping[ImagePath, str]


def add_grouping(parser: argparse.ArgumentParser) -> None:
    """Add ``--by``."""
    parser.add_argument(
        "--by",
        metavar="WHAT",
        help="rank within each prompt, folder, or value of a list's column of that name "
        "(default: prompt with --per-prompt, else all images together)",
    )


def read_groups(arguments: argparse.Namespace, found: FoundImages) -> Groups:
    """Groups of the images that were found.

    Raises:
        FileNotFoundError, InputError: as ``read_prompts``; or a list does not say of each image what it is.
    """
    by = arguments.by or (PROMPT if arguments.per_prompt else None)
    if arguments.per_prompt and by != PROMPT:
        raise InputError(f"'--per-prompt' is for '--by prompt', not for '--by {by}'; leave one of them out.")
    if by in TAKEN:
        raise InputError(f"'--by {by}': a ranking has a column '{by}' of its own; rename that of the list.")
    if by is None:
        return Groups(PROMPT, dict.fromkeys(found.paths, EVERYTHING))
    if by == FOLDER:
        return Groups(by, {image: os.path.dirname(str(image)) or os.curdir for image in found.paths})
    if arguments.per_prompt:
        return Groups(by, read_prompts_of(arguments, found.paths))
    return Groups(by, _by_column(arguments.prompt_column if by == PROMPT else by, found))


def _by_column(column: str, found: FoundImages) -> dict[ImagePath, str]:
    values = {image: found.rows.get(image, {}).get(column) for image in found.paths}
    without = [image for image, value in values.items() if value is None]
    if without:
        known = ", ".join(dict.fromkeys(name for row in found.rows.values() for name in row)) or "none"
        raise InputError(
            f"{len(without)} of {len(values)} images have no '{column}', first: '{without[0]}'. It has to be a column "
            f"of the list that names them (columns: {known}); prompts can be named with --per-prompt too."
        )
    return {image: value or "" for image, value in values.items()}
