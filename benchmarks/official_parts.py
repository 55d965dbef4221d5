"""Rows of AGIQA-3k's table that stand in parts of the official split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas

from maagiqa_pyiqa.data.agi_dataset import read_table
from maagiqa_pyiqa.data.splits import make_split

SPLIT = "official"


def read_parts(data: Path, parts: Sequence[str], columns: Sequence[str] = ()) -> pandas.DataFrame:
    """The rows of parts, one part after the other.

    Args:
        data: folder of AGIQA-3k.
        parts: ``train``, ``val`` or ``test``.
        columns: that are needed beside names and prompts.
    """
    table = read_table(data / "data.csv", ("name", "prompt", *columns))
    split = make_split(SPLIT, list(table["prompt"]), len(table), 0)
    return table.iloc[[row for part in parts for row in split[part]]].reset_index(drop=True)
