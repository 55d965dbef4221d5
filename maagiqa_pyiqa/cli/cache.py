"""``maagiqa cache``: look into, check, mend, join and convert feature caches."""

from __future__ import annotations

import argparse
import json

from maagiqa_pyiqa.cli.outputs import add_outputs, write_outputs
from maagiqa_pyiqa.cli.verbs import add_action, add_verb
from maagiqa_pyiqa.support.text import printable

EXAMPLES = """\
  maagiqa cache info features
  maagiqa cache verify features --repair
  maagiqa cache merge features others/a others/b
  maagiqa cache compact features
  maagiqa cache import-official features --files tensors/ --images images/
  maagiqa cache export-official features --files tensors/
"""
FOLDER = ("cache", "cache directory or URL")


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb and its actions."""
    summary = "Look into a feature cache, verify and repair it, merge caches, convert the authors' files."
    parser = add_verb(verbs, "cache", summary, EXAMPLES, lambda arguments: arguments.action(arguments))
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    info = add_action(actions, FOLDER, "info", "show whose features it holds, how many and how large", _info)
    add_outputs(info, "it", "json")
    verify = add_action(actions, FOLDER, "verify", "read every byte and name what is damaged", _verify)
    verify.add_argument("--repair", action="store_true", help="keep whole rows, set damaged files aside")
    merge = add_action(actions, FOLDER, "merge", "add other caches' features to DIR", _merge)
    merge.add_argument("others", nargs="+", metavar="OTHER", help="caches of the same extractor")
    add_action(actions, FOLDER, "compact", "join parts into few large ones, each image once", _compact)
    importing = add_action(
        actions, FOLDER, "import-official", "fill a cache from the authors' two files an image", _import
    )
    importing.add_argument("--files", required=True, metavar="DIR", help="folder of NAME_semantic_content.pt ...")
    importing.add_argument("--images", required=True, metavar="PATH", help="the images: folder, CSV or glob")
    exporting = add_action(actions, FOLDER, "export-official", "write the authors' two files an image", _export)
    exporting.add_argument("--files", required=True, metavar="DIR", help="folder to write to")


def _info(arguments: argparse.Namespace) -> int:
    from maagiqa_pyiqa.cache.reader import CacheReader

    facts = CacheReader.open(arguments.cache).statistics()
    write_outputs(arguments, json=lambda: json.dumps(facts, indent=1) + "\n")
    for name, value in facts.items():
        print(f"{name:<16} {printable(value if not isinstance(value, dict) else json.dumps(value))}")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from maagiqa_pyiqa.cache.verify import verify

    outcome = verify(arguments.cache, arguments.repair)
    print(f"{outcome.rows} rows are whole")
    for name, reason in outcome.damage.items():
        print(f"{'repaired' if arguments.repair else 'damaged'}: {printable(name)}: {printable(reason)}")
    if outcome.damage and arguments.repair:
        print("damaged files were set aside as damaged-*; run the extraction again to fill what was lost")
    return 1 if outcome.damage and not arguments.repair else 0


def _merge(arguments: argparse.Namespace) -> int:
    from maagiqa_pyiqa.cache.reader import CacheReader
    from maagiqa_pyiqa.cache.writer import CacheWriter

    cache = CacheWriter.open(arguments.cache)
    for location in arguments.others:
        print(f"{printable(location)}: {cache.merge(CacheReader.open(location))} images added")
    return 0


def _compact(arguments: argparse.Namespace) -> int:
    from maagiqa_pyiqa.cache.writer import CacheWriter

    cache = CacheWriter.open(arguments.cache)
    before = len(cache.parts)
    cache.compact()
    print(f"{before} parts became {len(cache.parts)}")
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from maagiqa_pyiqa.cache.official_layout import import_official
    from maagiqa_pyiqa.images.sources import find_sources

    cache = import_official(arguments.files, find_sources([arguments.images]), arguments.cache)
    print(f"{len(cache)} images in '{printable(arguments.cache)}'")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from maagiqa_pyiqa.cache.official_layout import export_official
    from maagiqa_pyiqa.cache.reader import CacheReader

    print(f"{export_official(CacheReader.open(arguments.cache), arguments.files)} images written")
    return 0
