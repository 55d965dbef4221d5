"""``maagiqa rank``: the best of many generations, per prompt where prompts are given (the paper, section 1)."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maagiqa_pyiqa.cli.outputs import add_outputs
from maagiqa_pyiqa.cli.scoring import add_keep, collect, say_how_to_go_on, start_scoring
from maagiqa_pyiqa.cli.verbs import add_inputs, add_scoring_arguments, add_verb, positive, show
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.files import written_whole
from maagiqa_pyiqa.support.text import printable

if TYPE_CHECKING:
    from maagiqa_pyiqa.metrics.scoring import ImageScores

EXAMPLES = """\
  maagiqa rank generations/ --top 10
  maagiqa rank generations/ --top 1 --per-prompt prompts.csv --copy-to best/
  maagiqa rank generations/ -m maagiqa --device cuda --csv ranking.csv --keep scores/
"""
EVERYTHING = ""  # the one group where no prompts are given


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs, "rank", "Pick the best of many generations, per prompt if prompts are given.", EXAMPLES, run
    )
    add_inputs(parser)
    parser.add_argument("--top", type=positive, metavar="K", help="how many to keep, of each prompt (default: all)")
    parser.add_argument("--per-prompt", metavar="CSV", help="CSV with the images' names and their prompts")
    parser.add_argument("--name-column", default="name", metavar="NAME", help="its column of names (default name)")
    parser.add_argument("--prompt-column", default="prompt", metavar="NAME", help="of prompts (default prompt)")
    parser.add_argument("-m", "--metric", default="maagiqa-lite", metavar="NAME", help="default maagiqa-lite")
    parser.add_argument("--copy-to", metavar="DIR", help="copy what is kept there, named by prompt, rank and image")
    add_outputs(parser, "the ranking", "csv", "json")
    add_scoring_arguments(parser)
    add_keep(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score, rank, copy; 1 if an image could not be scored, 130 if it was interrupted, and then nothing else."""
    from maagiqa_pyiqa.images.sources import find_files
    from maagiqa_pyiqa.metrics.ranking import rank_by_prompt
    from maagiqa_pyiqa.metrics.score_tables import RankingTable
    from maagiqa_pyiqa.metrics.scoring import check_metric_names

    check_metric_names([arguments.metric])
    paths = find_files(arguments.inputs)
    prompts = _read_prompts(arguments, paths)
    unavailable, stream = start_scoring(arguments, paths, [arguments.metric])
    if unavailable:
        raise InputError(f"metric {arguments.metric} cannot run here: {unavailable[arguments.metric]}")
    results, interrupted = collect(stream, len(paths))
    if interrupted:
        say_how_to_go_on(arguments, len(results), len(paths))
        return 130
    ranking = rank_by_prompt(results, arguments.metric, prompts, arguments.top)
    show(arguments, RankingTable.from_ranking(ranking, arguments.metric))
    if arguments.copy_to:
        _copy(Path(arguments.copy_to), ranking)
    failed = [result for result in results if result.errors]
    for result in failed:
        print(f"  not ranked: {printable(result.path)}: {printable(result.error)}", file=sys.stderr)
    return 1 if failed else 0


def _read_prompts(arguments: argparse.Namespace, paths: Sequence[Path]) -> dict[Path, str]:
    """Prompt of each image by its file name; one group where no CSV is given."""
    if arguments.per_prompt is None:
        return dict.fromkeys(paths, EVERYTHING)
    from maagiqa_pyiqa.data.agi_dataset import list_problems, read_table

    table = read_table(arguments.per_prompt, [arguments.name_column, arguments.prompt_column])
    names = [Path(str(name)).name for name in table[arguments.name_column]]
    prompt_of = dict(zip(names, table[arguments.prompt_column].astype(str), strict=True))
    absent = [f"{path}: has no row" for path in paths if path.name not in prompt_of]
    if absent:
        raise InputError(list_problems(f"prompts in '{arguments.per_prompt}'", absent))
    return {path: prompt_of[path.name] for path in paths}


def _copy(folder: Path, ranking: Mapping[str, Sequence[ImageScores]]) -> None:
    """Copy images as ``PROMPT_RANK_NAME``, so that a file browser shows them in order."""
    for number, images in enumerate(ranking.values(), start=1):
        for place, result in enumerate(images, start=1):
            group = f"{number:04d}_" if len(ranking) > 1 else ""
            with written_whole(folder / f"{group}{place:03d}_{result.path.name}") as aside:
                shutil.copyfile(result.path, aside)
