"""What is scored: the public datasets and anybody's own CSV, with generators, groups and splits."""

from __future__ import annotations

import hashlib
import math
import re
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas

from maagiqa_pyiqa.data import public_datasets
from maagiqa_pyiqa.data.agi_dataset import list_problems, rating_problems
from maagiqa_pyiqa.data.public_datasets import IMAGES, PublicDataset
from maagiqa_pyiqa.data.splits import FOLD_SPLITS, FOLDS, PARTS, SPLITS, make_split, normalised_prompt, training_rows
from maagiqa_pyiqa.images.lists import column_of_paths
from maagiqa_pyiqa.images.sources import STANDARD_INPUT, ImagePath, find_named, is_tar, is_url, read_input
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import nearest, require_choice
from maagiqa_pyiqa.support.tables import parse_table

MIN_IMAGES = 5  # images for a correlation to mean anything
OWN = "csv"  # in place of a public dataset's key: anybody's table


@dataclass(frozen=True, kw_only=True)
class DatasetChoice:
    """Which images: a public dataset by its folder, or ``csv`` with the names of its columns.

    ``csv`` is a table (CSV, Parquet, JSON lines) as a file, a URL that fsspec knows, or ``-`` on standard input.
    ``root`` is the folder of a public dataset, or what a CSV's paths start from, by default the CSV's own folder:
    a folder, a URL, or a tar whose members they are. ``path_column`` is by default the first of ``lists.COLUMNS``.
    Without ``split``, ``official`` and ``prompt-disjoint`` of a public dataset and ``all`` of a CSV are taken;
    ``prompt-folds`` stands for all five folds.
    ``mos_range`` of a CSV is by default that of its MOS.
    """

    dataset: str = "agiqa-3k"
    root: str | None = None
    csv: str | None = None
    path_column: str | None = None
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
    def table_name(self) -> str:
        """What a CSV is called in titles, messages and the name of the folder."""
        return "standard input" if self.csv == STANDARD_INPUT else Path(str(self.csv)).stem

    @property
    def splits(self) -> tuple[str, ...]:
        """What ``split`` names, with each fold by itself."""
        named = (FOLD_SPLITS if split == FOLDS else (split,) for split in self.split)
        return tuple(dict.fromkeys(split for splits in named for split in splits))


@dataclass(frozen=True)
class RatedImage:
    """An image with its MOS, what else the CSV says of it, and the splits whose part it is in."""

    name: str
    path: ImagePath
    mos: float
    columns: Mapping[str, Any] = field(default_factory=dict)
    splits: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BenchmarkData:
    """Images to be scored, each once however many splits it is in.

    ``csv`` is the name of the table. ``names`` and ``prompts`` are those of the whole dataset, in the order of its CSV;
    ``prompt_column`` is None where there are no prompts.
    """

    dataset: str
    title: str
    csv: str
    csv_sha256: str
    images: tuple[RatedImage, ...]
    splits: tuple[str, ...]
    part: str
    mos_range: tuple[float, float]
    group_columns: tuple[str, ...]
    prompt_column: str | None
    names: tuple[str, ...]
    prompts: tuple[str, ...] | None

    def training_names(self, split: str, split_seed: int, with_val: bool) -> frozenset[str]:
        """Names of the images in a split's part ``train``, and ``val`` if asked."""
        parts = make_split(split, self.prompts, len(self.names), split_seed)
        return frozenset(self.names[row] for row in training_rows(parts, with_val))

    def positions(self, split: str) -> list[int]:
        """Places in ``images`` of those in a split's part."""
        return [position for position, image in enumerate(self.images) if split in image.splits]


@dataclass(frozen=True, kw_only=True)
class _Source:
    """A choice with every default filled in; an own table's column of paths and range of MOS once it is read."""

    title: str
    csv: str
    image_root: str
    path_column: str | None
    mos_column: str
    prompt_column: str
    group_columns: tuple[str, ...]
    splits: tuple[str, ...]
    mos_range: tuple[float, float] | None
    public: PublicDataset | None = None


def load_data(choice: DatasetChoice) -> BenchmarkData:
    """Read and check a dataset.

    Raises:
        FileNotFoundError: no such table, folder or tar.
        ValueError: a missing column; rows with images absent from a folder or tar, duplicate names, NaN (all in one
            message, the first 10 and their number); or fewer than 5 images. Images behind URLs fail where they are
            read.
    """
    source = _own(choice) if choice.dataset == OWN else _public(choice)
    content = _read(source.csv)
    table = parse_table(content, _called(source.csv))
    path_column = _check_columns(source, table)
    mos_range = source.mos_range or _observed_range(table[source.mos_column])
    source = replace(source, path_column=path_column, mos_range=mos_range)
    paths = _find_images(source, table, path_column, mos_range)
    names = [str(name) for name in table[path_column]]
    if source.public is not None:
        _warn_of_other_rows(source, source.public, len(table))
        pattern = re.compile(source.public.generator)
        table["generator"] = [(pattern.match(name) or [None])[0] for name in names]
    _check_groups(source, table)
    prompts = list(table[source.prompt_column]) if source.prompt_column in table else None
    parts = _parts(choice, source, prompts, len(table))
    return BenchmarkData(
        dataset=choice.dataset,
        title=source.title,
        csv=Path(_called(source.csv)).name,
        csv_sha256=hashlib.sha256(content).hexdigest(),
        images=tuple(_images(source, table, paths, parts)),
        splits=source.splits,
        part=choice.part,
        mos_range=mos_range,
        group_columns=source.group_columns,
        prompt_column=source.prompt_column if prompts is not None else None,
        names=tuple(names),
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
        csv=str(root / public.csv),
        image_root=str(root / IMAGES),
        path_column=public.name_column,
        mos_column=public.mos_column,
        prompt_column=public.prompt_column,
        group_columns=(*groups, *(column for column in choice.group_columns if column not in groups)),
        splits=choice.splits or ("official", "prompt-disjoint"),
        mos_range=choice.mos_range or public.mos_range,
        public=public,
    )


def _own(choice: DatasetChoice) -> _Source:
    csv = _expanded(str(choice.csv))
    return _Source(
        title=choice.table_name,
        csv=csv,
        image_root=_expanded(choice.root) if choice.root else _folder_of(csv),
        path_column=choice.path_column,
        mos_column=choice.mos_column,
        prompt_column=choice.prompt_column,
        group_columns=choice.group_columns,
        splits=choice.splits or ("all",),
        mos_range=choice.mos_range,
    )


def _expanded(path: str) -> str:
    return path if is_url(path) else str(Path(path).expanduser())


def _folder_of(csv: str) -> str:
    """Where the images of a table lie unless it is said: where it does, or here for that on standard input."""
    return csv.rpartition("/")[0] if is_url(csv) else str(Path(csv).parent)


def _called(csv: str) -> str:
    return "standard input" if csv == STANDARD_INPUT else csv


def _read(csv: str) -> bytes:
    try:
        return read_input(csv)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise FileNotFoundError(
            f"table '{csv}' does not exist; a benchmark needs a CSV, TSV, Parquet or JSON lines with a column of "
            "images and one of MOS."
        ) from error


def _check_columns(source: _Source, table: pandas.DataFrame) -> str:
    """The column of paths, once that of MOS is there too."""
    where = _called(source.csv)
    path_column = column_of_paths(table.columns, where, source.path_column)
    if source.mos_column not in table:
        raise InputError(
            f"'{where}' has no column '{source.mos_column}' of MOS, which a benchmark needs of each image."
            f"{nearest(source.mos_column, table.columns)} Name it with --mos-column. Columns: "
            f"{', '.join(map(str, table.columns))}."
        )
    return path_column


def _check_groups(source: _Source, table: pandas.DataFrame) -> None:
    for column in source.group_columns:
        if column not in table:
            hint = nearest(column, table.columns)
            raise InputError(f"'{_called(source.csv)}' has no column '{column}' to group by.{hint}")


def _observed_range(mos: pandas.Series) -> tuple[float, float]:
    mos = pandas.to_numeric(mos, errors="coerce")
    mos = mos[mos.abs() < float("inf")]
    return (float(mos.min()), float(mos.max())) if len(mos) else (0.0, 5.0)


def _find_images(
    source: _Source, table: pandas.DataFrame, path_column: str, mos_range: tuple[float, float]
) -> list[ImagePath]:
    """The image of each row, unless there are problems with the rows, or images that are not there."""
    root = source.image_root
    if not (is_url(root) or is_tar(root) or Path(root).is_dir()):
        raise FileNotFoundError(f"'{root}' is no folder, tar or URL of images; name one with --root.")
    names = table[path_column].astype(str)
    named = find_named([*names], root)
    problems = rating_problems(names, table[source.mos_column], mos_range)
    found = zip(names, named.found, strict=True)
    problems += [f"{name}: no such image in '{root}'" for name, is_there in found if not is_there]
    if problems:
        raise InputError(list_problems(f"dataset '{source.title}' ({_called(source.csv)})", problems))
    return named.paths


def _parts(choice: DatasetChoice, source: _Source, prompts: Sequence[str] | None, count: int) -> dict[str, set[int]]:
    """Rows of the part by split."""
    parts = {split: set(make_split(split, prompts, count, choice.split_seed)[choice.part]) for split in source.splits}
    for split, rows in parts.items():
        if len(rows) < MIN_IMAGES:
            raise InputError(
                f"part '{choice.part}' of split '{split}' has {len(rows)} images: a correlation over fewer than "
                f"{MIN_IMAGES} means nothing."
            )
    return parts


def _images(
    source: _Source, table: pandas.DataFrame, paths: Sequence[ImagePath], parts: Mapping[str, set[int]]
) -> list[RatedImage]:
    """Images of all parts in the order of the CSV."""
    other = [column for column in table.columns if column not in (source.path_column, source.mos_column)]
    rows = table.to_dict("records")
    return [
        RatedImage(
            name=str(rows[row][source.path_column]),
            path=paths[row],
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
            stacklevel=3,
        )
