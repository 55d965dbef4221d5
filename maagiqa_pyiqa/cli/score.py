"""``maagiqa score``: score files and folders, best first."""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maagiqa_pyiqa.cli.verbs import add_scoring_arguments, add_verb, positive
from maagiqa_pyiqa.support.files import write_whole, written_whole

if TYPE_CHECKING:
    from maagiqa_pyiqa.metrics.scoring import ImageScores

EXAMPLES = """\
  maagiqa score pictures/
  maagiqa score a.png b.jpg -m maagiqa-lite -m piqe --csv scores.csv
  maagiqa score pictures/ -m maagiqa --device cuda --batch-size 32 --json scores.json
  maagiqa score pictures/ -m maagiqa --engine ray --device cuda --actors 8 --parquet scores.parquet
"""


def add_parser(verbs: argparse._SubParsersAction) -> None:
    """Add the verb."""
    parser = add_verb(verbs, "score", "Score images, best first, by any no-reference metric of pyiqa.", EXAMPLES, run)
    parser.add_argument("inputs", nargs="+", metavar="PATH", help="image files or folders (searched recursively)")
    parser.add_argument(
        "-m", "--metric", action="append", metavar="NAME", help="metric; repeatable (default: maagiqa-lite)"
    )
    parser.add_argument("--csv", metavar="FILE", help="write scores and failures as CSV")
    parser.add_argument("--json", metavar="FILE", help="write scores and failures as JSON")
    parser.add_argument("--parquet", metavar="FILE", help="write scores and failures as Parquet, to a file or URL")
    add_scoring_arguments(parser)
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="where it runs (default local)")
    parser.add_argument("--actors", type=positive, default=1, metavar="N", help="most copies of the metrics, with ray")


def run(arguments: argparse.Namespace) -> int:
    """Score and report; 1 if anything could not be scored."""
    from tqdm import tqdm

    from maagiqa_pyiqa.images.sources import find_files
    from maagiqa_pyiqa.metrics.scoring import check_metric_names

    names = list(dict.fromkeys(arguments.metric or ["maagiqa-lite"]))
    check_metric_names(names)
    paths = find_files(arguments.inputs)
    unavailable, stream = (_start_local if arguments.engine == "local" else _start_ray)(arguments, paths, names)
    for name, reason in unavailable.items():
        print(f"metric {name} cannot run here: {reason}", file=sys.stderr)
    metrics = [name for name in names if name not in unavailable]
    if not metrics:
        return 1
    results = list(tqdm(stream, total=len(paths), unit="image", disable=None))
    results = sort_best_first(results, metrics[0])
    _write(arguments, results, metrics, unavailable)
    failed = [result for result in results if result.errors]
    _report_failures(failed)
    return 1 if failed or unavailable else 0


def _start_local(
    arguments: argparse.Namespace, paths: Sequence[Path], names: Sequence[str]
) -> tuple[dict[str, str], Iterator[ImageScores]]:
    from maagiqa_pyiqa.metrics.scoring import create_metrics, score_images

    metrics, unavailable = create_metrics(names, arguments.device)
    return unavailable, score_images(paths, metrics, batch_size=arguments.batch_size, workers=arguments.workers)


def _start_ray(
    arguments: argparse.Namespace, paths: Sequence[Path], names: Sequence[str]
) -> tuple[dict[str, str], Iterator[ImageScores]]:
    import torch

    from maagiqa_pyiqa.extraction.on_ray import score_with_ray

    return score_with_ray(
        paths,
        names,
        device=arguments.device or ("cuda" if torch.cuda.is_available() else "cpu"),
        actors=arguments.actors,
        batch_size=arguments.batch_size,
        workers=arguments.workers,
    )


def _write(
    arguments: argparse.Namespace, results: Sequence[ImageScores], metrics: Sequence[str], unavailable: dict[str, str]
) -> None:
    """Print the table and write the files that were asked for."""
    print(as_table(results, metrics))
    if arguments.csv:
        write_whole(arguments.csv, as_csv(results, metrics))
    if arguments.json:
        write_whole(arguments.json, as_json(results, unavailable))
    if arguments.parquet:
        write_parquet(arguments.parquet, results, metrics)


def sort_best_first(results: Sequence[ImageScores], metric: str) -> list[ImageScores]:
    """Order by one metric, best first whichever way it counts; images without a score last."""
    from maagiqa_pyiqa.metrics.scoring import is_lower_better

    sign = 1 if is_lower_better(metric) else -1
    return sorted(results, key=lambda r: (sign * r.scores.get(metric, sign * math.inf), str(r.path)))


def as_table(results: Sequence[ImageScores], metrics: Sequence[str]) -> str:
    """Ranked plain-text table of the images that have a score."""
    scored = [result for result in results if result.scores]
    widths = [max(len(metric), 8) for metric in metrics]
    lines = ["rank  " + "  ".join(f"{m:>{w}}" for m, w in zip(metrics, widths, strict=True)) + "  image"]
    for rank, result in enumerate(scored, start=1):
        cells = [f"{result.scores[m]:.4f}" if m in result.scores else "-" for m in metrics]
        lines.append(
            f"{rank:>4}  " + "  ".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True)) + f"  {result.path}"
        )
    return "\n".join(lines)


def as_csv(results: Sequence[ImageScores], metrics: Sequence[str]) -> str:
    """CSV with columns ``image``, one per metric, ``error``; every image has a row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", *metrics, "error"])
    for result in results:
        writer.writerow([result.path, *[result.scores.get(metric, "") for metric in metrics], result.error])
    return text.getvalue()


def as_json(results: Sequence[ImageScores], unavailable: dict[str, str]) -> str:
    """JSON with ``images`` (path, scores, errors) and ``unavailable_metrics``."""
    images = [{"image": str(r.path), "scores": r.scores, "error": r.error or None} for r in results]
    return json.dumps({"images": images, "unavailable_metrics": unavailable}, indent=1) + "\n"


def write_parquet(path: str, results: Sequence[ImageScores], metrics: Sequence[str]) -> None:
    """Write columns ``image``, one per metric, ``error``, null where there is none, to a file or an fsspec URL."""
    import pyarrow
    from pyarrow import parquet

    from maagiqa_pyiqa.images.sources import is_url

    columns = {
        "image": pyarrow.array([str(result.path) for result in results], pyarrow.string()),
        **{name: pyarrow.array([r.scores.get(name) for r in results], pyarrow.float64()) for name in metrics},
        "error": pyarrow.array([result.error or None for result in results], pyarrow.string()),
    }
    if is_url(path):
        import fsspec

        with fsspec.open(path, "wb") as file:
            parquet.write_table(pyarrow.table(columns), file)
    else:
        with written_whole(path) as aside:
            parquet.write_table(pyarrow.table(columns), aside)


def _report_failures(failed: Sequence[ImageScores]) -> None:
    if failed:
        print(f"\n{len(failed)} not scored:", file=sys.stderr)
    for result in failed:
        print(f"  {result.path}: {result.error}", file=sys.stderr)
