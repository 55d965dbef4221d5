"""``--write-metadata`` and ``--read-metadata``: scores inside the image files themselves."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maagiqa_pyiqa import __version__
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.text import printable

if TYPE_CHECKING:
    from maagiqa_pyiqa.images.sources import ImagePath
    from maagiqa_pyiqa.leaderboard.entrants import Entrant
    from maagiqa_pyiqa.metrics.scoring import ImageScores


def add_write_metadata(parser: argparse.ArgumentParser, which: str) -> None:
    """Add ``--write-metadata``; ``which`` says into which images."""
    parser.add_argument(
        "--write-metadata",
        action="store_true",
        help=f"put score and model into the files of {which} (PNG, JPEG, WebP); pixels and all else in them stay",
    )


def add_read_metadata(parser: argparse.ArgumentParser) -> None:
    """Add ``--read-metadata``."""
    parser.add_argument(
        "--read-metadata", action="store_true", help="take the scores that --write-metadata left, and run no metric"
    )


def check_metadata(arguments: argparse.Namespace, images: Sequence[ImagePath]) -> None:
    """Refuse before the work what cannot be.

    Raises:
        InputError: reading and writing at once, or an image to write to is no file on this machine.
    """
    from maagiqa_pyiqa.images.sources import only_files

    if not arguments.write_metadata:
        return
    if getattr(arguments, "read_metadata", False):
        raise InputError("'--read-metadata' gives what is in the files already; leave '--write-metadata' out.")
    only_files(images)


def write_metadata(
    arguments: argparse.Namespace, images: Sequence[ImageScores], entrants: Mapping[str, Entrant]
) -> int:
    """Put scores into files, if that is asked for; returns how many could not be written, each of which is told."""
    if not arguments.write_metadata:
        return 0
    from maagiqa_pyiqa.images.metadata import MetadataError
    from maagiqa_pyiqa.images.sources import only_files
    from maagiqa_pyiqa.metrics.embedded_scores import EmbeddedScore, write_scores
    from maagiqa_pyiqa.support.progress import progress

    models = {name: name_model(entrant) for name, entrant in entrants.items()}
    scored = [image for image in images if image.scores]
    problems = []
    for image in progress(scored, total=len(scored), what="metadata"):
        (path,) = only_files([image.path])
        scores = {name: EmbeddedScore(score, models[name]) for name, score in image.scores.items()}
        try:
            write_scores(path, scores)
        except MetadataError as error:
            problems.append(f"{path}: {error}")
        except OSError as error:
            problems.append(f"{path}: {error.strerror or error}")
    for problem in problems:
        print(f"  metadata not written: {printable(problem)}", file=sys.stderr)
    return len(problems)


def name_model(entrant: Entrant) -> str:
    """Which model it is, without telling anything of this machine: metric, checkpoint by its content, version."""
    metric = entrant.source.metric or entrant.name
    checkpoint = entrant.source.checkpoint
    words = [metric]
    if checkpoint is not None:
        digest = hashlib.sha256(Path(checkpoint).expanduser().read_bytes())
        words.append(f"checkpoint {digest.hexdigest()[:16]}")
    return ", ".join([*words, f"maagiqa_pyiqa {__version__}"])
