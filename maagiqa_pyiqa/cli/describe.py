"""``maagiqa describe``: the large model's own words about an image (the paper's Figure 5), to see why."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from maagiqa_pyiqa.cli.inputs import add_inputs, find_inputs
from maagiqa_pyiqa.cli.outputs import add_outputs, write_outputs
from maagiqa_pyiqa.cli.verbs import add_device, add_dtype, add_verb, positive
from maagiqa_pyiqa.semantics.extractor import list_specs
from maagiqa_pyiqa.semantics.prompts import QUESTIONS
from maagiqa_pyiqa.support.text import printable

if TYPE_CHECKING:
    from maagiqa_pyiqa.images.sources import ImagePath
    from maagiqa_pyiqa.semantics.protocol import DescribingExtractor

EXAMPLES = """\
  maagiqa describe image.png
  maagiqa describe a.png b.png --semantics mplug-owl2:DIR --device cuda --json words.json
  maagiqa describe image.png --semantics transformers:Qwen/Qwen2.5-VL-3B-Instruct
"""


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    summary = "Ask the large model both questions about an image and print what it answers."
    parser = add_verb(verbs, "describe", summary, EXAMPLES, run)
    add_inputs(parser)
    parser.add_argument(
        "--semantics",
        default="mplug-owl2",
        metavar="SPEC",
        help=f"{list_specs(describing=True)} (default mplug-owl2)",
    )
    add_device(parser)
    add_dtype(parser)
    parser.add_argument("--max-tokens", type=positive, default=128, metavar="N", help="longest answer (default 128)")
    add_outputs(parser, "the answers", "json")


def run(arguments: argparse.Namespace) -> int:
    """Ask and print; 1 if an image could not be read."""
    from maagiqa_pyiqa.images.decoding import UnreadableImageError
    from maagiqa_pyiqa.semantics.extractor import create_describer
    from maagiqa_pyiqa.support.devices import default_device

    paths = find_inputs(arguments).paths
    model = create_describer(arguments.semantics, arguments.device or default_device(), arguments.dtype)
    answers, failed = [], 0
    for path in paths:
        print(printable(path))
        try:
            words = {prompt: _ask(model, path, prompt, arguments.max_tokens) for prompt in model.prompts}
            answers.append({"image": str(path), "answers": words, "error": None})
        except UnreadableImageError as error:
            failed += 1
            print(f"  not described: {printable(error)}", file=sys.stderr)
            answers.append({"image": str(path), "answers": {}, "error": str(error)})
    write_outputs(arguments, json=lambda: json.dumps(answers, indent=1) + "\n")
    return 1 if failed else 0


def _ask(model: DescribingExtractor, image: ImagePath, prompt: str, limit: int) -> str:
    """Print the question and, as it is written, the answer; return the answer."""
    words = []
    print(f"  {QUESTIONS.get(prompt, prompt)}\n    ", end="", flush=True)
    for piece in model.describe(image, prompt, limit):
        print("\n    ".join(map(printable, piece.split("\n"))), end="", flush=True)
        words.append(piece)
    print()
    return "".join(words).strip()
