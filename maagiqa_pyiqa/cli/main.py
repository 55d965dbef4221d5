"""Entry point of the command line."""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
import warnings
from collections.abc import Sequence

from maagiqa_pyiqa import __version__
from maagiqa_pyiqa.cli.outputs import abandon_standard_output, escape_what_the_terminal_lacks, prepared_outputs
from maagiqa_pyiqa.cli.verbs import INTERRUPTED
from maagiqa_pyiqa.support.errors import UserError
from maagiqa_pyiqa.support.options import nearest
from maagiqa_pyiqa.support.progress import without_progress
from maagiqa_pyiqa.support.text import printable

VERBS = (
    "score",
    "rank",
    "compare",
    "benchmark",
    "extract",
    "ask",
    "answers",
    "cache",
    "train",
    "describe",
    "split",
    "serve",
    "doctor",
)
WRONG_USAGE, FAULT = 2, 70  # the latter as sysexits.h has it
BROKEN_PIPE = 141  # 128 and the signal's number, as shells have it


def build_parser() -> argparse.ArgumentParser:
    """Make the parser with every verb."""
    parser = argparse.ArgumentParser(prog="maagiqa", description="Quality of AI-generated images as people see it.")
    parser.add_argument("--version", action="version", version=f"maagiqa_pyiqa {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        importlib.import_module(f"maagiqa_pyiqa.cli.{verb}").add_parser(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a verb; bad input is a message on standard error and exit code 2, a fault of ours its traceback and 70."""
    escape_what_the_terminal_lacks()
    # by Pillow, of images that are read all the same: what is too large has its own limit and reason here
    warnings.filterwarnings("ignore", r"Image size \(\d+ pixels\) exceeds limit")
    try:
        parsed = _parse(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:  # verbs are being imported
        return INTERRUPTED
    try:
        with prepared_outputs(parsed), without_progress(parsed.quiet):
            code = parsed.handler(parsed)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # who reads has enough
        abandon_standard_output()
        return BROKEN_PIPE
    except (UserError, OSError, ImportError, MemoryError) as error:
        _say(parsed.verb, str(error) or type(error).__name__)
        return WRONG_USAGE
    except KeyboardInterrupt:
        _say(parsed.verb, "interrupted")
        return INTERRUPTED
    except Exception:
        traceback.print_exc()
        _say(parsed.verb, "this is a fault of maagiqa_pyiqa or of what it uses; please report it with the lines above")
        return FAULT


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse, and name the nearest verb to a misspelt one."""
    parser = build_parser()
    if arguments and not arguments[0].startswith("-") and arguments[0] not in VERBS:
        parser.error(f"there is no verb {arguments[0]!r}.{nearest(arguments[0], VERBS)} Verbs: {', '.join(VERBS)}.")
    return parser.parse_args(arguments)


def _say(verb: str, message: str) -> None:
    lines = "\n".join(map(printable, message.split("\n")))
    print(f"maagiqa {verb}: {lines}", file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:
        abandon_standard_output()


if __name__ == "__main__":
    sys.exit(main())
