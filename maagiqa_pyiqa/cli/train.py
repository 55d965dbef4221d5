"""``maagiqa train``: from an option file to tested weights."""

from __future__ import annotations

import argparse
import sys

from maagiqa_pyiqa.cli.verbs import INTERRUPTED, add_verb
from maagiqa_pyiqa.support.option_files import packaged_option_files

EXAMPLES = """\
  maagiqa train -opt maagiqa_lite_3k --data AGIQA-3K
  maagiqa train -opt maagiqa_3k --force_yml train:total_iter=2600
  maagiqa train -opt maagiqa_3k --resume
  torchrun --nproc_per_node=4 -m maagiqa_pyiqa.cli.main train -opt maagiqa_3k
"""


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    summary = "Train from an option file of pyiqa's kind. Writes ./experiments/NAME."
    parser = add_verb(verbs, "train", summary, EXAMPLES, run)
    names = ", ".join(name for name in packaged_option_files() if not name.startswith("benchmark_"))
    parser.add_argument("-opt", required=True, metavar="YAML", help=f"option file, or one of {names}")
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
    """Train; 130 where it was stopped before its end."""
    from maagiqa_pyiqa.models.processes import default_launcher
    from maagiqa_pyiqa.models.run_options import Run
    from maagiqa_pyiqa.models.training import train

    outcome = train(
        Run(
            option_file=arguments.opt,
            data=arguments.data,
            changes=arguments.force_yml,
            resume=arguments.resume,
            launcher=arguments.launcher or default_launcher(),
        )
    )
    if outcome.first_process:
        print(outcome.as_text(), file=sys.stdout if outcome.complete else sys.stderr)
    return 0 if outcome.complete else INTERRUPTED
