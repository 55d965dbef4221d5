"""Scores and rankings as people and programs read them: plain text, CSV, JSON and its lines, Parquet."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pandas

from maagiqa_pyiqa.metrics.scoring import ImageScores
from maagiqa_pyiqa.support.csv_files import as_csv
from maagiqa_pyiqa.support.text import encodable, printable

UP, DOWN = "\u2191", "\u2193"  # higher and lower scores are better


def as_record(image: ImageScores) -> dict[str, Any]:
    """Path, scores by metric, error (None where there is none) and explanations, if any, as JSON has them."""
    record = {"image": str(image.path), "scores": image.scores, "error": image.error or None}
    explanations = {name: explanation.as_record() for name, explanation in image.explanations.items()}
    return {**record, "explanations": explanations} if explanations else record


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
            lines += [
                f"{'':>4}  {printable(metric)} {words}"
                for metric, explanation in image.explanations.items()
                for words in explanation.in_words()
            ]
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
        import pyarrow

        scores = {m: [image.scores.get(m) for image in self.images] for m in self.metrics}
        columns = {
            "image": pyarrow.array([encodable(str(image.path)) for image in self.images], pyarrow.string()),
            **{metric: pyarrow.array(values, pyarrow.float64()) for metric, values in scores.items()},
            "error": pyarrow.array([encodable(image.error) or None for image in self.images], pyarrow.string()),
        }
        return _parquet(pyarrow.table(columns))


class RankedImage(NamedTuple):
    """One row of a ranking; ``group`` is empty where there are none."""

    group: str
    rank: int
    score: float
    image: str


@dataclass(frozen=True)
class RankingTable:
    """The best images of each group by ``metric``; ``by`` is what groups are, and the name of their column."""

    rows: Sequence[RankedImage]
    metric: str
    lower_better: bool = False
    by: str = "prompt"
    score_range: str | None = None

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
        )

    @property
    def _columns(self) -> list[str]:
        return [self.by, *RankedImage._fields[1:]]

    def as_text(self) -> str:
        """Rank, score and image, each group under its name."""
        title = with_arrow(self.metric, [self.metric] if self.lower_better else [])
        widths = [max(len(title), 8)]
        lines = [_line("rank", [title], widths, "image")]
        for row in self.rows:
            lines += [printable(row.group)] if row.group and row.rank == 1 else []
            lines.append(_line(row.rank, [f"{row.score:.4f}"], widths, row.image))
        return "\n".join([*lines, *name_ranges({self.metric: self.score_range})])

    def as_csv(self) -> str:
        """Columns ``by`` (such as ``prompt``), ``rank``, ``score``, ``image``."""
        return as_csv(self._columns, self.rows)

    def as_json(self) -> str:
        """A list of objects with the same fields."""
        return _json([dict(zip(self._columns, row, strict=True)) for row in self.rows])

    def as_parquet(self) -> bytes:
        """The same columns."""
        import pyarrow

        types = (pyarrow.string(), pyarrow.int64(), pyarrow.float64(), pyarrow.string())
        columns = zip(*self.rows, strict=True) if self.rows else ((),) * len(types)
        arrays = [
            pyarrow.array([encodable(cell) if isinstance(cell, str) else cell for cell in column], kind)
            for column, kind in zip(columns, types, strict=True)
        ]
        return _parquet(pyarrow.table(arrays, self._columns))


def _line(rank: object, cells: Sequence[str], widths: Sequence[int], image: object) -> str:
    columns = "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
    return f"{rank:>4}  {columns}  {printable(image)}"


def _parquet(table: Any) -> bytes:
    from pyarrow import parquet

    content = io.BytesIO()
    parquet.write_table(table, content)
    return content.getvalue()


def _json(content: Any) -> str:
    return json.dumps(content, indent=1) + "\n"
