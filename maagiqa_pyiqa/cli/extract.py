"""``maagiqa extract``: semantic features of images into a feature cache, resumable at any moment."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from maagiqa_pyiqa.cli.verbs import (
    add_batch_size,
    add_device,
    add_engine,
    add_files,
    add_inputs,
    add_verb,
    positive,
)
from maagiqa_pyiqa.semantics.extractor import list_specs
from maagiqa_pyiqa.support.files import write_whole

if TYPE_CHECKING:
    from maagiqa_pyiqa.extraction.run import Extraction, Summary

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
    add_inputs(parser, "image files, folders, globs, CSVs of paths, uncompressed tars, or URLs of them")
    parser.add_argument("--cache", required=True, metavar="DIR", help="cache directory or URL (s3://, gs://, hf://)")
    parser.add_argument(
        "--extractor",
        default="mplug-owl2",
        metavar="SPEC",
        help=f"{list_specs(running_model=True)} (default mplug-owl2)",
    )
    add_batch_size(parser, None, "the extractor's")
    add_device(parser)
    parser.add_argument("--dtype", default="auto", metavar="T", help="of the model: auto (default), fp32, bf16, fp16")
    parser.add_argument(
        "--cache-dtype", default="float16", metavar="T", help="on disk, for a new cache: float16 (default) or float32"
    )
    parser.add_argument("--shard", default="0/1", metavar="I/N", help="take every N-th image from the I-th on")
    add_engine(parser, "models")
    parser.add_argument("--column", metavar="NAME", help="column of a CSV that holds paths")
    parser.add_argument("--root", metavar="DIR", help="folder that a CSV's paths start from (default: the CSV's)")
    parser.add_argument("--retry-failed", action="store_true", help="try images again that could not be extracted")
    parser.add_argument("--workers", type=positive, default=4, metavar="N", help="threads that decode (default 4)")
    add_files(parser, "what became of the images", "json")


def run(arguments: argparse.Namespace) -> int:
    """Extract and report; 1 if an image failed, 130 if it was interrupted."""
    from maagiqa_pyiqa.images.sources import find_sources, take_shard

    sources = take_shard(find_sources(arguments.inputs, arguments.column, arguments.root), arguments.shard)
    summary = _run_local(arguments, sources) if arguments.engine == "local" else _run_ray(arguments, sources)
    _report(arguments, summary, len(sources))
    if summary.interrupted:
        return 130
    return 1 if summary.failures or summary.skipped_failures else 0


def extractor_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments of ``create_extractor``."""
    import torch

    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    return {
        "spec": arguments.extractor,
        "device": device,
        "dtype": arguments.dtype,
        "batch_size": arguments.batch_size,
    }


def _run_local(arguments: argparse.Namespace, sources: list[Any]) -> Summary:
    from tqdm import tqdm

    from maagiqa_pyiqa.cache.feature_cache import FeatureCache
    from maagiqa_pyiqa.extraction.run import Extraction
    from maagiqa_pyiqa.semantics.extractor import create_extractor

    extractor = create_extractor(**extractor_options(arguments))
    cache = FeatureCache.create(arguments.cache, extractor, arguments.cache_dtype)
    with tqdm(total=len(sources), unit="image", disable=None) as bar:
        extraction = Extraction(
            extractor,
            cache,
            retry_failed=arguments.retry_failed,
            workers=arguments.workers,
            on_progress=lambda summary: bar.update(summary.done - bar.n),
        )
        with stopping_on_signals(extraction):
            return extraction.run(sources)


def _run_ray(arguments: argparse.Namespace, sources: list[Any]) -> Summary:
    from maagiqa_pyiqa.extraction.on_ray import extract_with_ray

    return extract_with_ray(
        sources,
        extractor_options(arguments),
        arguments.cache,
        cache_dtype=arguments.cache_dtype,
        actors=arguments.actors,
        retry_failed=arguments.retry_failed,
        workers=arguments.workers,
    )


@contextlib.contextmanager
def stopping_on_signals(extraction: Extraction) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end a run after its current batch; a second one ends it at once."""

    def stop(number: int, frame: Any) -> None:
        if extraction.stop.is_set():
            raise KeyboardInterrupt
        print("\nstopping after this batch; once more to stop now", file=sys.stderr)
        extraction.stop.set()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _report(arguments: argparse.Namespace, summary: Summary, total: int) -> None:
    counts = {
        "extracted": summary.extracted,
        "cached before": summary.cached,
        "failed": len(summary.failures),
        "failed before": summary.skipped_failures,
        "left": total - summary.done,
    }
    print(", ".join(f"{count} {what}" for what, count in counts.items()) + f" of {total} images; {arguments.cache}")
    for name, reason in summary.failures:
        print(f"  {name}: {reason}", file=sys.stderr)
    if summary.skipped_failures:
        print(f"  {summary.skipped_failures} failed in an earlier run; --retry-failed tries again", file=sys.stderr)
    if arguments.json:
        failures = [{"image": name, "reason": reason} for name, reason in summary.failures]
        write_whole(arguments.json, json.dumps({**counts, "failures": failures}, indent=1) + "\n")
