"""Scores and rankings as people and programs read them: plain text, CSV, JSON and its lines, Parquet."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas

from maagiqa_pyiqa.metrics.scoring import ImageScores
from maagiqa_pyiqa.support.csv_files import as_csv
from maagiqa_pyiqa.support.tables import as_parquet
from maagiqa_pyiqa.support.text import printable

if TYPE_CHECKING:
    from maagiqa_pyiqa.metrics.explanation import Explanation

UP, DOWN = "\u2191", "\u2193"  # higher and lower scores are better


def as_record(image: ImageScores) -> dict[str, Any]:
    """Path, scores by metric, error (None where there is none) and explanations, if any, as JSON has them."""
    record = {"image": str(image.path), "scores": image.scores, "error": image.error or None}
    return {**record, **_explanations(image.explanations)}


def name_ranges(ranges: Mapping[str, str | None]) -> list[str]:
    """A line for people with the range of each metric's scores, none where no range is known."""
    known = [f"{printable(metric)} {low_high.replace(', ', ' to ')}" for metric, low_high in ranges.items() if low_high]
    return [f"range of scores: {', '.join(known)}"] if known else []


def with_arrow(metric: str, lower_better: Collection[str]) -> str:
    """A metric's name with the direction in which its scores are better."""
    return f"{metric} {DOWN if metric in lower_better else UP}"


@dataclass(frozen=True)
class ScoreTable:
    """Scores of images by ``metrics``, in the order of ``images``.

    ``unavailable`` metrics come with the reason; ``lower_better`` names those of which lower scores are better, and
    ``ranges`` are lowest and highest scores as pyiqa writes them. ``places`` are the ranks where the images are a part
    of all, each with a score.
    """

    images: Sequence[ImageScores]
    metrics: Sequence[str]
    unavailable: Mapping[str, str] = field(default_factory=dict)
    lower_better: Collection[str] = ()
    places: Sequence[int] | None = None
    ranges: Mapping[str, str | None] = field(default_factory=dict)

    def as_text(self) -> str:
        """Ranked table of the images that have a score, explanations below each, and the ranges of scores."""
        titles = [with_arrow(metric, self.lower_better) for metric in self.metrics]
        widths = [max(len(title), 8) for title in titles]
        lines = [_line("rank", titles, widths, "image")]
        scored = [image for image in self.images if image.scores]
        for rank, image in zip(self.places or range(1, len(scored) + 1), scored, strict=True):
            cells = [f"{image.scores[m]:.4f}" if m in image.scores else "-" for m in self.metrics]
            lines.append(_line(rank, cells, widths, image.path))
            lines += _explain(image.explanations)
        return "\n".join([*lines, *name_ranges(self.ranges)])

    def as_csv(self) -> str:
        """Columns ``image``, one per metric, ``error``; every image has a row."""
        rows = (
            [str(image.path), *(image.scores.get(metric, "") for metric in self.metrics), image.error]
            for image in self.images
        )
        return as_csv(["image", *self.metrics, "error"], rows)

    def as_json(self) -> str:
        """An object with ``images`` (path, scores, error), ``unavailable_metrics`` and facts of the others."""
        return _json(
            {
                "images": [as_record(image) for image in self.images],
                "lower_better": {metric: metric in self.lower_better for metric in self.metrics},
                "score_range": {metric: self.ranges.get(metric) for metric in self.metrics},
                "unavailable_metrics": dict(self.unavailable),
            }
        )

    def as_frame(self) -> pandas.DataFrame:
        """Columns ``image``, one per metric (NaN where there is none), ``error`` (None where there is none)."""
        scores = {m: [image.scores.get(m, math.nan) for image in self.images] for m in self.metrics}
        columns = {
            "image": pandas.Series([str(image.path) for image in self.images], dtype=object),
            **{metric: pandas.Series(values, dtype=float) for metric, values in scores.items()},
            "error": pandas.Series([image.error or None for image in self.images], dtype=object),
        }
        return pandas.DataFrame(columns)

    def as_parquet(self) -> bytes:
        """Columns ``image``, one per metric, ``error``, null where there is none."""
        rows = (
            [str(image.path), *(image.scores.get(metric) for metric in self.metrics), image.error or None]
            for image in self.images
        )
        return as_parquet({"image": "string", **dict.fromkeys(self.metrics, "double"), "error": "string"}, rows)


class RankedImage(NamedTuple):
    """One row of a ranking; ``group`` is empty where there are none."""

    group: str
    rank: int
    score: float
    image: str


@dataclass(frozen=True)
class RankingTable:
    """The best images of each group by ``metric``; ``by`` is what groups are, and the name of their column.

    ``explanations`` are those of an image's scores by its path, where there are any.
    """

    rows: Sequence[RankedImage]
    metric: str
    lower_better: bool = False
    by: str = "prompt"
    score_range: str | None = None
    explanations: Mapping[str, Mapping[str, Explanation]] = field(default_factory=dict)

    @classmethod
    def from_ranking(
        cls,
        ranking: Mapping[str, Sequence[ImageScores]],
        metric: str,
        lower_better: bool = False,
        by: str = "prompt",
        score_range: str | None = None,
    ) -> RankingTable:
        """Table of what ``rank_by_group`` gives for ``metric``."""
        return cls(
            [
                RankedImage(group, rank, image.scores[metric], str(image.path))
                for group, images in ranking.items()
                for rank, image in enumerate(images, start=1)
            ],
            metric,
            lower_better,
            by,
            score_range,
            {str(image.path): image.explanations for images in ranking.values() for image in images},
        )

    @property
    def _columns(self) -> list[str]:
        return [self.by, *RankedImage._fields[1:]]

    def as_text(self) -> str:
        """Rank, score and image, explanations below each, and each group under its name."""
        title = with_arrow(self.metric, [self.metric] if self.lower_better else [])
        widths = [max(len(title), 8)]
        lines = [_line("rank", [title], widths, "image")]
        for row in self.rows:
            lines += [printable(row.group)] if row.group and row.rank == 1 else []
            lines.append(_line(row.rank, [f"{row.score:.4f}"], widths, row.image))
            lines += _explain(self.explanations.get(row.image, {}))
        return "\n".join([*lines, *name_ranges({self.metric: self.score_range})])

    def as_csv(self) -> str:
        """Columns ``by`` (such as ``prompt``), ``rank``, ``score``, ``image``."""
        return as_csv(self._columns, self.rows)

    def as_json(self) -> str:
        """A list of objects with the same fields, and explanations, if any."""
        explanations = (_explanations(self.explanations.get(row.image, {})) for row in self.rows)
        rows = (dict(zip(self._columns, row, strict=True)) for row in self.rows)
        return _json([{**row, **more} for row, more in zip(rows, explanations, strict=True)])

    def as_parquet(self) -> bytes:
        """The same columns."""
        types = ("string", "int64", "double", "string")
        return as_parquet(dict(zip(self._columns, types, strict=True)), self.rows)


def _line(rank: object, cells: Sequence[str], widths: Sequence[int], image: object) -> str:
    columns = "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
    return f"{rank:>4}  {columns}  {printable(image)}"


def _explain(explanations: Mapping[str, Explanation]) -> list[str]:
    """Lines for people, below an image's own."""
    named = [(metric, words) for metric, one in explanations.items() for words in one.in_words()]
    return [f"{'':>4}  {printable(metric)} {words}" for metric, words in named]


def _explanations(explanations: Mapping[str, Explanation]) -> dict[str, Any]:
    """The field of an image in JSON; none where there is nothing to explain."""
    return {"explanations": {metric: one.as_record() for metric, one in explanations.items()}} if explanations else {}


def _json(content: Any) -> str:
    return json.dumps(content, indent=1) + "\n"
