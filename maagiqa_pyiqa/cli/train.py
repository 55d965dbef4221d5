"""``maagiqa train``: pyiqa's training engine with results under the current folder."""

from __future__ import annotations

import argparse

from maagiqa_pyiqa.cli.verbs import add_verb
from maagiqa_pyiqa.support.option_files import packaged_option_files

EXAMPLES = """\
  maagiqa train -opt maagiqa_lite_3k --data AGIQA-3K
  maagiqa train -opt maagiqa_3k --force_yml train:total_epoch=10
  torchrun --nproc_per_node 4 -m maagiqa_pyiqa.cli.main train -opt options/maagiqa_3k.yml --launcher pytorch
"""


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    summary = "Train with pyiqa's engine; further arguments are pyiqa.train's. Writes ./experiments/NAME."
    parser = add_verb(verbs, "train", summary, EXAMPLES, run)
    names = ", ".join(name for name in packaged_option_files() if not name.startswith("benchmark_"))
    parser.add_argument("-opt", required=True, metavar="YAML", help=f"option file, or one of {names}")
    parser.add_argument("--data", metavar="DIR", help="folder of the dataset (default: as the option file says)")
    parser.set_defaults(passes_rest=True)


def run(arguments: argparse.Namespace) -> int:
    """Check the options, then hand over to pyiqa."""
    from maagiqa_pyiqa.models.training import train

    train(arguments.opt, arguments.rest, arguments.data)
    return 0
