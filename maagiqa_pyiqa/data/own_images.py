"""Anybody's own rated images: checked as a whole before anything is trained on them, and divided into parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from PIL import Image

from maagiqa_pyiqa.data.agi_dataset import CSVQualityDataset, read_table
from maagiqa_pyiqa.data.splits import TEST, VAL
from maagiqa_pyiqa.support.errors import InputError

DATASET = "CSVQualityDataset"
PROMPT_COLUMN = "prompt"  # looked for where none is named
MIN_IMAGES = 5  # of a part, for a correlation to mean anything


@dataclass(frozen=True, kw_only=True)
class OwnImages:
    """A CSV of ratings and the folder that its paths start from.

    Attributes:
        prompt_column: rows of one prompt stay in one part; by default ``prompt`` where there is such a column.
        part_column: says of each row which part it is in; without it ``val``, ``test`` and ``seed`` divide the rows.
        mos_range: lowest and highest rating that there can be; by default those of the table.
    """

    csv: str
    images: str
    mos_column: str = "mos"
    path_column: str = "name"
    prompt_column: str | None = None
    part_column: str | None = None
    val: float = VAL
    test: float = TEST
    seed: int = 0
    mos_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.mos_range and not self.mos_range[0] < self.mos_range[1]:
            raise InputError(
                "the lowest rating of a range must be below the highest, got {:g} {:g}.".format(*self.mos_range)
            )


@dataclass(frozen=True)
class CheckedImages:
    """Images that can be trained on.

    Attributes:
        section: what their dataset sections in an option file have in common.
        sizes: number of images by part.
        division: how they were divided, in words.
        one_size: whether all have the same height and width.
    """

    section: Mapping[str, Any]
    sizes: Mapping[str, int]
    division: str
    one_size: bool

    @property
    def mos_range(self) -> tuple[float, float]:
        """Lowest and highest rating."""
        low, high = self.section["mos_range"]
        return low, high

    def as_text(self) -> str:
        """What was found, in two lines."""
        low, high = self.mos_range
        return (
            f"{sum(self.sizes.values())} images of '{self.section['meta_info_file']}': {in_words(self.sizes)}, "
            f"{self.division}\n"
            f"ratings from {low:g} to {high:g} (column {self.section['mos_column']}); scores will be on this scale"
        )


def in_words(sizes: Mapping[str, int]) -> str:
    """Sizes of parts, such as ``210 train, 30 val, 60 test``."""
    return ", ".join(f"{count} {part}" for part, count in sizes.items())


def check_own_images(own: OwnImages) -> CheckedImages:
    """Read the table, open every image and divide them.

    Raises:
        FileNotFoundError: no such CSV or folder.
        ValueError: missing columns, or all that is wrong with the rows in one message, see CSVQualityDataset; ratings
            that are all equal; a part of fewer than 5 images.
    """
    named = (own.path_column, own.mos_column, own.prompt_column, own.part_column)
    table = read_table(own.csv, [column for column in named if column is not None])
    section = _section(own, table)
    dataset = CSVQualityDataset({**section, "name": Path(own.csv).name, "part": "train", "open_images": True})
    sizes = {part: len(rows) for part, rows in dataset.split().items()}
    if min(sizes.values()) < MIN_IMAGES:
        remedy = f"change column '{own.part_column}'" if own.part_column else "change --val and --test, or rate more"
        raise InputError(f"'{own.csv}': every part needs {MIN_IMAGES} images or more, got {in_words(sizes)}; {remedy}.")
    return CheckedImages(section, sizes, _division(own, section), _of_one_size(section, table[own.path_column]))


def _of_one_size(section: Mapping[str, Any], names: Iterable[str]) -> bool:
    sizes = set()
    for name in names:
        with Image.open(Path(section["dataroot_target"]) / str(name)) as opened:
            sizes.add(opened.size)
    return len(sizes) == 1


def _section(own: OwnImages, table: pandas.DataFrame) -> dict[str, Any]:
    prompt_column = own.prompt_column or (PROMPT_COLUMN if PROMPT_COLUMN in table else None)
    section = {
        "type": DATASET,
        "meta_info_file": str(Path(own.csv).expanduser().absolute()),
        "dataroot_target": str(Path(own.images).expanduser().absolute()),
        "path_column": own.path_column,
        "mos_column": own.mos_column,
        "mos_range": list(own.mos_range or _range_of(own, table)),
    }
    if own.part_column:
        return {**section, "part_column": own.part_column}
    split = {"split": "prompt-disjoint", "prompt_column": prompt_column} if prompt_column else {"split": "random"}
    return {**section, **split, "split_seed": own.seed, "val_share": own.val, "test_share": own.test}


def _range_of(own: OwnImages, table: pandas.DataFrame) -> tuple[float, float]:
    """Lowest and highest rating; what is no number is complained of with all else."""
    ratings = pandas.to_numeric(table[own.mos_column], errors="coerce").to_numpy(float)
    ratings = ratings[np.isfinite(ratings)]
    if len(ratings) and ratings.min() == ratings.max():
        raise InputError(f"'{own.csv}': all ratings in column '{own.mos_column}' are {ratings[0]:g}: nothing to learn.")
    return (float(ratings.min()), float(ratings.max())) if len(ratings) else (0.0, 5.0)


def _division(own: OwnImages, section: Mapping[str, Any]) -> str:
    if own.part_column:
        return f"as column {own.part_column} says"
    if section["split"] == "random":
        return "by chance (there is no column of prompts)"
    return f"no prompt in two parts (column {section['prompt_column']})"
