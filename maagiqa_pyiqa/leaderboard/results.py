"""The results of a benchmark as typed, frozen values; JSON only at the edge (``to_json``, ``read_results``).

Figures count higher as better: scores of which lower is better are negated for them, and so are they for the logistic.
``RatedScores`` hold scores as the metrics gave them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA = 1


@dataclass(frozen=True)
class Estimate:
    """A figure with the ends of its 95 % interval, as far as there is one."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> str:
        """``[0.812, 0.864]``, or nothing."""
        return "" if self.low is None or self.high is None else f"[{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, kw_only=True)
class Participant:
    """One metric, checkpoint or column of scores that was asked for, whatever became of it.

    ``spec`` is what the user wrote; ``trained_on`` the public data its weights are known to have been trained on.
    """

    name: str
    spec: str
    kind: str
    lower_better: bool
    trained_on: Mapping[str, Any] | None
    options: Mapping[str, Any]
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

    ``figures`` by key of STATISTICS, None where a figure is not defined; ``logistic`` maps oriented scores to the MOS
    scale (top, bottom, middle, width); ``published`` by published key, with its ``source``; ``seen_in_training`` counts
    the images that the weights are known to have been trained on.
    """

    name: str
    n: int
    figures: Mapping[str, Estimate | None]
    logistic: tuple[float, ...] | None
    published: Mapping[str, Any] | None
    seen_in_training: int
    is_best: bool
    p_against_best: float | None


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """Figures of one participant on the images of a group, such as one generator."""

    group: str
    name: str
    n: int
    figures: Mapping[str, Estimate | None]


@dataclass(frozen=True, kw_only=True)
class Split:
    """One part of one split: rows best SRCC first, those trained on its images last; groups by column."""

    part: str
    images: int
    rows: tuple[Row, ...]
    groups: Mapping[str, tuple[GroupRow, ...]]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What was scored, with hashes of the CSV and of the decoded images."""

    name: str
    csv: str
    csv_sha256: str
    images_sha256: str
    images: int
    mos_range: tuple[float, float]
    group_columns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ScoredImage:
    """One image: MOS, splits, other columns of the CSV, and scores and gate weights by participant."""

    name: str
    mos: float
    splits: tuple[str, ...]
    columns: Mapping[str, Any]
    scores: Mapping[str, float]
    gate: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Results:
    """A whole benchmark: how it was made, who took part, figures by split, and every score."""

    created: str
    seed: int
    resamples: int
    environment: Mapping[str, Any]
    dataset: Dataset
    participants: tuple[Participant, ...]
    splits: Mapping[str, Split]
    images: tuple[ScoredImage, ...]
