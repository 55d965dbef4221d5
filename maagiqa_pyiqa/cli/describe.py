"""``maagiqa describe``: the large model's own words about an image (the paper's Figure 5), to see why."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from maagiqa_pyiqa.cli.inputs import add_inputs, find_inputs
from maagiqa_pyiqa.cli.outputs import add_json_lines, add_outputs, json_lines, write_outputs
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
    add_outputs(parser, "the answers", "csv", "json", "parquet")
    add_json_lines(parser, "the answers to each image")


def run(arguments: argparse.Namespace) -> int:
    """Ask and print; 1 if an image could not be read."""
    from maagiqa_pyiqa.semantics.extractor import create_describer
    from maagiqa_pyiqa.support.csv_files import as_csv
    from maagiqa_pyiqa.support.devices import default_device
    from maagiqa_pyiqa.support.tables import as_parquet

    paths = find_inputs(arguments).paths
    model = create_describer(arguments.semantics, arguments.device or default_device(), arguments.dtype)
    answers = []
    with json_lines(arguments) as write_line:
        for path in paths:
            answers.append(_describe(model, path, arguments.max_tokens))
            write_line(answers[-1])
        columns = ["image", *model.prompts, "error"]
        rows = [
            [one["image"], *(one["answers"].get(prompt) for prompt in model.prompts), one["error"]] for one in answers
        ]
        write_outputs(
            arguments,
            csv=lambda: as_csv(columns, rows),
            json=lambda: json.dumps(answers, indent=1) + "\n",
            parquet=lambda: as_parquet(dict.fromkeys(columns, "string"), rows),
        )
    return 1 if any(one["error"] for one in answers) else 0


def _describe(model: DescribingExtractor, path: ImagePath, limit: int) -> dict[str, Any]:
    """Ask and print all about one image; returns path, answers by prompt and error as JSON has them."""
    from maagiqa_pyiqa.images.decoding import UnreadableImageError

    print(printable(path))
    try:
        words = {prompt: _ask(model, path, prompt, limit) for prompt in model.prompts}
    except UnreadableImageError as error:
        print(f"  not described: {printable(error)}", file=sys.stderr)
        return {"image": str(path), "answers": {}, "error": str(error)}
    return {"image": str(path), "answers": words, "error": None}


def _ask(model: DescribingExtractor, image: ImagePath, prompt: str, limit: int) -> str:
    """Print the question and, as it is written, the answer; return the answer."""
    words = []
    print(f"  {QUESTIONS.get(prompt, prompt)}\n    ", end="", flush=True)
    for piece in model.describe(image, prompt, limit):
        print("\n    ".join(map(printable, piece.split("\n"))), end="", flush=True)
        words.append(piece)
    print()
    return "".join(words).strip()
