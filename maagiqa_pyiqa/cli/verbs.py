"""What verbs share: making a parser with examples, and writing results whole."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

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


def positive(text: str) -> int:
    """Parse an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def write_whole(path: str | Path, text: str) -> None:
    """Write a text file aside, then move it into place."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)
