"""``maagiqa answers``: take over answers that are there already, make features of them, look into them."""

from __future__ import annotations

import argparse
import json
import sys

from maagiqa_pyiqa.cli.inputs import add_inputs, cells_of, find_inputs
from maagiqa_pyiqa.cli.outputs import add_outputs, write_outputs
from maagiqa_pyiqa.cli.verbs import add_action, add_verb
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.text import printable

EXAMPLES = """\
  maagiqa answers import answers list.csv --model my-lmm --answer coherence=is_coherent --prompt-column prompt
  maagiqa answers fit answers list.csv --only part=train
  maagiqa answers fit answers list.csv --only part=train --encoder sentence-transformers:DIR --alignment
  maagiqa answers info answers
"""
FOLDER = ("answers", "folder of answers")


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb and its actions."""
    summary = "Take over a large model's answers from a table, fit the text encoder that makes features of them."
    parser = add_verb(verbs, "answers", summary, EXAMPLES, lambda arguments: arguments.action(arguments))
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    importing = add_action(actions, FOLDER, "import", "take over the answers in columns of a list of images", _import)
    add_inputs(importing)
    importing.add_argument("--model", required=True, metavar="NAME", help="who answered")
    importing.add_argument(
        "--answer",
        dest="columns",
        action="append",
        required=True,
        metavar="QUESTION=COLUMN",
        help="the column that holds the answers to a question; once for each question",
    )
    importing.add_argument("--prompt-column", metavar="NAME", help="column of what the images were generated from")
    fitting = add_action(actions, FOLDER, "fit", "fit the text encoder on the answers about the images named", _fit)
    add_inputs(fitting)
    fitting.add_argument("--only", metavar="COLUMN=VALUE", help="of a list, the rows that have it, such as part=train")
    fitting.add_argument(
        "--encoder", default="hashed", metavar="NAME", help="hashed (default) or sentence-transformers:DIR_OR_HUB_ID"
    )
    fitting.add_argument("--alignment", action="store_true", help="add the text prompt as one more expert")
    fitting.add_argument("--replace", action="store_true", help="in place of the encoder that is there")
    info = add_action(
        actions, FOLDER, "info", "show whose answers it holds, how many and how they become features", _info
    )
    add_outputs(info, "it", "json")


def _import(arguments: argparse.Namespace) -> int:
    from maagiqa_pyiqa.semantics.answers.preparing import import_answers
    from maagiqa_pyiqa.semantics.answers.store import TEXT_PROMPT, Asked
    from maagiqa_pyiqa.semantics.prompts import QUESTIONS

    columns = dict(_pair("--answer", given) for given in arguments.columns)
    asked = Asked(arguments.model, {name: QUESTIONS.get(name, column) for name, column in columns.items()}, {})
    if arguments.prompt_column:
        columns[TEXT_PROMPT] = arguments.prompt_column
    found = find_inputs(arguments)
    texts = zip(*(cells_of(found, column) for column in columns.values()), strict=True)
    images = [(source, dict(zip(columns, own, strict=True))) for source, own in zip(found.sources, texts, strict=True)]
    added, problems = import_answers(arguments.answers, asked, images)
    print(f"{added} answers about {len(images)} images added to '{printable(arguments.answers)}'")
    for problem in problems:
        print(f"  {printable(problem)}", file=sys.stderr)
    return 1 if problems else 0


def _fit(arguments: argparse.Namespace) -> int:
    from maagiqa_pyiqa.semantics.answers.preparing import fit

    found = find_inputs(arguments)
    sources = found.sources
    if arguments.only:
        column, value = _pair("--only", arguments.only)
        cells = cells_of(found, column)
        sources = [source for source, cell in zip(found.sources, cells, strict=True) if cell == value]
    encoding = fit(
        arguments.answers, sources, arguments.encoder, alignment=arguments.alignment, replace=arguments.replace
    )
    print(
        f"text encoder {arguments.encoder}, {encoding.encoder.dim} wide, for {len(sources)} images of the training part"
    )
    return 0


def _info(arguments: argparse.Namespace) -> int:
    from maagiqa_pyiqa.semantics.answers.store import Answers
    from maagiqa_pyiqa.semantics.answers.text_encoder import ENCODER, read_encoding

    answers = Answers(arguments.answers)
    given = [answer for of_image in answers for answer in of_image.values()]
    facts = {
        "model": answers.asked.model,
        "questions": dict(answers.asked.questions),
        "sampling": dict(answers.asked.sampling),
        "images": len(answers),
        "answers": len(given),
        "tokens in": sum(answer.tokens_in for answer in given),
        "tokens out": sum(answer.tokens_out for answer in given),
    }
    if (answers.folder / ENCODER).is_file():
        encoding = read_encoding(answers.folder)
        facts |= {"text encoder": dict(encoding.encoder.parts), "alignment": encoding.alignment}
    write_outputs(arguments, json=lambda: json.dumps(facts, indent=1) + "\n")
    for name, value in facts.items():
        print(f"{name:<16} {printable(json.dumps(value) if isinstance(value, dict) else value)}")
    return 0


def _pair(option: str, given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not (name and equals and value):
        raise InputError(f"'{option} {given}': two names with = between them are expected.")
    return name, value
