"""``maagiqa rank``: the best of many generations, also of each prompt, folder or the like (the paper, section 1)."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from maagiqa_pyiqa.cli.explaining import add_explain, check_explain, explain
from maagiqa_pyiqa.cli.gallery import add_gallery, check_gallery, show_with_gallery
from maagiqa_pyiqa.cli.grouping import Groups, add_grouping, read_groups
from maagiqa_pyiqa.cli.heatmaps import RegionMaps, add_heatmap, finish_heatmaps, start_heatmaps
from maagiqa_pyiqa.cli.inputs import add_inputs, find_inputs
from maagiqa_pyiqa.cli.metadata import add_write_metadata, check_metadata, write_metadata
from maagiqa_pyiqa.cli.outputs import add_json_lines, add_outputs, json_lines
from maagiqa_pyiqa.cli.placing import Placing, add_placing, undo_or_finish
from maagiqa_pyiqa.cli.scoring import add_keep, add_prompts, add_semantics, collect, say_how_to_go_on, start_scoring
from maagiqa_pyiqa.cli.selection import add_limits, limits_of
from maagiqa_pyiqa.cli.verbs import INTERRUPTED, add_quiet, add_scoring_arguments, add_verb, positive
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.text import printable

if TYPE_CHECKING:
    from maagiqa_pyiqa.leaderboard.entrants import Entrant
    from maagiqa_pyiqa.metrics.scoring import ImageScores
    from maagiqa_pyiqa.metrics.selection import Selection

EXAMPLES = """\
  maagiqa rank generations/ --top 10
  maagiqa rank generations/ --top 1 --per-prompt prompts.csv --copy-to best/
  maagiqa rank runs/ --by folder --top 2 --link-to best/
  maagiqa rank list.parquet --column file --by seed --max 1.5 --move-to rejected/   # shows the plan and asks
  maagiqa rank --undo rejected/moves.csv
  maagiqa rank generations/ -m maagiqa --device cuda --csv ranking.csv --keep scores/
  maagiqa rank generations/ --top 4 --per-prompt prompts.csv --explain --gallery best.html
"""


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    summary = "Pick the best of many generations, of each prompt, folder or anything else, and copy, link or move them."
    parser = add_verb(verbs, "rank", summary, EXAMPLES, run)
    add_inputs(parser, "*")
    parser.add_argument("--top", type=positive, metavar="K", help="how many to keep, of each group (default: all)")
    add_grouping(parser)
    add_prompts(parser)
    parser.add_argument(
        "-m", "--metric", default="maagiqa-lite", metavar="NAME", help="as in maagiqa score (default maagiqa-lite)"
    )
    add_semantics(parser)
    add_placing(parser)
    add_write_metadata(parser, "what is kept, before it is copied or moved")
    add_outputs(parser, "the ranking", "csv", "json", "parquet")
    add_json_lines(parser, "the score of each image")
    add_gallery(parser)
    add_heatmap(parser)
    add_explain(parser)
    add_limits(parser)
    add_quiet(parser)
    add_scoring_arguments(parser)
    add_keep(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score, rank, copy; 1 if an image could not be scored, 130 if it was interrupted, and then nothing else."""
    code = undo_or_finish(arguments)
    return _rank(arguments) if code is None else code


def _rank(arguments: argparse.Namespace) -> int:
    from maagiqa_pyiqa.leaderboard.entrants import parse_scorers

    limits = limits_of(arguments)
    entrants = parse_scorers([arguments.metric], arguments.semantics)
    ((metric, entrant),) = entrants.items()
    found = find_inputs(arguments)
    check_gallery(arguments, found.paths)
    check_metadata(arguments, found.paths)
    check_explain(arguments)
    groups = read_groups(arguments, found)
    placing = Placing.asked_for(arguments, found.paths)
    maps = start_heatmaps(arguments, found.paths, entrants)
    with json_lines(arguments) as write_line:
        unavailable, stream = start_scoring(arguments, found.paths, entrants)
        if unavailable:
            raise InputError(f"metric {metric} cannot run here: {unavailable[metric]}")
        results, interrupted = collect(explain(arguments, stream, entrants), len(found.paths), write_line)
        if interrupted:
            say_how_to_go_on(arguments, len(results), len(found.paths))
            return INTERRUPTED
        failed = [result for result in results if result.errors]
        try:
            ranking = _show(arguments, results, entrant, groups, limits, maps)
        finally:  # also where an output could not be written
            _report_failures(failed)
        undone = _use(arguments, ranking, entrants, maps) + (placing.carry_out(ranking, metric) if placing else 0)
        return 1 if failed or undone else 0


def _show(
    arguments: argparse.Namespace,
    results: Sequence[ImageScores],
    entrant: Entrant,
    groups: Groups,
    limits: Selection,
    maps: RegionMaps | None,
) -> dict[str, list[ImageScores]]:
    """Write, print and return the ranking of what is within the limits."""
    from maagiqa_pyiqa.metrics.ranking import rank_by_group
    from maagiqa_pyiqa.metrics.score_tables import RankingTable

    metric = entrant.name
    within = [one for one in results if metric in one.scores and limits.keeps(one.scores[metric])]
    ranking = rank_by_group(within, metric, groups.of, arguments.top, entrant.lower_better)
    table = RankingTable.from_ranking(ranking, metric, entrant.lower_better, groups.by, entrant.score_range)
    shown = [*itertools.chain(*ranking.values()), *(one for one in results if one.errors)]
    regions = maps.of if maps else None
    show_with_gallery(arguments, table, shown, {metric: entrant}, groups.of, regions, parquet=table.as_parquet)
    return ranking


def _use(
    arguments: argparse.Namespace,
    ranking: Mapping[str, Sequence[ImageScores]],
    entrants: Mapping[str, Entrant],
    maps: RegionMaps | None,
) -> int:
    """Write scores into files and heat maps, as far as asked for; returns of how many images that failed."""
    kept = [*itertools.chain(*ranking.values())]
    unwritten = write_metadata(arguments, kept, entrants)
    return unwritten + (finish_heatmaps(arguments.heatmap, maps, [image.path for image in kept]) if maps else 0)


def _report_failures(failed: Sequence[ImageScores]) -> None:
    for result in failed:
        print(f"  not ranked: {printable(result.path)}: {printable(result.error)}", file=sys.stderr)
