"""What verbs share: a parser with examples, the arguments that mean the same in each, the table they show."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Protocol

from maagiqa_pyiqa.cli.outputs import write_outputs
from maagiqa_pyiqa.data.splits import TEST, VAL

INTERRUPTED = 130  # an exit code: 128 and SIGINT's number, as shells have it
Handler = Callable[[argparse.Namespace], int]


class Table(Protocol):
    """What a verb prints, and writes for ``--csv`` and ``--json``."""

    def as_text(self) -> str:
        """For people."""

    def as_csv(self) -> str:
        """For spreadsheets."""

    def as_json(self) -> str:
        """For programs."""


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
    parser.set_defaults(handler=handler, quiet=False)
    return parser


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``."""
    parser.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1, mps (default: cuda where there is one)")


def add_dtype(parser: argparse.ArgumentParser) -> None:
    """Add ``--dtype``."""
    parser.add_argument("--dtype", default="auto", metavar="T", help="of the model: auto (default), fp32, bf16, fp16")


def add_scoring_arguments(parser: argparse.ArgumentParser, batch_size: int | None = 8, workers: int | None = 2) -> None:
    """Add what every verb that scores files asks for: batch size, device, decoding threads.

    Args:
        parser: of the verb.
        batch_size: default; None where an option file may name it.
        workers: likewise.
    """
    add_batch_size(parser, batch_size, "8")
    add_device(parser)
    parser.add_argument("--workers", type=int, default=workers, metavar="N", help="threads that decode (default 2)")


def add_batch_size(parser: argparse.ArgumentParser, default: int | None, meaning: str) -> None:
    """Add ``--batch-size``; ``meaning`` says what the default is."""
    help_text = f"images at once (default: {meaning})"
    parser.add_argument("--batch-size", type=positive, default=default, metavar="N", help=help_text)


def add_resampling(parser: argparse.ArgumentParser, resamples: int | None, seed: int | None, seeded: str = "") -> None:
    """Add what the bootstrap asks for: ``--resamples`` and ``--seed``.

    Args:
        parser: of the verb.
        resamples: default; None where an option file may name it.
        seed: likewise.
        seeded: what else takes the seed.
    """
    parser.add_argument(
        "--resamples", type=positive, default=resamples, metavar="N", help="of the bootstrap (default 1000)"
    )
    help_text = f"of the bootstrap{seeded} (default 0)"
    parser.add_argument("--seed", type=int, default=seed, metavar="N", help=help_text)


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Add ``--quiet``."""
    parser.add_argument("--quiet", action="store_true", help="print neither table nor progress, only what failed")


def add_shares(parser: argparse._ActionsContainer, where: str) -> None:
    """Add ``--val`` and ``--test``, shares of the images in a split; ``where`` says when they count."""
    for part, share in (("val", VAL), ("test", TEST)):
        help_text = f"share of the images in part {part} {where} (default {share:g})"
        parser.add_argument(f"--{part}", type=float, default=share, metavar="SHARE", help=help_text)


def add_engine(parser: argparse.ArgumentParser, copies: str) -> None:
    """Add ``--engine`` and ``--actors``; ``copies`` says of what each actor holds one."""
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="where it runs (default local)")
    parser.add_argument("--actors", type=positive, default=1, metavar="N", help=f"most {copies} at once, with ray")


def show(arguments: argparse.Namespace, table: Table, **others: Callable[[], str | bytes]) -> None:
    """Write a table to where ``--csv``, ``--json`` and ``others`` say; unless quiet print it, also if that failed."""
    try:
        write_outputs(arguments, csv=table.as_csv, json=table.as_json, **others)
    finally:
        if not arguments.quiet:
            print(table.as_text())


def add_action(
    actions: argparse._SubParsersAction,
    folder: tuple[str, str],
    name: str,
    summary: str,
    action: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    """Add an action of a verb that works on a folder.

    Args:
        actions: of the verb.
        folder: the argument that names it, and what it is in words.
        name: of the action.
        summary: for its help.
        action: does it and gives the exit status.
    """
    parser = actions.add_parser(name, help=summary, description=summary)
    parser.add_argument(folder[0], metavar="DIR", help=folder[1])
    parser.set_defaults(action=action)
    return parser


def positive(text: str) -> int:
    """Parse an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def count(text: str) -> int:
    """Parse an integer of at least 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {value}")
    return value


def seconds(text: str) -> float:
    """Parse a number above 0 that is finite."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text}")
    return value
