"""A whole benchmark: options, scores, figures, files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from maagiqa_pyiqa.leaderboard.compare import build_results
from maagiqa_pyiqa.leaderboard.datasets import BenchmarkData, DatasetChoice, load_data
from maagiqa_pyiqa.leaderboard.participants import Participant, default_participants, parse_participants
from maagiqa_pyiqa.leaderboard.run_metrics import ScoringOptions, score_participants
from maagiqa_pyiqa.leaderboard.score_store import ScoreStore
from maagiqa_pyiqa.support.files import write_whole
from maagiqa_pyiqa.support.options import parse_options

STORE = "scores.sqlite"
RESULTS = "results.json"
LISTS = ("metrics", "split", "where", "group_columns")  # options of which one may be written without a list


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions(DatasetChoice):
    """A benchmark, as an ``options/benchmark_*.yml`` or the command line describes it.

    ``metrics`` are words as after ``-m``, or mappings, see ``participants.py``; without any, DEFAULT_METRICS.
    ``baseline`` and ``where`` are for the report, see ``report.write_report``.
    """

    metrics: tuple[str | Mapping[str, Any], ...] = ()
    out: str | None = None
    resamples: int = 1000
    seed: int = 0
    device: str | None = None
    batch_size: int = 8
    workers: int = 2
    retry_failed: bool = False
    baseline: str | None = None
    where: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("resamples", 1), ("seed", 0), ("batch_size", 1), ("workers", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"benchmark: {name} must be an integer of at least {least}, got {value!r}.")

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        return Path(self.out or Path("benchmark") / (Path(self.csv).stem if self.csv else self.dataset)).expanduser()


def parse_benchmark_options(given: Mapping[str, Any], where: str = "benchmark") -> BenchmarkOptions:
    """Options from a mapping; a single word does for a list of one.

    Raises:
        ValueError: an unknown key (nearest named) or a value out of its range.
    """
    given = {key: [value] if key in LISTS and isinstance(value, str) else value for key, value in given.items()}
    return parse_options(BenchmarkOptions, given, where)


def read_option_file(path: str | Path) -> dict[str, Any]:
    """Read an option YAML.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a mapping.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"option file '{path}' does not exist.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"option file '{path}' is not YAML: {error}") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"option file '{path}' holds no options, such as 'dataset: agiqa-3k'.")
    return dict(content)


def run_benchmark(options: BenchmarkOptions) -> dict[str, Any]:
    """Score what is not scored yet, compare, and write scores, results and report into a folder.

    Interrupted at any moment, a second run goes on where this one was.

    Returns:
        The results as in ``results.json``.

    Raises:
        FileNotFoundError, ValueError: options or data that make no sense; a metric that cannot run is no error.
    """
    from maagiqa_pyiqa.leaderboard.report import write_report

    participants = parse_participants(options.metrics) if options.metrics else default_participants()
    data = load_data(options)
    _check_report_options(options, participants, data)
    scoring = ScoringOptions(
        **{field.name: getattr(options, field.name) for field in dataclasses.fields(ScoringOptions)}
    )
    with ScoreStore(options.folder / STORE) as store:
        scored, pixel_keys = score_participants(participants, data.images, store, scoring)
    results = build_results(data, scored, pixel_keys, seed=options.seed, resamples=options.resamples)
    write_whole(options.folder / RESULTS, json.dumps(results, indent=1, allow_nan=False) + "\n")
    write_report(results, options.folder, data.image_root, baseline=options.baseline, where=options.where)
    return results


def _check_report_options(options: BenchmarkOptions, participants: list[Participant], data: BenchmarkData) -> None:
    """Find a wrong baseline or filter before hours of scoring."""
    from maagiqa_pyiqa.leaderboard.report.subset import parse_subset
    from maagiqa_pyiqa.leaderboard.report.view import check_baseline

    check_baseline([participant.name for participant in participants], options.baseline)
    for text in options.where:
        parse_subset(text, {"images": [{"columns": image.columns} for image in data.images]})
