"""``maagiqa score``: score files and folders, best first."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from maagiqa_pyiqa.cli.explaining import add_explain, check_explain, explain
from maagiqa_pyiqa.cli.gallery import add_gallery, check_gallery, show_with_gallery
from maagiqa_pyiqa.cli.heatmaps import RegionMaps, add_heatmap, finish_heatmaps, start_heatmaps
from maagiqa_pyiqa.cli.inputs import add_inputs, find_inputs
from maagiqa_pyiqa.cli.metadata import add_read_metadata, add_write_metadata, check_metadata, write_metadata
from maagiqa_pyiqa.cli.outputs import add_json_lines, add_outputs, json_lines
from maagiqa_pyiqa.cli.scoring import Started, add_keep, add_metrics, collect, say_how_to_go_on, start_scoring
from maagiqa_pyiqa.cli.selection import add_selection, selection_of
from maagiqa_pyiqa.cli.verbs import add_engine, add_quiet, add_scoring_arguments, add_verb
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.text import printable

if TYPE_CHECKING:
    from maagiqa_pyiqa.images.sources import ImagePath
    from maagiqa_pyiqa.leaderboard.entrants import Entrant
    from maagiqa_pyiqa.metrics.scoring import ImageScores
    from maagiqa_pyiqa.metrics.selection import Selection

EXAMPLES = """\
  maagiqa score pictures/
  maagiqa score a.png b.jpg -m maagiqa-lite -m piqe --csv scores.csv
  maagiqa score pictures/ -m mine=maagiqa-lite=experiments/mine/models/net_best.pth
  maagiqa score pictures/ -m maagiqa --device cuda --batch-size 32 --json scores.json
  maagiqa score pictures/ --gallery gallery.html --explain
  maagiqa score pictures/ --worst 20 --explain --heatmap heatmaps/
  maagiqa score pictures/ --percentile 90 --csv best.csv --quiet
  maagiqa score pictures/ --jsonl - | head -n 20
  find pictures/ -newer yesterday -name '*.png' | maagiqa score -
  maagiqa score generated.parquet --column file --root s3://bucket/images
  maagiqa score pictures/ -m maagiqa --engine ray --device cuda --actors 8 --parquet scores.parquet
"""


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    parser = add_verb(verbs, "score", "Score images, best first, by any no-reference metric of pyiqa.", EXAMPLES, run)
    add_inputs(parser)
    add_metrics(parser)
    add_outputs(parser, "scores and failures", "csv", "json", "parquet")
    add_json_lines(parser, "each image")
    add_gallery(parser)
    add_heatmap(parser)
    add_explain(parser)
    add_write_metadata(parser, "all images")
    add_read_metadata(parser)
    add_selection(parser)
    add_quiet(parser)
    add_scoring_arguments(parser)
    add_keep(parser)
    add_engine(parser, "copies of the metrics")


def run(arguments: argparse.Namespace) -> int:
    """Score and report; 1 if anything could not be scored, 130 if it was interrupted."""
    from maagiqa_pyiqa.leaderboard.entrants import parse_scorers

    selection = selection_of(arguments)
    entrants = parse_scorers(arguments.metric or ["maagiqa-lite"], arguments.semantics)
    paths = find_inputs(arguments).paths
    check_gallery(arguments, paths)
    check_metadata(arguments, paths)
    check_explain(arguments)
    maps = start_heatmaps(arguments, paths, entrants)
    with json_lines(arguments) as write_line:
        unavailable, stream = _start(arguments, paths, entrants)
        for name, reason in unavailable.items():
            print(f"metric {name} cannot run here: {printable(reason)}", file=sys.stderr)
        available = {name: entrant for name, entrant in entrants.items() if name not in unavailable}
        if not available:
            return 1
        scored, interrupted = collect(explain(arguments, stream, available), len(paths), write_line)
        failed = [result for result in scored if result.errors]
        maps = None if interrupted else maps  # which take as long as scores
        try:
            shown = _show(arguments, scored, available, unavailable, selection, maps)
        finally:  # also where an output could not be written
            _report_failures(failed)
        if interrupted:
            say_how_to_go_on(arguments, len(scored), len(paths))
            return 130
        unwritten = write_metadata(arguments, scored, available)
        if maps is not None:
            unwritten += finish_heatmaps(arguments.heatmap, maps, [image.path for image in shown if image.scores])
        return 1 if failed or unavailable or unwritten else 0


def _start(arguments: argparse.Namespace, paths: Sequence[ImagePath], entrants: Mapping[str, Entrant]) -> Started:
    if arguments.read_metadata:
        from maagiqa_pyiqa.metrics.embedded_scores import scores_in_files

        return {}, scores_in_files(paths, list(entrants))
    return (start_scoring if arguments.engine == "local" else _start_ray)(arguments, paths, entrants)


def _show(
    arguments: argparse.Namespace,
    scored: Sequence[ImageScores],
    entrants: Mapping[str, Entrant],
    unavailable: Mapping[str, str],
    selection: Selection,
    maps: RegionMaps | None,
) -> Sequence[ImageScores]:
    """Write, print and return what was selected, best first by the first metric; else everything, failures too."""
    from maagiqa_pyiqa.metrics.ranking import sort_best_first
    from maagiqa_pyiqa.metrics.score_tables import ScoreTable

    metrics = list(entrants)
    lower_better = [name for name, entrant in entrants.items() if entrant.lower_better]
    results = sort_best_first(scored, metrics[0], metrics[0] in lower_better)
    selected = selection.select(results, metrics[0])
    images, places = list(selected.values()), None if selection.is_everything else list(selected)
    ranges = {name: entrant.score_range for name, entrant in entrants.items()}
    table = ScoreTable(images, metrics, unavailable, lower_better, places, ranges)
    # a gallery lists failures by themselves
    shown = images if selection.is_everything else [*images, *(one for one in scored if not one.scores)]
    regions = maps.of if maps else None
    show_with_gallery(arguments, table, shown, entrants, regions=regions, parquet=table.as_parquet)
    return images


def _start_ray(arguments: argparse.Namespace, paths: Sequence[ImagePath], entrants: Mapping[str, Entrant]) -> Started:
    if arguments.keep:
        raise InputError("'--keep' works with '--engine local' only; leave one of them out.")
    from maagiqa_pyiqa.metrics.on_ray import score_with_ray
    from maagiqa_pyiqa.support.devices import default_device

    return score_with_ray(
        paths,
        {name: entrant.source.create for name, entrant in entrants.items()},
        device=arguments.device or default_device(),
        actors=arguments.actors,
        batch_size=arguments.batch_size,
        workers=arguments.workers,
    )


def _report_failures(failed: Sequence[ImageScores]) -> None:
    if failed:
        print(f"\n{len(failed)} not scored:", file=sys.stderr)
    for result in failed:
        print(f"  {printable(result.path)}: {printable(result.error)}", file=sys.stderr)
