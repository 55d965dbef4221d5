"""Scores that somebody else computed: a column of a CSV beside a column of image names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

import pandas

from maagiqa_pyiqa.data.agi_dataset import list_problems, read_table
from maagiqa_pyiqa.images.lists import COLUMNS
from maagiqa_pyiqa.support.errors import InputError


def read_scores(file: str, column: str, names: Sequence[str]) -> dict[str, float]:
    """Read one score for each image of a dataset; rows of other images are passed over.

    Args:
        file: CSV, Parquet or JSON lines with a column of image names, one of COLUMNS; a path in it counts as its
            file's name where the dataset does not know the path.
        column: of scores.
        names: images that need one.

    Returns:
        Score by name.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no such column; or images without a row, with several, or with NaN: all in one message, the first
            10 and their number.
    """
    table = read_table(file, [column])
    found = [name for name in COLUMNS if name in table.columns and name != column]
    if not found:
        raise InputError(f"'{file}' has no column of image names ({', '.join(COLUMNS)}).")
    wanted = set(names)
    given = [name if name in wanted else PurePath(name).name for name in table[found[0]].astype(str)]
    scores = pandas.Series(pandas.to_numeric(table[column], errors="coerce").to_numpy(), index=given)
    scores = scores[scores.index.isin(wanted)]
    problems = [f"{name}: named more than once" for name in scores.index[scores.index.duplicated()].unique()]
    problems += [f"{name}: no row" for name in names if name not in scores.index]
    problems += [f"{name}: '{column}' is not a finite number" for name in scores.index[~_is_finite(scores)]]
    if problems:
        raise InputError(list_problems(f"scores '{file}', column '{column}'", problems))
    return {str(name): float(score) for name, score in scores.items()}


def _is_finite(scores: pandas.Series) -> pandas.Series:
    return scores.abs() < float("inf")  # false for NaN too
