"""``maagiqa compare``: the images of two generators, or of two checkpoints of one, compared by any metric."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maagiqa_pyiqa.cli.inputs import add_list_options, find_inputs
from maagiqa_pyiqa.cli.outputs import add_outputs
from maagiqa_pyiqa.cli.scoring import (
    add_keep,
    add_metrics,
    add_prompts,
    collect,
    read_prompts_of,
    say_how_to_go_on,
    start_scoring,
)
from maagiqa_pyiqa.cli.verbs import INTERRUPTED, add_resampling, add_scoring_arguments, add_verb, show
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.text import printable

if TYPE_CHECKING:
    from maagiqa_pyiqa.images.sources import ImagePath
    from maagiqa_pyiqa.leaderboard.entrants import Entrant
    from maagiqa_pyiqa.metrics.comparison import Comparison, Keys, PairBy
    from maagiqa_pyiqa.metrics.scoring import ImageScores

EXAMPLES = """\
  maagiqa compare sdxl/ flux/
  maagiqa compare step-1000/ step-2000/ --pair-by name -m maagiqa-lite -m piqe --csv pairs.csv
  maagiqa compare sdxl/ flux/ --per-prompt prompts.csv --json comparison.json --keep scores/
"""


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    summary = "Compare two folders of images, such as of two generators: the difference, how sure it is, and where."
    parser = add_verb(verbs, "compare", summary, EXAMPLES, run)
    for name in ("a", "b"):
        parser.add_argument(
            name, metavar=name.upper(), help="folder, image file, glob, tar, list of paths, or URL of one"
        )
    add_list_options(parser)
    parser.add_argument(
        "--pair-by",
        choices=("name", "prompt"),
        help="what belongs together: images of one name in both folders, whatever its extension, or of one prompt "
        "(default: prompt with --per-prompt, else name); where nothing does, all of A stand against all of B",
    )
    add_prompts(parser)
    add_metrics(parser)
    add_resampling(parser, resamples=1000, seed=0)
    add_outputs(parser, "the comparison", "csv", "json", "parquet")
    add_scoring_arguments(parser)
    add_keep(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score and compare; 1 if anything could not be scored, 130 if it was interrupted, and then nothing else."""
    from maagiqa_pyiqa.leaderboard.entrants import parse_scorers
    from maagiqa_pyiqa.metrics.comparison_table import ComparisonTable

    entrants = parse_scorers(arguments.metric or ["maagiqa-lite"], arguments.semantics)
    groups = [find_inputs(arguments, [name]).paths for name in (arguments.a, arguments.b)]
    keys = [_keys(arguments, folder, paths) for folder, paths in zip((arguments.a, arguments.b), groups, strict=True)]
    paths = list(dict.fromkeys(path for group in groups for path in group))
    unavailable, stream = start_scoring(arguments, paths, entrants)
    for name, reason in unavailable.items():
        print(f"metric {name} cannot run here: {printable(reason)}", file=sys.stderr)
    results, interrupted = collect(stream, len(paths))
    if interrupted:
        say_how_to_go_on(arguments, len(results), len(paths))
        return INTERRUPTED
    failed = _report_failures(results)
    available = [entrant for name, entrant in entrants.items() if name not in unavailable]
    comparisons = _compare(arguments, available, groups, keys, results)
    table = ComparisonTable(arguments.a, arguments.b, comparisons, unavailable)
    show(arguments, table, parquet=table.as_parquet)
    return 1 if failed or unavailable else 0


def _keys(arguments: argparse.Namespace, folder: str, paths: Sequence[ImagePath]) -> Keys:
    """What each image of a group can be paired by."""
    if arguments.pair_by == "name" and arguments.per_prompt:
        raise InputError("'--per-prompt' is for pairs by prompt; leave it out, or say '--pair-by prompt'.")
    if _pair_by(arguments) == "name":
        return {path: _name_within(folder, path) for path in paths}
    if arguments.per_prompt is None:
        raise InputError("'--pair-by prompt' needs to know the prompts; name a CSV of names and prompts, --per-prompt.")
    return read_prompts_of(arguments, paths)


def _pair_by(arguments: argparse.Namespace) -> PairBy:
    return arguments.pair_by or ("prompt" if arguments.per_prompt else "name")


def _name_within(folder: str, image: ImagePath) -> str:
    """The path from the folder on, without its extension; the base name of what is in no folder."""
    path = Path(str(image))
    inner = path.relative_to(folder) if Path(folder).is_dir() else Path(path.name)
    return str(inner.with_suffix(""))


def _report_failures(results: Sequence[ImageScores]) -> bool:
    failed = [result for result in results if result.errors]
    for result in failed:
        print(f"  left out: {printable(result.path)}: {printable(result.error)}", file=sys.stderr)
    return bool(failed)


def _compare(
    arguments: argparse.Namespace,
    entrants: Sequence[Entrant],
    groups: Sequence[Sequence[ImagePath]],
    keys: Sequence[Keys],
    results: Sequence[ImageScores],
) -> list[Comparison]:
    """By each metric that has scored images of both groups."""
    from maagiqa_pyiqa.agreement.bootstrap import Resampling
    from maagiqa_pyiqa.metrics.comparison import Group, compare_images

    resampling = Resampling(arguments.seed, arguments.resamples)
    by_path = {result.path: result.scores for result in results}
    comparisons = []
    for entrant in entrants:
        scores = [
            {path: by_path[path][entrant.name] for path in group if entrant.name in by_path[path]} for group in groups
        ]
        if not all(scores):
            group = arguments.b if scores[0] else arguments.a
            print(f"metric {printable(entrant.name)} has scored no image of {printable(group)}", file=sys.stderr)
            continue
        a, b = map(Group, scores, keys)
        comparisons.append(
            compare_images(entrant.name, a, b, _pair_by(arguments), resampling, lower_better=entrant.lower_better)
        )
    return comparisons
