"""``maagiqa ask``: the questions of the paper to any large model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maagiqa_pyiqa.cli.inputs import add_inputs, cells_of, find_inputs
from maagiqa_pyiqa.cli.outputs import add_outputs, write_outputs
from maagiqa_pyiqa.cli.verbs import INTERRUPTED, add_verb, count, positive, seconds
from maagiqa_pyiqa.semantics.prompts import QUESTION_SETS
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.text import printable

if TYPE_CHECKING:
    from maagiqa_pyiqa.asking.run import Summary
    from maagiqa_pyiqa.images.sources import FoundImages

HOTTEST = 2.0  # that endpoints take

EXAMPLES = """\
  maagiqa ask pictures/ --endpoint http://localhost:8000/v1 --model MODEL --answers answers
  maagiqa ask list.csv --prompt-column prompt --endpoint https://api.example.com/v1 --model MODEL \\
      --key-variable MY_KEY --prices 0.15 0.6 --at-once 32 --answers answers
"""


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    summary = "Ask a large model behind an endpoint about images; what was answered is not asked again."
    parser = add_verb(verbs, "ask", summary, EXAMPLES, run)
    add_inputs(parser)
    parser.add_argument("--endpoint", required=True, metavar="URL", help="base URL, such as http://localhost:8000/v1")
    parser.add_argument("--model", required=True, metavar="NAME", help="the model's name there")
    parser.add_argument("--answers", required=True, metavar="DIR", help="folder of answers, made where it is absent")
    parser.add_argument(
        "--questions",
        default="paper",
        metavar="WHICH",
        help=f"{', '.join(QUESTION_SETS)} (the paper's, with yes or no first) or a YAML or JSON file of names and "
        "questions (default paper)",
    )
    parser.add_argument(
        "--prompt-column", metavar="NAME", help="of a list, what images were generated from; it is kept"
    )
    parser.add_argument("--max-tokens", type=positive, default=256, metavar="N", help="longest answer (default 256)")
    parser.add_argument(
        "--temperature",
        type=temperature,
        default=0,
        metavar="T",
        help="of the answers (default 0), or the word default for models that take their own alone",
    )
    parser.add_argument("--at-once", type=positive, default=8, metavar="N", help="questions under way (default 8)")
    parser.add_argument("--retries", type=count, default=6, metavar="N", help="of a question that failed (default 6)")
    parser.add_argument("--timeout", type=seconds, default=600, metavar="SECONDS", help="for an answer (default 600)")
    parser.add_argument(
        "--key-variable", metavar="NAME", help="environment variable that holds the API key (default: there is no key)"
    )
    parser.add_argument(
        "--prices", type=float, nargs=2, metavar=("IN", "OUT"), help="of a million tokens read, and written"
    )
    add_outputs(parser, "counts and failures", "json")


def temperature(text: str) -> float | None:
    """A temperature; None for the endpoint's own."""
    if text == "default":
        return None
    value = float(text)
    if not 0 <= value <= HOTTEST:
        raise argparse.ArgumentTypeError(f"must be from 0 to {HOTTEST:g}, or the word default, got {text}")
    return int(value) if value.is_integer() else value  # 0 as it stands in folders of answers


def run(arguments: argparse.Namespace) -> int:
    """Ask and report; 1 if a question has no answer, 130 if it was interrupted."""
    from maagiqa_pyiqa.asking.endpoint import Endpoint, read_key
    from maagiqa_pyiqa.asking.run import Asking
    from maagiqa_pyiqa.semantics.answers.store import Asked, writing

    found = find_inputs(arguments)
    prompts = _prompts(arguments, found)
    sampling = {"temperature": arguments.temperature, "max_tokens": arguments.max_tokens}
    if arguments.temperature is None:
        del sampling["temperature"]
    endpoint = Endpoint(
        arguments.endpoint,
        arguments.model,
        read_key(arguments.key_variable),
        sampling,
        retries=arguments.retries,
        seconds=arguments.timeout,
    )
    asked = Asked(arguments.model, read_questions(arguments.questions), sampling)
    with writing(arguments.answers, asked) as answers:
        asking = Asking(endpoint, answers, prompts, arguments.at_once)
        try:
            asking.run(found.sources)
        finally:
            _report(arguments, asking.summary)
    if asking.summary.interrupted:
        return INTERRUPTED
    return 1 if asking.summary.failures else 0


def _prompts(arguments: argparse.Namespace, found: FoundImages) -> dict[str, str]:
    if not arguments.prompt_column:
        return {}
    prompts = cells_of(found, arguments.prompt_column)
    return {source.name: prompt for source, prompt in zip(found.sources, prompts, strict=True)}


def read_questions(which: str) -> Mapping[str, str]:
    """Questions by name: a set of QUESTION_SETS, or those of a file.

    Raises:
        InputError: neither, or the file does not hold names and questions.
    """
    from maagiqa_pyiqa.support.option_files import read_option_file
    from maagiqa_pyiqa.support.options import nearest

    if which in QUESTION_SETS:
        return dict(QUESTION_SETS[which])
    if not Path(which).is_file():
        hint = nearest(which, QUESTION_SETS)
        raise InputError(f"'--questions {which}' is neither a file nor one of: {', '.join(QUESTION_SETS)}.{hint}")
    questions = read_option_file(Path(which))
    if not all(isinstance(word, str) and word.strip() for pair in questions.items() for word in pair):
        raise InputError(f"'{which}' has to hold questions by name, such as 'sharpness: Is the image sharp?'.")
    return questions


def _report(arguments: argparse.Namespace, summary: Summary) -> None:
    counts: dict[str, Any] = {
        "answered": summary.answered,
        "answered before": summary.known,
        "failed": len(summary.failures),
        "cut short": summary.cut_short,
        "tokens in": summary.tokens_in,
        "tokens out": summary.tokens_out,
    }
    if arguments.prices:
        counts["cost"] = round(summary.cost(tuple(arguments.prices)), 6)
    print(f"{', '.join(f'{count} {what}' for what, count in counts.items())}; {printable(arguments.answers)}")
    if summary.cut_short:
        print(f"  {summary.cut_short} answers were cut at --max-tokens {arguments.max_tokens}", file=sys.stderr)
    for image, reason in summary.failures:
        print(f"  {printable(image)}: {printable(reason)}", file=sys.stderr)
    failures = [{"image": image, "reason": reason} for image, reason in summary.failures]
    write_outputs(arguments, json=lambda: json.dumps({**counts, "failures": failures}, indent=1) + "\n")
