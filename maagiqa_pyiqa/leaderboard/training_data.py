"""What a participant's weights were trained on, as far as that is known, and so whether its scores are zero-shot.

Known is it of our published weights, of what an experiment of ``maagiqa train`` left (its checkpoints and its
``test_scores.csv``), and of what an option file says by ``trained_on: {dataset: agiqa-3k, split: official}``; and of
metrics of pyiqa that none of it are of the public datasets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pyiqa.default_model_configs import DEFAULT_CONFIGS

from maagiqa_pyiqa.data import public_datasets
from maagiqa_pyiqa.data.known_images import is_known, training_keys
from maagiqa_pyiqa.data.splits import SPLITS
from maagiqa_pyiqa.models import RESOLVED_OPTIONS
from maagiqa_pyiqa.support.options import require_choice


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """Part ``train`` of a split of a public dataset, and part ``val`` too if ``with_val``."""

    dataset: str
    split: str = "official"
    split_seed: int = 0
    with_val: bool = False

    def __post_init__(self) -> None:
        require_choice("trained_on", "dataset", self.dataset, public_datasets.PUBLIC_DATASETS)
        require_choice("trained_on", "split", self.split, SPLITS)

    def holds(self, pixel_key: bytes) -> bool:
        """Whether an image was trained on, known by its pixels; under whatever name, in whatever dataset."""
        return is_known(pixel_key, training_keys(self.dataset, self.split, self.split_seed, self.with_val))


OF_PUBLISHED_WEIGHTS = MappingProxyType(
    {
        **dict.fromkeys(("maagiqa", "maagiqa-lite-2026a"), TrainingData(dataset="agiqa-3k")),
        "maagiqa-lite": TrainingData(dataset="agiqa-3k", with_val=True),
    }
)
# of metrics of pyiqa's: by what its options call a dataset, and of those whose options say nothing
OPTIONS_THAT_NAME_DATA = ("pretrained", "train_dataset", "regressor_dataset")
NAMES_OF_DATA = MappingProxyType(
    {
        "koniq": "koniq-10k", "koniq10k": "koniq-10k", "ava": "ava", "paq2piq": "flive", "flive": "flive",
        "spaq": "spaq", "pipal": "pipal", "kadid": "kadid-10k", "live": "live", "csiq": "csiq", "tid": "tid2013",
        "clive": "clive",
    }
)  # fmt: skip
ONE_ALIGN_DATA = ("koniq-10k", "spaq", "kadid-10k", "ava", "lsvq")
RATED_DATA_OF = MappingProxyType(
    {
        **dict.fromkeys(("entropy", "piqe", "niqe", "niqe_matlab", "ilniqe", "clipiqa"), ()),  # not fitted to ratings
        **dict.fromkeys(("one-align", "qalign", "qalign_8bit", "qalign_4bit"), ONE_ALIGN_DATA),
        "brisque": ("live",),
        "hyperiqa": ("koniq-10k",),
        "topiq_nr": ("koniq-10k",),
        "clipiqa+": ("koniq-10k",),
        "nima": ("ava",),
    }
)
OWN_PARTS = frozenset({"part_column", "val_share", "test_share"})  # options that make other parts than a split's name


def find_training_data(metric: str | None, file: str | None) -> TrainingData | None:
    """What is known of a metric with its published weights, or of a checkpoint or scores in a file."""
    return training_data_of_file(file) if file else OF_PUBLISHED_WEIGHTS.get(metric or "")


def is_zero_shot(dataset: str, metric: str | None, known: TrainingData | None) -> bool | None:
    """Whether weights are known to have been trained on nothing of a dataset; None where that is not known.

    Args:
        dataset: key of a public dataset, or whatever else was scored.
        metric: of pyiqa with its published weights; None for any others.
        known: what is known of the weights.
    """
    if known is not None:
        return known.dataset != dataset
    rated = rated_data_of(metric) if metric and metric in DEFAULT_CONFIGS else None
    return None if rated is None else dataset not in rated


def rated_data_of(metric: str) -> tuple[str, ...] | None:
    """Datasets on whose ratings a metric's published weights were trained; None where that is not known.

    Empty where it was fitted to no ratings. Data that a backbone was trained on before are not among them.
    """
    if metric in OF_PUBLISHED_WEIGHTS:
        return (OF_PUBLISHED_WEIGHTS[metric].dataset,)
    if metric in RATED_DATA_OF:
        return RATED_DATA_OF[metric]
    options = DEFAULT_CONFIGS[metric]["metric_opts"]
    named = [options[key] for key in OPTIONS_THAT_NAME_DATA if isinstance(options.get(key), str)]
    return (NAMES_OF_DATA[named[0]],) if named and named[0] in NAMES_OF_DATA else None


def training_data_of_file(file: str) -> TrainingData | None:
    """What an experiment was trained on.

    Args:
        file: a checkpoint ``experiments/NAME/models/x.pth``, or a file in ``experiments/NAME`` itself.

    Returns:
        None where the file is of no experiment, or trained on no public dataset.
    """
    for folder in Path(file).expanduser().absolute().parents[:2]:
        if (folder / RESOLVED_OPTIONS).is_file():
            options = json.loads((folder / RESOLVED_OPTIONS).read_text(encoding="utf-8"))
            return _of_section(options["datasets"]["train"])
    return None


def _of_section(section: Mapping[str, Any]) -> TrainingData | None:
    base = section.get("base", section)  # what SemanticFeatureDataset wraps
    public = public_datasets.dataset_of_class(base["type"])
    if public is None:
        return None
    if not OWN_PARTS.isdisjoint(base):
        return TrainingData(dataset=public.key, split="all")  # any image may have been among them
    split = {key: base[key] for key in ("split", "split_seed", "with_val") if key in base}
    return TrainingData(dataset=public.key, **split)
