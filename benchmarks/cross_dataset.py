"""Table 2 of the paper: trained on one dataset, tested on the other, over several seeds.

    python -m benchmarks.cross_dataset --train maagiqa_3k peer_hyperiqa_3k --train-root AGIQA-3K --test maagiqa_20k
        --test-root AIGCQA-20K --out cross [--seeds 0 1 2] [--epochs N] [--part test]

``--train`` and ``--test`` are option files: the first are trained, of the other only its ``test`` section is read. What
is done is kept, so a stopped run goes on. Ends with ``OUT/cross_dataset.md`` (mean and standard deviation) and the
leaderboard's report of the first seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.training_runs import load_recipe, report, summary, train, trained_on
from maagiqa_pyiqa.data.public_datasets import with_root
from maagiqa_pyiqa.data.splits import PARTS
from maagiqa_pyiqa.support.files import write_whole


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", required=True, nargs="+", help="option files that are trained, by name or path")
    parser.add_argument("--train-root", type=Path, help="folder of its dataset, instead of the one it names")
    parser.add_argument("--test", required=True, help="option file whose test section is used")
    parser.add_argument("--test-root", type=Path, help="folder of its dataset, instead of the one it names")
    parser.add_argument("--part", choices=PARTS, default="test", help="of the tested dataset")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train with every seed, test on the other dataset, write the table."""
    parsed = parse_arguments(arguments)
    options = [option_of(recipe, seed, parsed) for seed in parsed.seeds for recipe in parsed.train]
    runs: dict[str, list[dict[str, float]]] = {}
    for option in tqdm(options, unit="run", disable=None):
        runs.setdefault(label_of(option), []).append(train(option, parsed.out))
    table = f"Tested on {parsed.test}, part {parsed.part}.\n\n{summary(runs)}"
    write_whole(parsed.out / "cross_dataset.md", table)
    print(table)
    names = {label_of(option): option["name"] for option in options[: len(parsed.train)]}
    report(parsed.out, options[0]["test"], names)


def label_of(option: Mapping[str, Any]) -> str:
    """``hyperiqa@agiqa-3k``, as published figures are named."""
    recipe = option["name"].partition("_on_")[0].removeprefix("peer_")
    return f"{recipe.removesuffix('_3k').removesuffix('_20k')}@{trained_on(option)}"


def option_of(recipe: str, seed: int, parsed: argparse.Namespace) -> dict[str, Any]:
    """A recipe with the other one's test section."""
    option, other = load_recipe(recipe), load_recipe(parsed.test)
    option = with_root(option, parsed.train_root.resolve()) if parsed.train_root else option
    other = with_root(other, parsed.test_root.resolve()) if parsed.test_root else other
    section = other["test"]
    section.get("base", section)["part"] = parsed.part
    if parsed.epochs is not None:
        option["train"]["total_epoch"] = parsed.epochs
    name = f"{option['name']}_on_{other['name']}_seed{seed}"
    return {**option, "test": section, "name": name, "manual_seed": seed}


if __name__ == "__main__":
    main()
