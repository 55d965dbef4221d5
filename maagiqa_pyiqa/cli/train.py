"""``maagiqa train``: pyiqa's training engine with results under the current folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from maagiqa_pyiqa.cli.verbs import add_verb

EXAMPLES = """\
  maagiqa train -opt options/maagiqa_lite_3k.yml
  maagiqa train -opt options/maagiqa_3k.yml --force_yml train:total_epoch=10
  torchrun --nproc_per_node 4 -m maagiqa_pyiqa.cli.main train -opt options/maagiqa_3k.yml --launcher pytorch
"""


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    summary = "Train with pyiqa's engine; further arguments are pyiqa.train's. Writes ./experiments/NAME."
    parser = add_verb(verbs, "train", summary, EXAMPLES, run)
    parser.add_argument("-opt", required=True, metavar="YAML", help="option file")
    parser.set_defaults(passes_rest=True)


def run(arguments: argparse.Namespace) -> int:
    """Check the option file, then hand over to pyiqa."""
    if not Path(arguments.opt).is_file():
        raise FileNotFoundError(f"option file '{arguments.opt}' does not exist.")
    from pyiqa.train import train_pipeline

    sys.argv = ["maagiqa train", "-opt", arguments.opt, *arguments.rest]  # pyiqa reads the command line itself
    train_pipeline(str(Path.cwd()))
    return 0
