"""``maagiqa benchmark``: any metrics on one dataset, with uncertainty and a report."""

from __future__ import annotations

import argparse
import sys

from maagiqa_pyiqa.cli.scoring import add_keep, add_semantics
from maagiqa_pyiqa.cli.verbs import add_resampling, add_scoring_arguments, add_verb
from maagiqa_pyiqa.data import public_datasets
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.text import printable

EXAMPLES = """\
  maagiqa benchmark --dataset agiqa-3k --data AGIQA-3K
  maagiqa benchmark --dataset agiqa-3k --data AGIQA-3K -m piqe -m ours=maagiqa-lite=experiments/x/models/net_best.pth
  maagiqa benchmark mine.csv --mos-column score --group-column model -m piqe \\
      -m reward=csv:rewards.csv:reward --where 'model=sdxl & prompt~cat'
  maagiqa benchmark --overall benchmark/agiqa-3k benchmark/aigcqa-20k
  maagiqa benchmark -opt benchmark_agiqa3k --data AGIQA-3K --resamples 5000
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
    add_semantics(parser)
    parser.add_argument("-opt", metavar="YAML", help="option file by path or name; the command line goes before it")
    parser.add_argument("--out", metavar="DIR", help="where scores and report go (default: benchmark/DATASET)")
    add_keep(parser)
    add_resampling(parser, resamples=None, seed=None, seeded=" and of metrics that crop")
    parser.add_argument(
        "--resample-by",
        metavar="WHAT",
        help="prompt (default: images of a prompt are drawn together, where there are prompts) or image",
    )
    add_scoring_arguments(parser, batch_size=None, workers=None)
    parser.add_argument("--retry-failed", action="store_true", default=None, help="try images again that failed before")
    parser.add_argument("--baseline", metavar="NAME", help="metric that the report holds the best against")
    parser.add_argument(
        "--overall",
        nargs="+",
        metavar="DIR",
        help="rank metrics over data sets by Borda's count, out of these folders of finished benchmarks; no scoring",
    )
    parser.add_argument(
        "--where", action="append", metavar="FILTER", help="report on these images by themselves too; repeatable"
    )


def _add_data_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs",
        nargs="?",
        metavar="LIST",
        help="CSV, Parquet or JSON lines of images and MOS, for --dataset csv; also a URL, "
        "or - for one on standard input",
    )
    names = f"{', '.join(public_datasets.PUBLIC_DATASETS)} or csv"
    parser.add_argument("--dataset", metavar="NAME", help=f"{names} (default: agiqa-3k)")
    parser.add_argument(
        "--data",
        "--root",
        dest="root",
        metavar="DIR",
        help="folder of the dataset; or folder, URL or tar that a list's paths start from (default: the list's own)",
    )
    parser.add_argument("--csv", metavar="FILE", help="the same as LIST")
    parser.add_argument(
        "--column",
        "--path-column",
        dest="path_column",
        metavar="NAME",
        help="column of image paths (default: name, path, image or the like)",
    )
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
        help="official, prompt-disjoint, random, all, prompt-folds:0 to prompt-folds:4, or prompt-folds for all "
        "five; repeatable (default: the first two, of a CSV all)",
    )
    parser.add_argument("--part", metavar="NAME", help="train, val or test (default)")


def run(arguments: argparse.Namespace) -> int:
    """Run it and print the ranking; 1 if a metric failed, wholly or on some images."""
    from maagiqa_pyiqa.leaderboard.run import OPTION_KEYS, parse_benchmark_options, run_benchmark
    from maagiqa_pyiqa.leaderboard.terminal import as_ranking
    from maagiqa_pyiqa.support.option_files import read_option_file

    if arguments.overall:
        return _print_overall(arguments.overall)
    from_file = read_option_file(arguments.opt) if arguments.opt else {}
    if arguments.inputs is not None:
        _take_list(arguments)
    named = {key: value for key, value in vars(arguments).items() if key in OPTION_KEYS and value is not None}
    options = parse_benchmark_options({**from_file, **named}, arguments.opt or "benchmark")
    results = run_benchmark(options)
    for split in results.splits:
        print(f"\n{as_ranking(results, split)}")
    failed = [participant for participant in results.participants if participant.status != "ok"]
    for participant in failed:
        words = "cannot run here" if participant.status == "failed" else "ran in part"
        print(f"{printable(participant.name)} {words}: {printable(participant.reason)}", file=sys.stderr)
    print(f"\nreport, tables, results and scores are in {printable(options.folder)}")
    return 1 if failed else 0


def _print_overall(folders: list[str]) -> int:
    """Print the ranking over data sets."""
    from pathlib import Path

    from maagiqa_pyiqa.leaderboard.overall import as_text, rank_over
    from maagiqa_pyiqa.leaderboard.results_json import read_results
    from maagiqa_pyiqa.leaderboard.run import RESULTS

    print(as_text(rank_over([read_results(Path(folder).expanduser() / RESULTS) for folder in folders])))
    return 0


def _take_list(arguments: argparse.Namespace) -> None:
    """Use the list that was named by itself as the dataset."""
    from maagiqa_pyiqa.images.sources import STANDARD_INPUT
    from maagiqa_pyiqa.leaderboard.datasets import OWN
    from maagiqa_pyiqa.support.tables import SUFFIXES, is_table

    if arguments.inputs != STANDARD_INPUT and not is_table(arguments.inputs):
        raise InputError(
            f"'{arguments.inputs}' is no list ({', '.join(SUFFIXES)}): a benchmark needs the MOS of each image, so "
            "name a list of images and MOS, - for one on standard input, or --dataset NAME --data DIR."
        )
    if arguments.csv is not None or arguments.dataset not in (None, OWN):
        raise InputError(f"'{arguments.inputs}' is a dataset of its own; leave --csv and --dataset out.")
    arguments.dataset, arguments.csv = OWN, arguments.inputs
