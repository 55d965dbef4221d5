"""Datasets of AI-generated images with MOS: the public ones, such as ``AGIQA3kDataset``, and anybody's own CSV."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas
import torch
import torchvision.transforms
from PIL import Image
from pyiqa.data.general_nr_dataset import GeneralNRDataset
from pyiqa.data.transforms import PairedToTensor

from maagiqa_pyiqa.data.public_datasets import IMAGES, PublicDataset, dataset_of_class
from maagiqa_pyiqa.data.splits import PARTS, SPLITS, TEST, VAL, Split, make_split, needs_prompts, training_rows
from maagiqa_pyiqa.data.transforms import build_transforms
from maagiqa_pyiqa.images.damage.at_random import damage_at_random
from maagiqa_pyiqa.images.decoding import UnreadableImageError, decode
from maagiqa_pyiqa.support import tables
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import nearest, parse_options, require_choice, require_integer


@dataclass(frozen=True, kw_only=True)
class LoaderOptions:
    """What pyiqa's loader and training engine read of any dataset section of an option YAML."""

    type: str
    name: str
    phase: str = "train"
    scale: int | None = None
    use_shuffle: bool = True
    dataset_enlarge_ratio: int = 1
    batch_size_per_gpu: int = 8
    num_worker_per_gpu: int = 0
    prefetch_mode: str | None = None
    num_prefetch_queue: int = 1
    pin_memory: bool = False
    persistent_workers: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size_per_gpu", "dataset_enlarge_ratio", "num_prefetch_queue"):
            require_integer(f"dataset '{self.name}'", name, getattr(self, name), minimum=1)
        require_integer(f"dataset '{self.name}'", "num_worker_per_gpu", self.num_worker_per_gpu, minimum=0)


@dataclass(frozen=True, kw_only=True)
class DatasetOptions(LoaderOptions):
    """A dataset section of an option YAML.

    ``part`` is taken from the phase unless named. ``part_column`` says of each row which part it is in, as ``maagiqa
    split --csv`` writes it; without one ``split`` divides the rows, with the shares ``val_share`` and ``test_share``
    if it is ``prompt-disjoint`` or ``random``. ``with_val`` adds the validation part to part ``train``, for a last
    training when all is chosen. ``open_images`` tries first of all whether every image can be read.
    ``damaged`` gives a worse version beside each image, of damages that are not held out.
    """

    dataroot_target: str
    meta_info_file: str
    path_column: str = "name"
    mos_column: str = "mos"
    prompt_column: str | None = "prompt"
    mos_range: tuple[float, float] = (0.0, 5.0)
    split: str = "official"
    split_seed: int = 0
    val_share: float = VAL
    test_share: float = TEST
    part_column: str | None = None
    part: str | None = None
    with_val: bool = False
    open_images: bool = False
    damaged: bool = False
    augment: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        where = f"dataset '{self.name}'"
        require_choice(where, "split", self.split, SPLITS)
        require_choice(where, "part", self.part, (*PARTS, None))
        require_choice(where, "phase", self.phase, PARTS)
        if self.with_val and (self.part or self.phase) != "train":
            raise InputError(f"{where}: with_val is for part 'train', got part '{self.part or self.phase}'.")


@dataclass(frozen=True, kw_only=True)
class PublicDatasetOptions(DatasetOptions):
    """The section of a public dataset: ``root``, its folder, stands for ``dataroot_target`` and ``meta_info_file``."""

    root: str | None = None


def list_problems(what: str, problems: Iterable[str], limit: int = 10) -> str:
    """First problems and how many there are, one a line."""
    problems = list(problems)
    more = [f"... and {len(problems) - limit} more"] if len(problems) > limit else []
    return "\n  ".join([f"{what}: {len(problems)} problems", *problems[:limit], *more])


def rating_problems(names: pandas.Series, mos: pandas.Series, mos_range: tuple[float, float]) -> list[str]:
    """What is wrong with the rows of a table of ratings: names that stand twice, and MOS that are none in the range."""
    low, high = mos_range
    numbers = pandas.to_numeric(mos, errors="coerce")
    problems = [f"{name}: named more than once" for name in names[names.duplicated()]]
    return problems + [
        f"{name}: MOS {written} is not a number in [{low:g}, {high:g}] (option mos_range)"
        for name, number, written in zip(names, numbers, mos, strict=True)
        if not low <= number <= high  # false for NaN too
    ]


class CSVQualityDataset(GeneralNRDataset):
    """Images and MOS from a CSV whose columns the option names.

    Args:
        opt: section of an option YAML, see DatasetOptions.

    Raises:
        FileNotFoundError: no such CSV or folder.
        ValueError: an unknown option, a missing column, rows with missing (with ``open_images`` also unreadable)
            images, duplicate names, NaN or out-of-range MOS or unknown parts: all in one message, the first 10 and
            their number; or no row of this dataset's part.
    """

    options_class: ClassVar[type[DatasetOptions]] = DatasetOptions

    def __init__(self, opt: Mapping[str, Any]) -> None:
        where = f"dataset '{opt.get('name', opt.get('type'))}'"
        self.options = parse_options(self.options_class, {**self.defaults(opt), **opt}, where)
        super().__init__(dict(opt))

    def defaults(self, opt: Mapping[str, Any]) -> dict[str, Any]:
        """Options that need not be written down."""
        return {}

    def init_path_mos(self, opt: Mapping[str, Any]) -> None:
        """Read the CSV and check every row before anything is trained on it."""
        options = self.options
        self.meta_info = read_table(options.meta_info_file, self._columns())
        root = Path(options.dataroot_target).expanduser()
        if not root.is_dir():
            raise FileNotFoundError(f"dataset '{options.name}': dataroot_target '{root}' is not a folder.")
        names, mos = self.meta_info[options.path_column], self.meta_info[options.mos_column]
        self.paths_mos = [[str(root / str(name)), score] for name, score in zip(names, mos, strict=True)]
        problems = self._row_problems(root)
        if problems:
            raise InputError(list_problems(f"dataset '{options.name}' ({options.meta_info_file})", problems))

    def _columns(self) -> list[str]:
        needed = [self.options.path_column, self.options.mos_column]
        if self.options.part_column:
            needed.append(self.options.part_column)
        elif needs_prompts(self.options.split) and self.options.prompt_column:
            needed.append(self.options.prompt_column)
        return needed

    def _row_problems(self, root: Path) -> list[str]:
        names = self.meta_info[self.options.path_column].astype(str)
        problems = rating_problems(names, self.meta_info[self.options.mos_column], self.options.mos_range)
        if self.options.part_column:
            parts = zip(names, self._parts(), strict=True)
            problems += [f"{name}: part '{part}' is not one of {PARTS}" for name, part in parts if part not in PARTS]
        problems += [f"{name}: no such image in '{root}'" for name in names if not (root / name).is_file()]
        return problems + (_unreadable(root, names) if self.options.open_images else [])

    def _parts(self) -> list[str]:
        return [str(part).strip() for part in self.meta_info[self.options.part_column]]

    def get_split(self, opt: Mapping[str, Any]) -> None:
        """Keep the rows of this dataset's part."""
        part = self.options.part or self.phase
        rows = training_rows(self.split(), True) if self.options.with_val else self.split()[part]
        if not rows and self.options.part_column:
            raise InputError(
                f"dataset '{self.options.name}': no row has part '{part}' in column '{self.options.part_column}' of "
                f"'{self.options.meta_info_file}'."
            )
        self.paths_mos = [self.paths_mos[row] for row in rows]

    def split(self) -> Split:
        """Rows of the CSV by part."""
        options = self.options
        if options.part_column:
            parts = self._parts()
            return {part: [row for row, own in enumerate(parts) if own == part] for part in PARTS}
        prompts = list(self.meta_info[options.prompt_column]) if options.prompt_column in self.meta_info else None
        shares = options.val_share, options.test_share
        return make_split(options.split, prompts, len(self.meta_info), options.split_seed, *shares)

    def mos_normalize(self, opt: Mapping[str, Any]) -> None:
        """Leave the MOS on its own scale: scores are on the training set's scale by contract."""

    def get_transforms(self, opt: Mapping[str, Any]) -> None:
        """Turn the ``augment`` section into transforms; unknown names are errors."""
        self.img_range = 1.0
        self.trans = torchvision.transforms.Compose([*build_transforms(self.options.augment), PairedToTensor()])

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return ``img`` (3, H, W) in [0, 1], ``mos_label`` (1,) and ``img_path``, and ``damaged`` (3, H, W) if asked.

        Raises:
            ValueError: the image cannot be read; names it.
        """
        path, mos = self.paths_mos[index]
        try:
            image = decode(path)
        except UnreadableImageError as error:
            raise InputError(f"dataset '{self.options.name}': image '{path}' cannot be read: {error}") from error
        item = {"img": self.trans(image), "mos_label": torch.tensor([float(mos)]), "img_path": path}
        if self.options.damaged:
            item["damaged"] = self.trans(Image.fromarray(damage_at_random(np.asarray(image))))
        return item


def _unreadable(root: Path, names: Iterable[str]) -> list[str]:
    """What is wrong with images that are there and cannot be read, in order."""

    def problem(name: str) -> str | None:
        try:
            decode(root / name)
        except UnreadableImageError as error:
            return f"{name}: cannot be read: {error}"
        return None

    with ThreadPoolExecutor() as pool:
        found = pool.map(problem, [name for name in names if (root / name).is_file()])
        return [words for words in found if words]


def read_table(path: str | Path, columns: Iterable[str]) -> pandas.DataFrame:
    """Read a CSV, Parquet or JSON lines, and check that it has the columns.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no table, see ``tables.read_table``; or columns are missing: names the nearest of each.
    """
    table = tables.read_table(path)
    absent = [f"no column '{name}'.{nearest(name, table.columns)}" for name in columns if name not in table.columns]
    if absent:
        raise InputError(f"'{path}' has {' And '.join(absent)} Columns: {', '.join(table.columns)}.")
    return table


class PublicQualityDataset(CSVQualityDataset):
    """A public dataset as its authors publish it; a class for each is made by ``public_dataset_class``."""

    options_class = PublicDatasetOptions
    public: ClassVar[PublicDataset]

    def defaults(self, opt: Mapping[str, Any]) -> dict[str, Any]:
        """Columns, range and files of the dataset, found under ``root``."""
        public = self.public
        columns = {
            "path_column": public.name_column,
            "mos_column": public.mos_column,
            "prompt_column": public.prompt_column,
            "mos_range": public.mos_range,
        }
        if "dataroot_target" in opt and "meta_info_file" in opt:
            return columns
        root = Path(opt.get("root") or Path("datasets", public.folder)).expanduser()
        public.require_folder(root)
        return {**columns, "dataroot_target": str(root / IMAGES), "meta_info_file": str(root / public.csv)}


def public_dataset_class(public: PublicDataset) -> type[PublicQualityDataset]:
    """The class that pyiqa knows by the dataset's ``class_name``."""
    doc = f"{public.title} ({public.reference}): {public.rows:,} images, ``{public.csv}``."
    return type(public.class_name, (PublicQualityDataset,), {"public": public, "__module__": __name__, "__doc__": doc})


def __getattr__(name: str) -> type[PublicQualityDataset]:
    """Make the class of a public dataset when it is first asked for, such as ``AGIQA3kDataset``."""
    public = dataset_of_class(name)
    if public is None:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return globals().setdefault(name, public_dataset_class(public))
