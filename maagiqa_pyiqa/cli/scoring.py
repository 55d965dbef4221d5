"""What ``score`` and ``rank`` share: metrics that score files, scores that are kept, an end in order when stopped."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maagiqa_pyiqa.images.sources import ImagePath
    from maagiqa_pyiqa.leaderboard.entrants import Entrant
    from maagiqa_pyiqa.metrics.scoring import ImageScores

STORE = "scores.sqlite"  # as a benchmark's folder has it, which can be named too
Started = tuple[dict[str, str], Iterator["ImageScores"]]


def add_keep(parser: argparse.ArgumentParser) -> None:
    """Add ``--keep``."""
    parser.add_argument(
        "--keep", metavar="DIR", help="keep scores there, or in a benchmark's folder; what is there is not scored again"
    )


def add_metrics(parser: argparse.ArgumentParser) -> None:
    """Add ``-m`` for any number of metrics."""
    parser.add_argument(
        "-m",
        "--metric",
        action="append",
        metavar="NAME",
        help="NAME, NAME=CHECKPOINT or LABEL=NAME=CHECKPOINT; repeatable (default: maagiqa-lite)",
    )
    add_semantics(parser)


def add_semantics(parser: argparse.ArgumentParser) -> None:
    """Add ``--semantics`` of metrics that ask a large model."""
    parser.add_argument(
        "--semantics",
        metavar="SPEC",
        help="where metrics that need semantic features, such as maagiqa, have them from: mplug-owl2:DIR, "
        "transformers:DIR, cache:DIR ... (default: the metric's own)",
    )


def add_prompts(parser: argparse.ArgumentParser) -> None:
    """Add ``--per-prompt`` and its columns."""
    parser.add_argument("--per-prompt", metavar="CSV", help="table with the images' paths or names and their prompts")
    parser.add_argument("--name-column", default="name", metavar="NAME", help="its column of names (default name)")
    parser.add_argument("--prompt-column", default="prompt", metavar="NAME", help="of prompts (default prompt)")


def read_prompts_of(arguments: argparse.Namespace, paths: Sequence[ImagePath]) -> dict[ImagePath, str]:
    """Prompt of each image, by the CSV of ``add_prompts``.

    Raises:
        FileNotFoundError, InputError: as ``prompts_of_images.read_prompts``.
    """
    from maagiqa_pyiqa.metrics.prompts_of_images import read_prompts

    return read_prompts(arguments.per_prompt, paths, arguments.name_column, arguments.prompt_column)


def start_scoring(
    arguments: argparse.Namespace, paths: Sequence[ImagePath], entrants: Mapping[str, Entrant]
) -> Started:
    """Create metrics in this process.

    Returns:
        Metrics that cannot run with the reason, and the scores by the others as they come.
    """
    from maagiqa_pyiqa.metrics.kept_scoring import identify_metrics, score_with_store
    from maagiqa_pyiqa.metrics.score_store import ScoreStore
    from maagiqa_pyiqa.metrics.scoring import create_metrics, score_images
    from maagiqa_pyiqa.support.reachability import only_reachable

    store = ScoreStore(Path(arguments.keep).expanduser() / STORE) if arguments.keep else None
    fetch_nothing = all(one.source.packaged for one in entrants.values())
    with contextlib.nullcontext() if fetch_nothing else only_reachable():
        makers = {name: one.source.create for name, one in entrants.items()}
        metrics, unavailable = create_metrics(makers, arguments.device)
    options = {"batch_size": arguments.batch_size, "workers": arguments.workers}
    if store is None:
        return unavailable, score_images(paths, metrics, **options)
    keys, unknown = identify_metrics(metrics, {name: one.source.origin for name, one in entrants.items()})
    metrics = {name: metrics[name] for name in keys}
    return {**unavailable, **unknown}, score_with_store(store, keys, metrics, paths, **options)


def collect(
    stream: Iterator[ImageScores], total: int, write_line: Callable[[object], None] = lambda record: None
) -> tuple[list[ImageScores], bool]:
    """Take scores until they end, or Ctrl-C or SIGTERM asks to stop; the second value says which.

    Args:
        stream: the scores.
        total: how many there will be.
        write_line: is given a record of each at once.
    """
    from maagiqa_pyiqa.metrics.score_tables import as_record
    from maagiqa_pyiqa.support.progress import progress
    from maagiqa_pyiqa.support.stopping import set_by_signals

    results: list[ImageScores] = []
    stop = threading.Event()
    with set_by_signals(stop):
        with contextlib.suppress(KeyboardInterrupt):  # a second signal
            for result in progress(stream, total=total):
                results.append(result)
                write_line(as_record(result))
                if stop.is_set():
                    break
            else:
                return results, False
        with contextlib.suppress(KeyboardInterrupt):
            stream.close()  # type: ignore[attr-defined]  # both engines give generators
    return results, len(results) < total


def say_how_to_go_on(arguments: argparse.Namespace, done: int, total: int) -> None:
    """Tell after an interruption what there is and how to get the rest."""
    remedy = (
        "the same command again scores the rest"
        if arguments.keep
        else "with --keep DIR, a second run would score only the rest"
    )
    print(f"\ninterrupted: {done} of {total} images are scored; {remedy}", file=sys.stderr)
