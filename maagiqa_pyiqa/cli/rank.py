"""``maagiqa rank``: the best of many generations, per prompt where prompts are given (the paper, section 1)."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maagiqa_pyiqa.cli.verbs import add_scoring_arguments, add_verb, positive
from maagiqa_pyiqa.support.files import write_whole, written_whole

if TYPE_CHECKING:
    from maagiqa_pyiqa.metrics.scoring import ImageScores

EXAMPLES = """\
  maagiqa rank generations/ --top 10
  maagiqa rank generations/ --top 1 --per-prompt prompts.csv --copy-to best/
  maagiqa rank generations/ -m maagiqa --device cuda --csv ranking.csv
"""
EVERYTHING = ""  # the one group where no prompts are given


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    parser = add_verb(
        verbs, "rank", "Pick the best of many generations, per prompt if prompts are given.", EXAMPLES, run
    )
    parser.add_argument("inputs", nargs="+", metavar="PATH", help="image files or folders (searched recursively)")
    parser.add_argument("--top", type=positive, metavar="K", help="how many to keep, of each prompt (default: all)")
    parser.add_argument("--per-prompt", metavar="CSV", help="CSV with the images' names and their prompts")
    parser.add_argument("--name-column", default="name", metavar="NAME", help="its column of names (default name)")
    parser.add_argument("--prompt-column", default="prompt", metavar="NAME", help="of prompts (default prompt)")
    parser.add_argument("-m", "--metric", default="maagiqa-lite", metavar="NAME", help="default maagiqa-lite")
    parser.add_argument("--copy-to", metavar="DIR", help="copy what is kept there, named by prompt, rank and image")
    parser.add_argument("--csv", metavar="FILE", help="write the ranking as CSV")
    parser.add_argument("--json", metavar="FILE", help="write the ranking as JSON")
    add_scoring_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score, rank, copy; 1 if an image could not be scored."""
    from tqdm import tqdm

    from maagiqa_pyiqa.images.sources import find_files
    from maagiqa_pyiqa.metrics.scoring import check_metric_names, create_metrics, score_images

    check_metric_names([arguments.metric])
    paths = find_files(arguments.inputs)
    prompts = _read_prompts(arguments, paths)
    metrics, unavailable = create_metrics([arguments.metric], arguments.device)
    if unavailable:
        raise ValueError(f"metric {arguments.metric} cannot run here: {unavailable[arguments.metric]}")
    stream = score_images(paths, metrics, batch_size=arguments.batch_size, workers=arguments.workers)
    results = list(tqdm(stream, total=len(paths), unit="image", disable=None))
    ranking = rank(results, arguments.metric, prompts, arguments.top)
    _report(arguments, ranking)
    failed = [result for result in results if result.errors]
    for result in failed:
        print(f"  not ranked: {result.path}: {result.error}", file=sys.stderr)
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
        raise ValueError(list_problems(f"prompts in '{arguments.per_prompt}'", absent))
    return {path: prompt_of[path.name] for path in paths}


def rank(
    results: Sequence[ImageScores], metric: str, prompts: Mapping[Path, str], top: int | None
) -> dict[str, list[ImageScores]]:
    """Images that have a score by prompt, best first, at most ``top`` of each; prompts in order of appearance."""
    from maagiqa_pyiqa.cli.score import sort_best_first

    groups: dict[str, list[ImageScores]] = {prompt: [] for prompt in prompts.values()}
    for result in sort_best_first([result for result in results if metric in result.scores], metric):
        groups[prompts[result.path]].append(result)
    return {prompt: images[:top] for prompt, images in groups.items()}


def _report(arguments: argparse.Namespace, ranking: Mapping[str, Sequence[ImageScores]]) -> None:
    """Print the ranking, write the files that were asked for, copy the images."""
    rows = [
        {"prompt": prompt, "rank": place, "score": result.scores[arguments.metric], "image": str(result.path)}
        for prompt, images in ranking.items()
        for place, result in enumerate(images, start=1)
    ]
    for row in rows:
        if row["prompt"] and row["rank"] == 1:
            print(row["prompt"])
        print(f"{row['rank']:>4}  {row['score']:>8.4f}  {row['image']}")
    if arguments.json:
        write_whole(arguments.json, json.dumps(rows, indent=1) + "\n")
    if arguments.csv:
        import pandas

        write_whole(arguments.csv, pandas.DataFrame(rows).to_csv(index=False))
    if arguments.copy_to:
        _copy(Path(arguments.copy_to), ranking)


def _copy(folder: Path, ranking: Mapping[str, Sequence[ImageScores]]) -> None:
    """Copy images as ``PROMPT_RANK_NAME``, so that a file browser shows them in order."""
    for number, images in enumerate(ranking.values(), start=1):
        for place, result in enumerate(images, start=1):
            group = f"{number:04d}_" if len(ranking) > 1 else ""
            with written_whole(folder / f"{group}{place:03d}_{result.path.name}") as aside:
                shutil.copyfile(result.path, aside)
