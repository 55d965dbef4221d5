"""Scores and rankings as people and programs read them: plain text, CSV, JSON, Parquet."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pandas

from maagiqa_pyiqa.metrics.scoring import ImageScores
from maagiqa_pyiqa.support.csv_files import as_csv
from maagiqa_pyiqa.support.text import encodable, printable


@dataclass(frozen=True)
class ScoreTable:
    """Scores of images by ``metrics``, in the order of ``images``; ``unavailable`` metrics with the reason."""

    images: Sequence[ImageScores]
    metrics: Sequence[str]
    unavailable: Mapping[str, str] = field(default_factory=dict)

    def as_text(self) -> str:
        """Ranked table of the images that have a score."""
        widths = [max(len(metric), 8) for metric in self.metrics]
        lines = [_line("rank", self.metrics, widths, "image")]
        for rank, image in enumerate((image for image in self.images if image.scores), start=1):
            cells = [f"{image.scores[m]:.4f}" if m in image.scores else "-" for m in self.metrics]
            lines.append(_line(rank, cells, widths, image.path))
        return "\n".join(lines)

    def as_csv(self) -> str:
        """Columns ``image``, one per metric, ``error``; every image has a row."""
        rows = (
            [str(image.path), *(image.scores.get(metric, "") for metric in self.metrics), image.error]
            for image in self.images
        )
        return as_csv(["image", *self.metrics, "error"], rows)

    def as_json(self) -> str:
        """An object with ``images`` (path, scores, error) and ``unavailable_metrics``."""
        images = [
            {"image": str(image.path), "scores": image.scores, "error": image.error or None} for image in self.images
        ]
        return _json({"images": images, "unavailable_metrics": dict(self.unavailable)})

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
        from pyarrow import parquet

        scores = {m: [image.scores.get(m) for image in self.images] for m in self.metrics}
        columns = {
            "image": pyarrow.array([encodable(str(image.path)) for image in self.images], pyarrow.string()),
            **{metric: pyarrow.array(values, pyarrow.float64()) for metric, values in scores.items()},
            "error": pyarrow.array([encodable(image.error) or None for image in self.images], pyarrow.string()),
        }
        content = io.BytesIO()
        parquet.write_table(pyarrow.table(columns), content)
        return content.getvalue()


class RankedImage(NamedTuple):
    """One row of a ranking; ``prompt`` is empty where none was given."""

    prompt: str
    rank: int
    score: float
    image: str


@dataclass(frozen=True)
class RankingTable:
    """The best images of each prompt."""

    rows: Sequence[RankedImage]

    @classmethod
    def from_ranking(cls, ranking: Mapping[str, Sequence[ImageScores]], metric: str) -> RankingTable:
        """Table of what ``rank_by_prompt`` gives for ``metric``."""
        return cls(
            [
                RankedImage(prompt, rank, image.scores[metric], str(image.path))
                for prompt, images in ranking.items()
                for rank, image in enumerate(images, start=1)
            ]
        )

    def as_text(self) -> str:
        """Rank, score and image, each group under its prompt."""
        lines: list[str] = []
        for row in self.rows:
            lines += [printable(row.prompt)] if row.prompt and row.rank == 1 else []
            lines.append(f"{row.rank:>4}  {row.score:>8.4f}  {printable(row.image)}")
        return "\n".join(lines)

    def as_csv(self) -> str:
        """Columns ``prompt``, ``rank``, ``score``, ``image``."""
        return as_csv(RankedImage._fields, self.rows)

    def as_json(self) -> str:
        """A list of objects with the same fields."""
        return _json([row._asdict() for row in self.rows])


def _line(rank: object, cells: Sequence[str], widths: Sequence[int], image: object) -> str:
    columns = "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
    return f"{rank:>4}  {columns}  {printable(image)}"


def _json(content: Any) -> str:
    return json.dumps(content, indent=1) + "\n"
