"""``maagiqa extract``: semantic features of images into a feature cache, resumable at any moment."""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from maagiqa_pyiqa.cli.inputs import add_inputs, find_inputs
from maagiqa_pyiqa.cli.outputs import add_outputs, write_outputs
from maagiqa_pyiqa.cli.verbs import (
    add_batch_size,
    add_device,
    add_dtype,
    add_engine,
    add_verb,
    positive,
)
from maagiqa_pyiqa.semantics.extractor import list_specs
from maagiqa_pyiqa.support.text import printable

if TYPE_CHECKING:
    from maagiqa_pyiqa.extraction.run import Summary

EXAMPLES = """\
  maagiqa extract pictures/ --cache features --extractor mplug-owl2 --device cuda
  maagiqa extract data.csv --root images --column name --cache features
  maagiqa extract 'shards/*.tar' --cache s3://bucket/features --shard 3/16   # one of 16 jobs
  maagiqa extract pictures/ --cache features --engine ray --device cuda --actors 8
"""


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    summary = "Extract semantic features into a cache; what is there is skipped, so run it again after any stop."
    parser = add_verb(verbs, "extract", summary, EXAMPLES, run)
    add_inputs(parser)
    parser.add_argument("--cache", required=True, metavar="DIR", help="cache directory or URL (s3://, gs://, hf://)")
    parser.add_argument(
        "--semantics",
        "--extractor",
        dest="extractor",
        default="mplug-owl2",
        metavar="SPEC",
        help=f"{list_specs(running_model=True)} (default mplug-owl2)",
    )
    add_batch_size(parser, None, "the extractor's")
    add_device(parser)
    add_dtype(parser)
    parser.add_argument(
        "--cache-dtype", default="float16", metavar="T", help="on disk, for a new cache: float16 (default) or float32"
    )
    parser.add_argument("--shard", default="0/1", metavar="I/N", help="take every N-th image from the I-th on")
    add_engine(parser, "models")
    parser.add_argument("--retry-failed", action="store_true", help="try images again that could not be extracted")
    parser.add_argument("--workers", type=positive, default=4, metavar="N", help="threads that decode (default 4)")
    add_outputs(parser, "what became of the images", "json")


def run(arguments: argparse.Namespace) -> int:
    """Extract and report; 1 if an image failed, 130 if it was interrupted."""
    from maagiqa_pyiqa.images.sources import take_shard
    from maagiqa_pyiqa.support.devices import default_device

    sources = take_shard(find_inputs(arguments).sources, arguments.shard)
    extractor_options = {
        "spec": arguments.extractor,
        "device": arguments.device or default_device(),
        "dtype": arguments.dtype,
        "batch_size": arguments.batch_size,
    }
    summary = _engine(arguments)(
        sources,
        extractor_options,
        arguments.cache,
        cache_dtype=arguments.cache_dtype,
        retry_failed=arguments.retry_failed,
        workers=arguments.workers,
    )
    _report(arguments, summary, len(sources))
    if summary.interrupted:
        return 130
    return 1 if summary.failures or summary.skipped_failures else 0


def _engine(arguments: argparse.Namespace) -> Callable[..., Summary]:
    from maagiqa_pyiqa.extraction.on_ray import extract_with_ray
    from maagiqa_pyiqa.extraction.run import extract

    return extract if arguments.engine == "local" else functools.partial(extract_with_ray, actors=arguments.actors)


def _report(arguments: argparse.Namespace, summary: Summary, total: int) -> None:
    counts = {
        "extracted": summary.extracted,
        "cached before": summary.cached,
        "failed": len(summary.failures),
        "failed before": summary.skipped_failures,
        "left": total - summary.done,
    }
    became = ", ".join(f"{count} {what}" for what, count in counts.items())
    print(f"{became} of {total} images; {printable(arguments.cache)}")
    for name, reason in summary.failures:
        print(f"  {printable(name)}: {printable(reason)}", file=sys.stderr)
    if summary.skipped_failures:
        print(f"  {summary.skipped_failures} failed in an earlier run; --retry-failed tries again", file=sys.stderr)
    failures = [{"image": name, "reason": reason} for name, reason in summary.failures]
    write_outputs(arguments, json=lambda: json.dumps({**counts, "failures": failures}, indent=1) + "\n")
