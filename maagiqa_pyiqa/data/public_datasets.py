"""The public datasets of AI-generated images with MOS that this package knows, one row each.

A row is all it takes: training (a dataset class of that name), the leaderboard, ``trained_on``, messages and ``--help``
know a dataset from here. ``docs/data.md`` tells people where each one comes from.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from maagiqa_pyiqa.support.errors import InputError

IMAGES = "images"  # folder of the images, beside the CSV


@dataclass(frozen=True, kw_only=True)
class PublicDataset:
    """A public dataset: how it is named, what it holds, how it lies on disk and where it comes from.

    Attributes:
        key: its name on the command line and in option files.
        class_name: ``type`` of its dataset sections in pyiqa's option files.
        folder: its usual name under ``datasets/``.
        csv: the authors' own table, in their order, since splits depend on it.
        generator: pattern that matches the generator at the start of a file's name.
        group_columns: what figures are given by, beside the whole.
    """

    key: str
    title: str
    class_name: str
    folder: str
    csv: str
    rows: int
    generator: str
    source: str
    licence: str
    reference: str
    name_column: str = "name"
    mos_column: str = "mos"
    prompt_column: str = "prompt"
    mos_range: tuple[float, float] = (0.0, 5.0)
    group_columns: tuple[str, ...] = ("generator",)

    def require_folder(self, root: str | Path) -> None:
        """Raise FileNotFoundError, saying where the dataset comes from, unless ``root`` holds it."""
        root = Path(root).expanduser()
        absent = [name for name in (self.csv, IMAGES) if not (root / name).exists()]
        if absent:
            raise FileNotFoundError(
                f"{self.title} is not in '{root}': {' and '.join(absent)} not found. Get it from {self.source} "
                f"({self.licence}), put {self.csv} and the folder {IMAGES} there, or name its folder with root "
                "(--data DIR)."
            )


ROWS = (
    PublicDataset(
        key="agiqa-3k",
        title="AGIQA-3k",
        class_name="AGIQA3kDataset",
        folder="AGIQA-3K",
        csv="data.csv",
        rows=2982,
        mos_column="mos_quality",
        generator=r"[^_]+",
        group_columns=("generator", "style", "adj1", "adj2"),
        source="https://github.com/lcysyzxdxc/AGIQA-3k-Database",
        licence="MIT",
        reference="Li et al., TCSVT 2023",
    ),
    PublicDataset(
        key="aigcqa-20k",
        title="AIGCQA-20k",
        class_name="AIGCQA20kDataset",
        folder="AIGCQA-20K",
        csv="info_train.csv",
        rows=14000,
        generator=r".+(?=_\d+\.\w+$)",
        source="https://www.modelscope.cn/datasets/lcysyzxdxc/AIGCQA-30K-Image",
        licence="terms on that page",
        reference="Li et al., CVPRW 2024",
    ),
)
PUBLIC_DATASETS: Mapping[str, PublicDataset] = MappingProxyType({row.key: row for row in ROWS})


def dataset_of_class(class_name: str | None) -> PublicDataset | None:
    """The dataset that a class of the option files reads; None where that is no public one."""
    return next((row for row in PUBLIC_DATASETS.values() if row.class_name == class_name), None)


def dataset_sections(option: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The dataset sections of a training's option file: training, validation and test."""
    return [*option["datasets"].values(), *([option["test"]] if option.get("test") else [])]


def with_root(option: Mapping[str, Any], root: str | Path) -> dict[str, Any]:
    """A training's options with ``root`` in place of the folder of its public dataset.

    Raises:
        ValueError: a section reads no public dataset.
    """
    moved = copy.deepcopy(dict(option))
    for section in dataset_sections(moved):
        base = section.get("base", section)
        if dataset_of_class(base.get("type")) is None:
            raise InputError(
                f"dataset '{section['name']}' is of type '{base.get('type')}', which reads no public dataset: name its "
                "files in the option file."
            )
        if base.pop("dataroot_target", None) is not None:
            base.pop("meta_info_file", None)  # of that folder; beside a root it is a table of one's own, and stays
        base["root"] = str(root)
    return moved
