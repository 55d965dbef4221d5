"""Scores inside the image files that they are of: by metric the score and the model that gave it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from maagiqa_pyiqa.images.decoding import UnreadableImageError, read_content
from maagiqa_pyiqa.images.metadata import MetadataError, read_text, with_text
from maagiqa_pyiqa.images.sources import ImagePath
from maagiqa_pyiqa.metrics.scoring import ImageScores
from maagiqa_pyiqa.support.files import written_whole


class EmbeddedScore(NamedTuple):
    """A score, and which model of which version gave it."""

    score: float
    model: str


def read_scores(content: bytes) -> dict[str, EmbeddedScore]:
    """Scores by metric in an image file's content; what is no score of ours is passed over.

    Raises:
        MetadataError: the file is damaged, or of a format that holds none.
    """
    try:
        found = json.loads(read_text(content) or "{}")
    except (ValueError, RecursionError):
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    return {name: EmbeddedScore(float(one["score"]), one["model"]) for name, one in entries if _is_score(one)}


def _is_score(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("model"), str):
        return False
    score = entry.get("score")
    return isinstance(score, (int, float)) and not isinstance(score, bool) and math.isfinite(score)


def write_scores(path: Path, scores: Mapping[str, EmbeddedScore]) -> None:
    """Put scores into a file beside those of other metrics; nothing is written where they are there already.

    The file is replaced as a whole; its pixels and all other metadata stay byte for byte.

    Raises:
        MetadataError: as ``metadata.with_text``.
        OSError: the file cannot be read or written.
    """
    content = path.read_bytes()
    every = {**read_scores(content), **scores}
    record = {name: every[name]._asdict() for name in sorted(every)}
    changed = with_text(content, json.dumps(record))
    if changed != content:
        with written_whole(path) as aside:
            aside.write_bytes(changed)


def scores_in_files(images: Sequence[ImagePath], metrics: Sequence[str]) -> Iterator[ImageScores]:
    """What files say of themselves, in order; a score that is not there is an error of the image."""
    for image in images:
        found = ImageScores(image)
        try:
            inside = read_scores(read_content(image))
        except (UnreadableImageError, MetadataError) as error:
            found.errors[""] = str(error)
        else:
            found.scores = {name: inside[name].score for name in metrics if name in inside}
            found.errors = {name: "no score in the file's metadata" for name in metrics if name not in inside}
        yield found
