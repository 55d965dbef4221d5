"""``maagiqa rank``: the best of many generations, per prompt where prompts are given (the paper, section 1)."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maagiqa_pyiqa.cli.copies import CopyFolder
from maagiqa_pyiqa.cli.gallery import add_gallery, check_gallery, show_with_gallery
from maagiqa_pyiqa.cli.inputs import add_inputs, find_inputs
from maagiqa_pyiqa.cli.outputs import add_json_lines, add_outputs, json_lines
from maagiqa_pyiqa.cli.scoring import (
    add_keep,
    add_prompts,
    add_semantics,
    collect,
    read_prompts_of,
    say_how_to_go_on,
    start_scoring,
)
from maagiqa_pyiqa.cli.selection import add_limits, limits_of
from maagiqa_pyiqa.cli.verbs import add_quiet, add_scoring_arguments, add_verb, positive
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.text import printable

if TYPE_CHECKING:
    from maagiqa_pyiqa.images.sources import ImagePath
    from maagiqa_pyiqa.leaderboard.entrants import Entrant
    from maagiqa_pyiqa.metrics.scoring import ImageScores
    from maagiqa_pyiqa.metrics.selection import Selection

EXAMPLES = """\
  maagiqa rank generations/ --top 10
  maagiqa rank generations/ --top 1 --per-prompt prompts.csv --copy-to best/
  maagiqa rank generations/ -m maagiqa --device cuda --csv ranking.csv --keep scores/
  maagiqa rank generations/ --top 4 --per-prompt prompts.csv --gallery best.html
"""
EVERYTHING = ""  # the one group where no prompts are given


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs, "rank", "Pick the best of many generations, per prompt if prompts are given.", EXAMPLES, run
    )
    add_inputs(parser)
    parser.add_argument("--top", type=positive, metavar="K", help="how many to keep, of each prompt (default: all)")
    add_prompts(parser)
    add_semantics(parser)
    parser.add_argument(
        "-m", "--metric", default="maagiqa-lite", metavar="NAME", help="as in maagiqa score (default maagiqa-lite)"
    )
    parser.add_argument(
        "--copy-to",
        metavar="DIR",
        help="copy what is kept there, named by prompt, rank and image, in place of an earlier ranking's copies",
    )
    add_outputs(parser, "the ranking", "csv", "json", "parquet")
    add_json_lines(parser, "the score of each image")
    add_gallery(parser)
    add_limits(parser)
    add_quiet(parser)
    add_scoring_arguments(parser)
    add_keep(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score, rank, copy; 1 if an image could not be scored, 130 if it was interrupted, and then nothing else."""
    from maagiqa_pyiqa.images.sources import only_files
    from maagiqa_pyiqa.leaderboard.entrants import parse_scorers

    limits = limits_of(arguments)
    entrants = parse_scorers([arguments.metric], arguments.semantics)
    ((metric, entrant),) = entrants.items()
    paths = find_inputs(arguments).paths
    check_gallery(arguments, paths)
    prompts = read_prompts_of(arguments, paths) if arguments.per_prompt else dict.fromkeys(paths, EVERYTHING)
    copies = CopyFolder(Path(arguments.copy_to), arguments.inputs, only_files(paths)) if arguments.copy_to else None
    with json_lines(arguments) as write_line:
        unavailable, stream = start_scoring(arguments, paths, entrants)
        if unavailable:
            raise InputError(f"metric {metric} cannot run here: {unavailable[metric]}")
        results, interrupted = collect(stream, len(paths), write_line)
        if interrupted:
            say_how_to_go_on(arguments, len(results), len(paths))
            return 130
        failed = [result for result in results if result.errors]
        ranking = _show(arguments, results, entrant, prompts, limits)
        if copies is not None:
            copies.fill(
                {prompt: only_files([result.path for result in results]) for prompt, results in ranking.items()}
            )
        for result in failed:
            print(f"  not ranked: {printable(result.path)}: {printable(result.error)}", file=sys.stderr)
        return 1 if failed else 0


def _show(
    arguments: argparse.Namespace,
    results: Sequence[ImageScores],
    entrant: Entrant,
    prompts: Mapping[ImagePath, str],
    limits: Selection,
) -> dict[str, list[ImageScores]]:
    """Write, print and return the ranking of what is within the limits."""
    from maagiqa_pyiqa.metrics.ranking import rank_by_prompt
    from maagiqa_pyiqa.metrics.score_tables import RankingTable

    metric = entrant.name
    within = [one for one in results if metric in one.scores and limits.keeps(one.scores[metric])]
    ranking = rank_by_prompt(within, metric, prompts, arguments.top, entrant.lower_better)
    table = RankingTable.from_ranking(ranking, metric, entrant.lower_better)
    shown = [*itertools.chain(*ranking.values()), *(one for one in results if one.errors)]
    show_with_gallery(arguments, table, shown, {metric: entrant}, prompts, parquet=table.as_parquet)
    return ranking
