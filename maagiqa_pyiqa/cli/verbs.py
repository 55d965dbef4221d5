"""What verbs share: making a parser with examples."""

from __future__ import annotations

import argparse
from collections.abc import Callable

Handler = Callable[[argparse.Namespace], int]


def add_verb(
    verbs: argparse._SubParsersAction, name: str, summary: str, examples: str, handler: Handler
) -> argparse.ArgumentParser:
    """Add a verb with its examples under ``--help``."""
    parser = verbs.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(handler=handler)
    return parser


def add_scoring_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every verb that scores files asks for: batch size, device, decoding processes."""
    parser.add_argument("--batch-size", type=positive, default=8, metavar="N", help="images at once (default 8)")
    parser.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1, mps (default: cuda where there is one)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="decoding processes (default 2)")


def positive(text: str) -> int:
    """Parse an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value
