"""What is scored: the public datasets and anybody's own CSV, with generators, groups and splits."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas

from maagiqa_pyiqa.data import public_datasets
from maagiqa_pyiqa.data.agi_dataset import CSVQualityDataset, read_table
from maagiqa_pyiqa.data.public_datasets import IMAGES, PublicDataset
from maagiqa_pyiqa.data.splits import FOLD_SPLITS, FOLDS, PARTS, SPLITS, make_split, normalised_prompt
from maagiqa_pyiqa.images.sources import is_url
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import nearest, require_choice

MIN_IMAGES = 5  # images for a correlation to mean anything
OWN = "csv"  # in place of a public dataset's key: anybody's table


@dataclass(frozen=True, kw_only=True)
class DatasetChoice:
    """Which images: a public dataset by its folder, or ``csv`` with the names of its columns.

    ``root`` is the folder of a public dataset, or the folder that a CSV's paths start from (by default the CSV's own).
    Without ``split``, ``official`` and ``prompt-disjoint`` of a public dataset and ``all`` of a CSV are taken;
    ``prompt-folds`` stands for all five folds.
    ``mos_range`` of a CSV is by default that of its MOS.
    """

    dataset: str = "agiqa-3k"
    root: str | None = None
    csv: str | None = None
    path_column: str = "name"
    mos_column: str = "mos"
    prompt_column: str = "prompt"
    group_columns: tuple[str, ...] = ()
    mos_range: tuple[float, float] | None = None
    split: tuple[str, ...] = ()
    split_seed: int = 0
    part: str = "test"

    def __post_init__(self) -> None:
        require_choice("benchmark", "dataset", self.dataset, (*public_datasets.PUBLIC_DATASETS, OWN))
        require_choice("benchmark", "part", self.part, PARTS)
        for split in self.split:
            require_choice("benchmark", "split", split, (*SPLITS, FOLDS))
        if self.dataset == OWN and self.csv is None:
            raise InputError("benchmark: dataset 'csv' needs its file; name it with csv (--csv FILE).")
        if self.dataset != OWN and self.root is None:
            raise InputError(f"benchmark: dataset '{self.dataset}' needs its folder; name it with root (--data DIR).")

    @property
    def splits(self) -> tuple[str, ...]:
        """What ``split`` names, with each fold by itself."""
        named = (FOLD_SPLITS if split == FOLDS else (split,) for split in self.split)
        return tuple(dict.fromkeys(split for splits in named for split in splits))


@dataclass(frozen=True)
class RatedImage:
    """An image with its MOS, what else the CSV says of it, and the splits whose part it is in."""

    name: str
    path: Path
    mos: float
    columns: Mapping[str, Any] = field(default_factory=dict)
    splits: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BenchmarkData:
    """Images to be scored, each once however many splits it is in.

    ``names`` and ``prompts`` are those of the whole dataset, in the order of its CSV; ``prompt_column`` is None where
    there are no prompts.
    """

    dataset: str
    title: str
    csv: Path
    image_root: Path
    images: tuple[RatedImage, ...]
    splits: tuple[str, ...]
    part: str
    mos_range: tuple[float, float]
    group_columns: tuple[str, ...]
    prompt_column: str | None
    names: tuple[str, ...]
    prompts: tuple[str, ...] | None

    def training_names(self, split: str, split_seed: int) -> frozenset[str]:
        """Names of the images in a split's part ``train``."""
        rows = make_split(split, self.prompts, len(self.names), split_seed)["train"]
        return frozenset(self.names[row] for row in rows)

    def positions(self, split: str) -> list[int]:
        """Places in ``images`` of those in a split's part."""
        return [position for position, image in enumerate(self.images) if split in image.splits]


@dataclass(frozen=True, kw_only=True)
class _Source:
    """A choice with every default filled in."""

    title: str
    csv: Path
    image_root: Path
    path_column: str
    mos_column: str
    prompt_column: str
    group_columns: tuple[str, ...]
    splits: tuple[str, ...]
    mos_range: tuple[float, float]
    public: PublicDataset | None = None


def load_data(choice: DatasetChoice) -> BenchmarkData:
    """Read and check a dataset.

    Raises:
        FileNotFoundError: no such CSV or folder.
        ValueError: a missing column; rows with absent images, duplicate names, NaN (all in one message, the first 10
            and their number); or fewer than 5 images.
    """
    source = _own(choice) if choice.dataset == OWN else _public(choice)
    table = _read_rows(source)
    prompts = list(table[source.prompt_column]) if source.prompt_column in table else None
    parts = {
        split: set(make_split(split, prompts, len(table), choice.split_seed)[choice.part]) for split in source.splits
    }
    for split, rows in parts.items():
        if len(rows) < MIN_IMAGES:
            raise InputError(
                f"part '{choice.part}' of split '{split}' has {len(rows)} images: a correlation over fewer than "
                f"{MIN_IMAGES} means nothing."
            )
    return BenchmarkData(
        dataset=choice.dataset,
        title=source.title,
        csv=source.csv,
        image_root=source.image_root,
        images=tuple(_images(source, table, parts)),
        splits=source.splits,
        part=choice.part,
        mos_range=source.mos_range,
        group_columns=source.group_columns,
        prompt_column=source.prompt_column if prompts is not None else None,
        names=tuple(str(name) for name in table[source.path_column]),
        prompts=tuple(prompts) if prompts is not None else None,
    )


def clusters_of(rows: Iterable[Mapping[str, Any]], prompt_column: str | None) -> list[Hashable] | None:
    """What each image is resampled with: its prompt, or itself where its cell is empty; None without a column.

    Args:
        rows: columns of the images.
        prompt_column: what holds the prompts.
    """
    if prompt_column is None:
        return None
    prompts = [row.get(prompt_column) for row in rows]
    return [place if prompt is None else normalised_prompt(prompt) for place, prompt in enumerate(prompts)]


def _public(choice: DatasetChoice) -> _Source:
    public = public_datasets.PUBLIC_DATASETS[choice.dataset]
    root = Path(str(choice.root)).expanduser()
    public.require_folder(root)
    groups = public.group_columns
    return _Source(
        title=public.title,
        csv=root / public.csv,
        image_root=root / IMAGES,
        path_column=public.name_column,
        mos_column=public.mos_column,
        prompt_column=public.prompt_column,
        group_columns=(*groups, *(column for column in choice.group_columns if column not in groups)),
        splits=choice.splits or ("official", "prompt-disjoint"),
        mos_range=choice.mos_range or public.mos_range,
        public=public,
    )


def _own(choice: DatasetChoice) -> _Source:
    csv = Path(str(choice.csv)).expanduser()
    if is_url(choice.root or ""):
        raise InputError(f"'{choice.root}': the images of a benchmark have to be files on this machine.")
    return _Source(
        title=csv.stem,
        csv=csv,
        image_root=Path(choice.root).expanduser() if choice.root else csv.parent,
        path_column=choice.path_column,
        mos_column=choice.mos_column,
        prompt_column=choice.prompt_column,
        group_columns=choice.group_columns,
        splits=choice.splits or ("all",),
        mos_range=choice.mos_range or _observed_range(csv, choice.mos_column),
    )


def _observed_range(csv: Path, column: str) -> tuple[float, float]:
    mos = pandas.to_numeric(read_table(csv, [column])[column], errors="coerce")
    mos = mos[mos.abs() < float("inf")]
    return (float(mos.min()), float(mos.max())) if len(mos) else (0.0, 5.0)


def _read_rows(source: _Source) -> pandas.DataFrame:
    """All rows of the CSV, checked as a dataset to be trained on is, with the generator where the name tells it."""
    section = {
        "type": "CSVQualityDataset",
        "name": source.title,
        "phase": "test",
        "dataroot_target": str(source.image_root),
        "meta_info_file": str(source.csv),
        "path_column": source.path_column,
        "mos_column": source.mos_column,
        "mos_range": source.mos_range,
        "split": "all",
    }
    table = CSVQualityDataset(section).meta_info
    if source.public is not None:
        _warn_of_other_rows(source, source.public, len(table))
        pattern = re.compile(source.public.generator)
        table["generator"] = [(pattern.match(str(name)) or [None])[0] for name in table[source.path_column]]
    for column in source.group_columns:
        if column not in table:
            hint = nearest(column, table.columns)
            raise InputError(f"'{source.csv}' has no column '{column}' to group by.{hint}")
    return table


def _images(source: _Source, table: pandas.DataFrame, parts: Mapping[str, set[int]]) -> list[RatedImage]:
    """Images of all parts in the order of the CSV."""
    other = [column for column in table.columns if column not in (source.path_column, source.mos_column)]
    rows = table.to_dict("records")
    return [
        RatedImage(
            name=str(rows[row][source.path_column]),
            path=source.image_root / str(rows[row][source.path_column]),
            mos=float(rows[row][source.mos_column]),
            columns={column: _plain(rows[row][column]) for column in other},
            splits=tuple(split for split, part in parts.items() if row in part),
        )
        for row in sorted(set().union(*parts.values()))
    ]


def _plain(cell: Any) -> Any:
    """A cell as JSON can hold it; None where it is empty or infinite."""
    cell = cell.item() if hasattr(cell, "item") else cell
    return None if pandas.isna(cell) or cell in (math.inf, -math.inf) else cell


def _warn_of_other_rows(source: _Source, public: PublicDataset, rows: int) -> None:
    if rows != public.rows and "official" in source.splits:
        warnings.warn(
            f"'{source.csv}' has {rows:,} rows and {public.title} {public.rows:,}: split 'official' holds other images "
            "than the authors'.",
            stacklevel=4,
        )
