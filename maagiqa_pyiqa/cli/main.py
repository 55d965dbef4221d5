"""Entry point of the command line."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from maagiqa_pyiqa import __version__

VERBS = ("score", "rank", "benchmark", "extract", "cache", "train", "describe", "split", "doctor")


def build_parser() -> argparse.ArgumentParser:
    """Make the parser with every verb."""
    parser = argparse.ArgumentParser(prog="maagiqa", description="Quality of AI-generated images as people see it.")
    parser.add_argument("--version", action="version", version=f"maagiqa_pyiqa {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        importlib.import_module(f"maagiqa_pyiqa.cli.{verb}").add_parser(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; bad input is one line on standard error and exit code 2, never a traceback."""
    parser = build_parser()
    parsed, rest = parser.parse_known_args(arguments)
    parsed.rest = rest
    if rest and not getattr(parsed, "passes_rest", False):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        return parsed.handler(parsed)
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        print(f"maagiqa {parsed.verb}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"maagiqa {parsed.verb}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
