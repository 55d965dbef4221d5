"""Tables 3 to 5 of the paper: what the quality branch, each prompt and the mixture of experts add, over several seeds.

    python -m benchmarks.ablation --root AGIQA-3K --out ablation [--backbone official|lite] [--semantics SPEC]
        [--seeds 0 1 2] [--epochs N] [--rows NAME ...]

Semantic features are extracted once, into ``OUT/features``. Each row and seed is one training run through pyiqa's
engine; what is done is kept, so a stopped run goes on. Ends with ``OUT/ablation.md`` (mean and standard deviation,
which the paper lacks) and the leaderboard's report of the first seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from tqdm import tqdm

from benchmarks.training_runs import load_recipe, report, summary, train, trained_on, with_features
from maagiqa_pyiqa.cache.reader import CacheReader
from maagiqa_pyiqa.cli.main import main as maagiqa
from maagiqa_pyiqa.data.public_datasets import with_root
from maagiqa_pyiqa.support.files import write_whole

RECIPES = MappingProxyType({"official": "maagiqa_3k", "lite": "ablation_lite_3k"})
SEMANTICS = MappingProxyType({"official": "mplug-owl2", "lite": "visual"})


class Row(NamedTuple):
    """A configuration of the one network: ``prompts`` are positions among the cache's."""

    use_quality: bool
    prompts: tuple[int, ...]
    fusion: str = "moe"


ROWS: MappingProxyType[str, Row] = MappingProxyType(
    {
        "quality": Row(True, (), "none"),
        "semantic": Row(False, (0,)),
        "coherence": Row(False, (1,)),
        "quality + semantic": Row(True, (0,)),
        "quality + coherence": Row(True, (1,)),
        "semantic + coherence": Row(False, (0, 1)),
        "all, MoE": Row(True, (0, 1)),
        "all, concatenation": Row(True, (0, 1), "concat"),
    }
)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder with data.csv and images/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--backbone", choices=RECIPES, default="lite")
    parser.add_argument("--semantics", help="extractor; by default mplug-owl2 for official, visual for lite")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Extract, train all rows and seeds, write the tables."""
    parsed = parse_arguments(arguments)
    cache = extract(parsed)
    runs: dict[str, list[dict[str, float]]] = {label: [] for label in parsed.rows}
    options = [option_of(label, seed, cache, parsed) for seed in parsed.seeds for label in parsed.rows]
    for option, label in zip(tqdm(options, unit="run", disable=None), cycle(parsed.rows), strict=False):
        runs[label].append(train(option, parsed.out))
    table = summary(runs)
    write_whole(parsed.out / "ablation.md", table)
    print(table)
    # what is published is of full size: figures of the small networks do not stand beside it
    suffix = f"@{trained_on(options[0])}" if parsed.backbone == "official" else ""
    names = {f"{label}{suffix}": name_of(label, parsed.seeds[0]) for label in parsed.rows}
    report(parsed.out, options[0]["test"], names)


def extract(parsed: argparse.Namespace) -> CacheReader:
    """Features of all images, in the cache of this experiment."""
    spec = parsed.semantics or SEMANTICS[parsed.backbone]
    if spec.startswith("cache:"):
        return CacheReader.open(spec.removeprefix("cache:"))
    location = parsed.out / "features"
    code = maagiqa(["extract", str(parsed.root / "images"), "--cache", str(location), "--extractor", spec])
    if code:
        raise SystemExit(code)
    return CacheReader.open(location)


def name_of(label: str, seed: int) -> str:
    """Name of an experiment."""
    return label.replace(", ", "_").replace(" + ", "_") + f"_seed{seed}"


def option_of(label: str, seed: int, cache: CacheReader, parsed: argparse.Namespace) -> dict[str, Any]:
    """Option of one run: the recipe with a row's network and features."""
    row = ROWS[label]
    prompts = [cache.manifest.prompts[position] for position in row.prompts]
    recipe = with_root(load_recipe(RECIPES[parsed.backbone]), parsed.root.resolve())
    option = with_features(recipe, Path(cache.location), prompts)
    network = {key: value for key, value in option["network"].items() if key != "semantics"}
    row_options = {"use_quality": row.use_quality, "num_prompts": len(prompts), "fusion": row.fusion}
    option["network"] = {**network, **row_options, "feature_dim": cache.manifest.feature_dim}
    if not row.use_quality:  # nothing of the backbone is there to freeze or to train at a rate of its own
        without_backbone(option["train"])
    if parsed.epochs is not None:
        option["train"]["total_epoch"] = parsed.epochs
    return {**option, "name": name_of(label, seed), "manual_seed": seed}


def without_backbone(section: dict[str, Any]) -> None:
    """Take out of a ``train`` section what speaks of the backbone."""
    section.pop("freeze", None)
    section["optim"] = {key: value for key, value in section["optim"].items() if not key.endswith("_backbone")}
    rates = section["scheduler"].get("max_lr")
    if isinstance(rates, list):
        section["scheduler"]["max_lr"] = rates[-1]


if __name__ == "__main__":
    main()
