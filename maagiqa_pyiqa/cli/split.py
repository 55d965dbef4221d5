"""``maagiqa split``: write a split for inspection."""

from __future__ import annotations

import argparse
from pathlib import Path

from maagiqa_pyiqa.cli.outputs import add_outputs, write_outputs
from maagiqa_pyiqa.cli.verbs import add_shares, add_verb
from maagiqa_pyiqa.data.public_datasets import PUBLIC_DATASETS
from maagiqa_pyiqa.support.csv_files import frame_as_csv
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import require_choice

EXAMPLES = """\
  maagiqa split data.csv --split official --csv official.csv
  maagiqa split --dataset agiqa-3k --data AGIQA-3K --split prompt-disjoint --csv disjoint.csv
  maagiqa split data.csv --split prompt-folds:0 --csv fold0.csv
  maagiqa split mine.csv --split random --val 0.15 --test 0.15 --csv mine_with_parts.csv
"""


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    parser = add_verb(verbs, "split", "Divide a dataset's CSV into train, val and test.", EXAMPLES, run)
    parser.add_argument("table", nargs="?", metavar="CSV", help="the dataset's own CSV, in its own order")
    parser.add_argument("--dataset", metavar="NAME", help=f"{', '.join(PUBLIC_DATASETS)}, in place of a CSV")
    parser.add_argument("--data", "--root", dest="root", metavar="DIR", help="folder of the dataset")
    parser.add_argument(
        "--split",
        default="official",
        help="official (default), prompt-disjoint, random, or prompt-folds:0 to prompt-folds:4",
    )
    parser.add_argument("--seed", type=int, default=0, help="of all but official (default 0)")
    add_shares(parser, "in these")
    parser.add_argument("--prompt-column", metavar="NAME", help="default: prompt, or the dataset's own")
    add_outputs(parser, "the parts (CSV: a column 'part' added to the table; JSON: row indices)", "csv", "json")


def run(arguments: argparse.Namespace) -> int:
    """Split, print sizes and shared prompts, write what was asked for."""
    import json

    from maagiqa_pyiqa.data.agi_dataset import read_table
    from maagiqa_pyiqa.data.splits import make_split, needs_prompts

    file, column = _table_and_prompts(arguments)
    table = read_table(file, [column] if needs_prompts(arguments.split) else [])
    prompts = list(table[column]) if column in table else None
    split = make_split(arguments.split, prompts, len(table), arguments.seed, arguments.val, arguments.test)
    for part, rows in split.items():
        print(f"{part:>5}: {len(rows):>6} images{_shared_prompts(prompts, split, part)}")
    part_of = {row: part for part, rows in split.items() for row in rows}
    with_part = table.assign(part=[part_of[row] for row in range(len(table))])
    write_outputs(arguments, csv=lambda: frame_as_csv(with_part), json=lambda: json.dumps(split) + "\n")
    return 0


def _table_and_prompts(arguments: argparse.Namespace) -> tuple[Path, str]:
    """The CSV to divide and its column of prompts."""
    if (arguments.table is None) == (arguments.dataset is None):
        raise InputError("name either the CSV of a dataset, or a public dataset: --dataset NAME --data DIR.")
    if arguments.dataset is None:
        if arguments.root is not None:
            raise InputError("'--data' is for '--dataset NAME'; a CSV is named by its path.")
        return Path(arguments.table), arguments.prompt_column or "prompt"
    require_choice("split", "dataset", arguments.dataset, PUBLIC_DATASETS)
    if arguments.root is None:
        raise InputError(f"dataset '{arguments.dataset}' needs its folder; name it with --data DIR.")
    public = PUBLIC_DATASETS[arguments.dataset]
    return Path(arguments.root).expanduser() / public.csv, arguments.prompt_column or public.prompt_column


def _shared_prompts(prompts: list[str] | None, split: dict[str, list[int]], part: str) -> str:
    from maagiqa_pyiqa.data.splits import normalised_prompt

    if prompts is None or part == "train":
        return ""
    trained = {normalised_prompt(prompts[row]) for row in split["train"]}
    shared = sum(normalised_prompt(prompts[row]) in trained for row in split[part])
    return f", {shared} share their prompt with a training image"
