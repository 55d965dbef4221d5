"""``maagiqa benchmark``: any metrics on one dataset, with uncertainty and a report."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from maagiqa_pyiqa.cli.verbs import add_scoring_arguments, add_verb, positive

EXAMPLES = """\
  maagiqa benchmark --dataset agiqa-3k --root AGIQA-3K
  maagiqa benchmark --dataset agiqa-3k --root AGIQA-3K -m piqe -m ours=maagiqa-lite=experiments/x/models/net_best.pth
  maagiqa benchmark --dataset csv --csv mine.csv --mos-column score --group-column model -m piqe \\
      -m reward=csv:rewards.csv:reward --where 'model=sdxl & prompt~cat'
  maagiqa benchmark -opt options/benchmark_agiqa3k.yml --resamples 5000
"""


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    summary = "Compare metrics on a dataset with MOS; run it again after any stop, and to add metrics or images."
    parser = add_verb(verbs, "benchmark", summary, EXAMPLES, run)
    _add_data_arguments(parser)
    parser.add_argument(
        "-m",
        "--metric",
        dest="metrics",
        action="append",
        metavar="NAME",
        help="NAME, NAME=CHECKPOINT, LABEL=NAME=CHECKPOINT or LABEL=csv:FILE:COLUMN (-COLUMN where lower is better); "
        "repeatable (default: ours, and the best known of pyiqa)",
    )
    parser.add_argument("-opt", metavar="YAML", help="option file; what the command line says goes before it")
    parser.add_argument("--out", metavar="DIR", help="where scores and report go (default: benchmark/DATASET)")
    parser.add_argument("--resamples", type=positive, metavar="N", help="of the bootstrap (default 1000)")
    parser.add_argument("--seed", type=int, metavar="N", help="of the bootstrap and of metrics that crop (default 0)")
    add_scoring_arguments(parser, batch_size=None, workers=None)
    parser.add_argument("--retry-failed", action="store_true", default=None, help="try images again that failed before")
    parser.add_argument("--baseline", metavar="NAME", help="metric that the report holds the best against")
    parser.add_argument(
        "--where", action="append", metavar="FILTER", help="report on these images by themselves too; repeatable"
    )


def _add_data_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", metavar="NAME", help="agiqa-3k (default), aigcqa-20k or csv")
    parser.add_argument("--root", metavar="DIR", help="folder of the dataset, or that a CSV's paths start from")
    parser.add_argument("--csv", metavar="FILE", help="table of --dataset csv")
    parser.add_argument("--path-column", metavar="NAME", help="column of image paths (default: name)")
    parser.add_argument("--mos-column", metavar="NAME", help="column of MOS (default: mos)")
    parser.add_argument("--prompt-column", metavar="NAME", help="column of prompts (default: prompt)")
    parser.add_argument(
        "--group-column",
        dest="group_columns",
        action="append",
        metavar="NAME",
        help="figures by its values; repeatable",
    )
    parser.add_argument(
        "--split",
        action="append",
        metavar="NAME",
        help="official, prompt-disjoint or all; repeatable (default: the first two, of a CSV all)",
    )
    parser.add_argument("--part", metavar="NAME", help="train, val or test (default)")


def run(arguments: argparse.Namespace) -> int:
    """Run it and print the ranking; 1 if a metric failed, wholly or on some images."""
    from maagiqa_pyiqa.leaderboard.run import BenchmarkOptions, parse_benchmark_options, read_option_file, run_benchmark

    known = BenchmarkOptions.__dataclass_fields__
    given = {key: value for key, value in vars(arguments).items() if key in known and value is not None}
    options = parse_benchmark_options(
        {**(read_option_file(arguments.opt) if arguments.opt else {}), **given}, arguments.opt or "benchmark"
    )
    results = run_benchmark(options)
    for split in results["splits"]:
        print(f"\n{as_ranking(results, split)}")
    failed = [one for one in results["participants"] if one["status"] != "ok"]
    for one in failed:
        words = "cannot run here" if one["status"] == "failed" else "ran in part"
        print(f"{one['name']} {words}: {one['reason']}", file=sys.stderr)
    print(f"\nreport, tables, results and scores are in {options.folder}")
    return 1 if failed else 0


COLUMNS = {"srcc": "SRCC", "plcc": "PLCC", "krcc": "KRCC", "plcc_fitted": "PLCC fit", "rmse_fitted": "RMSE fit"}


def as_ranking(results: dict[str, Any], split: str) -> str:
    """Plain-text table of a split, best SRCC first; metrics without figures stand below with their status."""
    found = results["splits"][split]
    ranked = [row["name"] for row in found["rows"]]
    others = [one for one in results["participants"] if one["name"] not in ranked]
    width = max(len(one["name"]) for one in results["participants"])
    heads = "  ".join(f"{head:>8}" for head in COLUMNS.values())
    lines = [
        f"{results['dataset']['name']}, split {split}, part {found['part']}: {found['images']} images",
        f"rank  {'metric':<{width}}  {heads}  95 % of SRCC      p vs best  images",
    ]
    for rank, row in enumerate(found["rows"], start=1):
        cells = "  ".join(f"{_value(row[column]):>8}" for column in COLUMNS)
        place = "-" if row["seen_in_training"] else rank  # the last rows
        lines.append(
            f"{place:>4}  {row['name']:<{width}}  {cells}  {_interval(row['srcc']):<16}  {_p(row):>9}  {row['n']:>6}"
        )
    lines += [f"   -  {one['name']:<{width}}  {one['status']}" for one in others]
    lines += [
        f"{row['name']} was trained on {row['seen_in_training']} of these images, which flatters its figures."
        for row in found["rows"]
        if row["seen_in_training"]
    ]
    return "\n".join(lines)


def _value(figure: dict[str, float] | None) -> str:
    return f"{figure['value']:.4f}" if figure else "-"


def _interval(figure: dict[str, float] | None) -> str:
    return f"{figure['low']:.4f} - {figure['high']:.4f}" if figure else "-"


def _p(row: dict[str, Any]) -> str:
    if row["is_best"]:
        return "best"
    return "-" if row["p_against_best"] is None else f"{row['p_against_best']:.3f}"
