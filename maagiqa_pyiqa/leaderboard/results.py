"""The results of a benchmark as frozen values; their JSON is made and read in ``results_json.py`` only.

Figures count higher as better: scores of which lower is better are negated for them, and so are they for the logistic.
``ScoredImage`` holds scores as the metrics gave them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from maagiqa_pyiqa.agreement.bootstrap import Estimate
from maagiqa_pyiqa.leaderboard.training_data import TrainingData
from maagiqa_pyiqa.support.environment import Environment

Cell: TypeAlias = str | float | bool | None  # of a CSV
Figures: TypeAlias = Mapping[str, Estimate | None]  # by key of STATISTICS, None where a figure is not defined


@dataclass(frozen=True)
class Published:
    """Figures that a source prints, by the published key of STATISTICS."""

    source: str
    figures: Mapping[str, float]

    def get(self, key: str | None) -> float | None:
        """One figure, None where the source lacks it."""
        return self.figures.get(key or "")


@dataclass(frozen=True, kw_only=True)
class Participant:
    """One metric, checkpoint or column of scores that was asked for, whatever became of it.

    ``spec`` is what the user wrote; ``trained_on`` the public data its weights are known to have been trained on.
    ``zero_shot`` says whether they are known to have seen nothing of this dataset; None where that is not known.
    """

    name: str
    spec: str
    kind: Literal["metric", "checkpoint", "scores"]
    lower_better: bool
    trained_on: TrainingData | None
    zero_shot: bool | None
    options: Mapping[str, object]
    weights_sha256: str | None
    version: str
    parameters: int | None
    peak_memory_bytes: int | None
    images_per_second: float | None
    device: str | None
    status: Literal["ok", "partial", "failed"]
    reason: str | None
    failed_images: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Row:
    """Figures of one participant on the ``n`` images of a split that it has scored.

    ``logistic`` maps oriented scores to the MOS scale (top, bottom, middle, width); ``seen_in_training`` counts the
    images that the weights are known to have been trained on. Of another than the best, ``p_against_best`` is that both
    have the same SRCC, and ``detectable`` the smallest difference to it that these images show, see ``PairedTest``.
    """

    name: str
    n: int
    figures: Figures
    logistic: tuple[float, ...] | None
    published: Published | None = None
    seen_in_training: int = 0
    is_best: bool = False
    p_against_best: float | None = None
    detectable: float | None = None


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """Figures of one participant on the images of a group, such as one generator."""

    group: str
    name: str
    n: int
    figures: Figures


@dataclass(frozen=True, kw_only=True)
class Split:
    """One part of one split: rows best SRCC first, those trained on its images last; groups by column.

    ``prompts`` counts the prompts of the images where whole prompts were resampled, else it is None. ``published_only``
    is what is published of participants without a row.
    """

    part: str
    images: int
    prompts: int | None
    rows: tuple[Row, ...]
    published_only: Mapping[str, Published]
    groups: Mapping[str, tuple[GroupRow, ...]]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What was scored, with hashes of the CSV and of the decoded images.

    ``identical_images`` are sets of names: the same pixels, and different MOS. ``resampled_by`` is a column: images
    with the same text in it are resampled together; None where images are resampled one by one.
    """

    name: str
    csv: str
    csv_sha256: str
    images_sha256: str
    images: int
    identical_images: tuple[tuple[str, ...], ...]
    mos_range: tuple[float, float]
    group_columns: tuple[str, ...]
    resampled_by: str | None


@dataclass(frozen=True, kw_only=True)
class ScoredImage:
    """One image: MOS, splits, other columns of the CSV, and scores and gate weights by participant."""

    name: str
    mos: float
    splits: tuple[str, ...]
    columns: Mapping[str, Cell]
    scores: Mapping[str, float]
    gate: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Results:
    """A whole benchmark: how it was made, who took part, figures by split, and every score."""

    created: str
    seed: int
    resamples: int
    environment: Environment
    dataset: Dataset
    participants: tuple[Participant, ...]
    splits: Mapping[str, Split]
    images: tuple[ScoredImage, ...]
