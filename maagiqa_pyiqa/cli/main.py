"""Entry point of the command line."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from maagiqa_pyiqa import __version__
from maagiqa_pyiqa.cli.outputs import abandon_standard_output, escape_what_the_terminal_lacks, prepared_outputs
from maagiqa_pyiqa.support.text import printable

VERBS = ("score", "rank", "benchmark", "extract", "cache", "train", "describe", "split", "doctor")
INTERRUPTED, BROKEN_PIPE = 130, 141  # 128 and the signal's number, as shells have it


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
    escape_what_the_terminal_lacks()
    parser = build_parser()
    parsed, rest = parser.parse_known_args(arguments)
    parsed.rest = rest
    if rest and not getattr(parsed, "passes_rest", False):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        with prepared_outputs(parsed):
            code = parsed.handler(parsed)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # who reads has enough
        abandon_standard_output()
        return BROKEN_PIPE
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        _say(parsed.verb, str(error))
        return 2
    except KeyboardInterrupt:
        _say(parsed.verb, "interrupted")
        return INTERRUPTED


def _say(verb: str, message: str) -> None:
    lines = "\n".join(map(printable, message.split("\n")))
    print(f"maagiqa {verb}: {lines}", file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:
        abandon_standard_output()


if __name__ == "__main__":
    sys.exit(main())
