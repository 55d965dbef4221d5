"""``maagiqa train``: from an option file, or somebody's own ratings, to tested weights."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import TYPE_CHECKING

from maagiqa_pyiqa.cli.own_data import add_own_data, how_to_go_on, own_option_file
from maagiqa_pyiqa.cli.verbs import INTERRUPTED, add_verb
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.option_files import packaged_option_files

if TYPE_CHECKING:
    from maagiqa_pyiqa.models.training import Outcome

EXAMPLES = """\
  maagiqa train --csv mine.csv --images pictures --mos-column rating
  maagiqa train --csv mine.csv --images pictures --mos-column rating --part-column part --name mine --resume
  maagiqa train -opt maagiqa_lite_3k --data AGIQA-3K
  maagiqa train -opt maagiqa_3k --force_yml train:total_iter=2600
  maagiqa train -opt maagiqa_3k --resume
  torchrun --nproc_per_node=4 -m maagiqa_pyiqa.cli.main train -opt maagiqa_3k
"""


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    summary = "Train from your own ratings, or an option file of pyiqa's kind. Writes ./experiments/NAME."
    parser = add_verb(verbs, "train", summary, EXAMPLES, run)
    names = ", ".join(name for name in packaged_option_files() if not name.startswith("benchmark_"))
    add_own_data(parser)
    parser.add_argument("-opt", metavar="YAML", help=f"option file, or one of {names}")
    parser.add_argument("--data", metavar="DIR", help="folder of the dataset (default: as the option file says)")
    parser.add_argument(
        "--resume", "--auto_resume", action="store_true", help="go on where a run of this name was interrupted"
    )
    parser.add_argument(
        "--force_yml", nargs="+", default=(), metavar="KEY=VALUE", help="in place of the file's, section:key=value"
    )
    parser.add_argument(
        "--launcher", choices=("none", "pytorch", "slurm"), help="of several processes (default: torchrun is noticed)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Train; 130 where it was stopped before its end.

    Raises:
        ValueError: neither an option file nor a CSV, or both.
    """
    if bool(arguments.opt) == bool(arguments.csv):
        raise InputError("name either your table of ratings (--csv FILE) or an option file (-opt YAML).")
    with own_option_file(arguments) if arguments.csv else contextlib.nullcontext(arguments.opt) as option_file:
        outcome = _train(arguments, option_file)
    if outcome.first_process:
        print(outcome.as_text(), file=sys.stdout if outcome.complete else sys.stderr)
        if outcome.complete and arguments.csv:
            print(how_to_go_on(arguments, outcome.checkpoint))
    return 0 if outcome.complete else INTERRUPTED


def _train(arguments: argparse.Namespace, option_file: str) -> Outcome:
    from maagiqa_pyiqa.models.processes import default_launcher
    from maagiqa_pyiqa.models.run_options import Run
    from maagiqa_pyiqa.models.training import train

    return train(
        Run(
            option_file=option_file,
            data=arguments.data,
            changes=arguments.force_yml,
            resume=arguments.resume,
            launcher=arguments.launcher or default_launcher(),
        )
    )
