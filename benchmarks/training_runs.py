"""What experiments share: option files made from a recipe, each trained once in a process of its own; their figures."""

from __future__ import annotations

import copy
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from maagiqa_pyiqa.agreement.statistics import STATISTICS
from maagiqa_pyiqa.data.public_datasets import PublicDataset, dataset_of_class, dataset_sections
from maagiqa_pyiqa.leaderboard.run import parse_benchmark_options, run_benchmark
from maagiqa_pyiqa.leaderboard.terminal import as_ranking
from maagiqa_pyiqa.support.files import write_whole
from maagiqa_pyiqa.support.option_files import read_option_file

PATH_KEYS = ("root", "dataroot_target", "meta_info_file", "cache")


def load_recipe(name: str) -> dict[str, Any]:
    """An option file by name or path; its paths absolute, since training runs elsewhere."""
    option = read_option_file(name)
    for section in dataset_sections(option):
        for part in (section, section.get("base", {})):
            part |= {key: str(Path(part[key]).resolve()) for key in PATH_KEYS if key in part and "://" not in part[key]}
    return option


def with_features(option: Mapping[str, Any], cache: Path, prompts: Sequence[str]) -> dict[str, Any]:
    """The option with features of some prompts from a cache, or of none."""
    datasets = {part: _wrapped(section, cache, prompts) for part, section in option["datasets"].items()}
    return {**copy.deepcopy(dict(option)), "datasets": datasets, "test": _wrapped(option["test"], cache, prompts)}


def _wrapped(section: Mapping[str, Any], cache: Path, prompts: Sequence[str]) -> dict[str, Any]:
    engine = {key: value for key, value in section.items() if key.endswith("_per_gpu") or key == "persistent_workers"}
    base = dict(section.get("base", {k: v for k, v in section.items() if k != "name" and k not in engine}))
    head = {"name": section["name"], **engine}
    if not prompts:
        return {**base, **head}
    features = {"type": "SemanticFeatureDataset", "cache": str(cache.resolve()), "prompts": list(prompts)}
    return {**head, **features, "base": base}


def train(option: Mapping[str, Any], folder: Path) -> dict[str, float]:
    """Train one option under ``folder``, unless that was done before; return the figures of its test.

    Raises:
        RuntimeError: the training failed; names its log.
    """
    name = option["name"]
    done = folder / "experiments" / name / "test_figures.json"
    if not done.is_file():
        write_whole(folder / "options" / f"{name}.yml", yaml.safe_dump(dict(option), sort_keys=False))
        command = [sys.executable, "-m", "maagiqa_pyiqa.cli.main", "train", "-opt", f"options/{name}.yml"]
        log = folder / f"{name}.log"
        with log.open("w") as out:
            code = subprocess.run(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT).returncode
        if code or not done.is_file():
            raise RuntimeError(f"training '{name}' failed with code {code}; see {log}")
    return dict(json.loads(done.read_text()))


def summary(rows: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Markdown table: mean and standard deviation over seeds of each statistic that all runs have."""
    every_run = [run for runs in rows.values() for run in runs]
    shown = [statistic for key, statistic in STATISTICS.items() if all(key in run for run in every_run)]
    lines = [f"| | seeds | {' | '.join(statistic.title for statistic in shown)} |", "|---" * (len(shown) + 2) + "|"]
    for label, runs in rows.items():
        cells = [_mean_and_deviation([run[statistic.key] for run in runs]) for statistic in shown]
        lines.append(f"| {label} | {len(runs)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _mean_and_deviation(values: Sequence[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{deviation}"


def trained_on(option: Mapping[str, Any]) -> str:
    """Name of the public dataset that an option trains on."""
    return public_dataset_of(option["datasets"]["train"]).key


def public_dataset_of(section: Mapping[str, Any]) -> PublicDataset:
    """The public dataset that a dataset section reads.

    Raises:
        ValueError: it reads none.
    """
    base = section.get("base", section)
    public = dataset_of_class(base["type"])
    if public is None:
        raise ValueError(f"dataset '{section['name']}': '{base['type']}' is no public dataset.")
    return public


def report(folder: Path, test: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Write the leaderboard's report of trained options into ``folder/report`` and print the ranking.

    Args:
        folder: of the runs.
        test: test section of their options, of a public dataset.
        names: of the options, by label.
    """
    base = test.get("base", test)
    split = base.get("split", "official")
    scores = {label: folder / "experiments" / name / "test_scores.csv" for label, name in names.items()}
    options = {
        "dataset": public_dataset_of(test).key,
        "root": base["root"],
        "split": split,
        "part": test.get("part") or base.get("part") or "test",
        "metrics": [{"name": label, "file": str(file), "column": "score"} for label, file in scores.items()],
        "out": str(folder / "report"),
    }
    print(as_ranking(run_benchmark(parse_benchmark_options(options)), split))
