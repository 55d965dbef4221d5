"""``--explain`` of ``score`` and ``rank``: what the scores mean."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.text import printable

if TYPE_CHECKING:
    from maagiqa_pyiqa.leaderboard.entrants import Entrant
    from maagiqa_pyiqa.metrics.explanation import ScoreDistribution
    from maagiqa_pyiqa.metrics.scoring import ImageScores


def add_explain(parser: argparse.ArgumentParser) -> None:
    """Add ``--explain``."""
    help_text = (
        "say where each score stands among AGIQA-3k's pictures and what it weighs, also in JSON and its lines; "
        "a gallery then also shows the quality of regions"
    )
    parser.add_argument("--explain", action="store_true", help=help_text)


def check_explain(arguments: argparse.Namespace) -> None:
    """Raise InputError for scores that are only read, of which nobody knows the weights."""
    if arguments.explain and getattr(arguments, "read_metadata", False):
        raise InputError("'--explain' is for scores that are computed now; leave '--read-metadata' out.")


def explain(
    arguments: argparse.Namespace, stream: Iterator[ImageScores], entrants: Mapping[str, Entrant]
) -> Iterator[ImageScores]:
    """A stream with explanations, if these are asked for; tells of metrics whose distribution is not known."""
    if not arguments.explain:
        return stream
    from maagiqa_pyiqa.metrics.explanation import explained

    distributions: dict[str, ScoreDistribution] = {}
    for name, entrant in entrants.items():
        try:
            distributions[name] = _distribution_of(entrant)
        except InputError as error:
            print(f"no percentiles of {printable(name)}: {printable(error)}", file=sys.stderr)
    return explained(stream, distributions)


def _distribution_of(entrant: Entrant) -> ScoreDistribution:
    from maagiqa_pyiqa.metrics.explanation import distribution_of

    if entrant.source.checkpoint is not None or entrant.source.options:
        raise InputError("where scores stand is known of packaged weights alone.")
    return distribution_of(str(entrant.source.metric))
