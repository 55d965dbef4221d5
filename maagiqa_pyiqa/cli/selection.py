"""Which scored images a verb shows and writes: ``--top``, ``--worst``, ``--min``, ``--max``, ``--percentile``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from maagiqa_pyiqa.cli.verbs import positive

if TYPE_CHECKING:
    from maagiqa_pyiqa.metrics.selection import Selection


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add ``--min`` and ``--max``."""
    parser.add_argument("--min", type=float, metavar="X", help="only images with a score of at least X")
    parser.add_argument("--max", type=float, metavar="X", help="only images with a score of at most X")


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add all rules, which count by the first metric."""
    parser.add_argument("--top", type=positive, metavar="N", help="only the N best of what the other rules leave")
    parser.add_argument("--worst", type=positive, metavar="N", help="only the N worst; with --top, both ends")
    add_limits(parser)
    parser.add_argument(
        "--percentile",
        type=float,
        metavar="P",
        help="only images at least as good as P %% of all: 90 leaves the best 10 %%",
    )


def selection_of(arguments: argparse.Namespace) -> Selection:
    """What was asked for.

    Raises:
        InputError: as ``Selection``.
    """
    from maagiqa_pyiqa.metrics.selection import Selection

    return Selection(
        lowest=arguments.min,
        highest=arguments.max,
        percentile=arguments.percentile,
        top=arguments.top,
        worst=arguments.worst,
    )


def limits_of(arguments: argparse.Namespace) -> Selection:
    """``--min`` and ``--max`` alone, of a verb with another ``--top``."""
    from maagiqa_pyiqa.metrics.selection import Selection

    return Selection(lowest=arguments.min, highest=arguments.max)
