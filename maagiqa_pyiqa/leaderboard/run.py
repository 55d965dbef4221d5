"""A whole benchmark: options, scores, figures, files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from maagiqa_pyiqa.leaderboard.compare import build_results
from maagiqa_pyiqa.leaderboard.datasets import BenchmarkData, DatasetChoice, load_data
from maagiqa_pyiqa.leaderboard.entrants import Entrant, default_entrants, parse_entrants, with_semantics
from maagiqa_pyiqa.leaderboard.results import Results
from maagiqa_pyiqa.leaderboard.results_json import to_json
from maagiqa_pyiqa.leaderboard.run_metrics import ScoringOptions, score_entrants
from maagiqa_pyiqa.metrics.score_store import ScoreStore
from maagiqa_pyiqa.support.files import write_whole
from maagiqa_pyiqa.support.options import parse_options, reject_unknown, require_choice, require_integer

STORE = "scores.sqlite"
RESULTS = "results.json"
RESAMPLE_BY = ("prompt", "image")
LISTS = ("metrics", "split", "where", "group_columns")  # options of which one may be written without a list


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """A benchmark, as an ``options/benchmark_*.yml`` or the command line describes it.

    ``metrics`` are words as after ``-m``, or mappings, see ``entrants.py``; without any, DEFAULT_METRICS.
    ``semantics`` is where metrics that take semantic features have them from, ``keep`` a folder that keeps the scores
    in place of ``out``. ``resample_by`` ``prompt`` resamples images of one prompt together, as far as there are
    prompts, and ``image`` each by itself. ``baseline`` and ``where`` are for the report, see ``report.write_report``.
    An option file names the keys of ``data`` and ``scoring`` beside the others.
    """

    data: DatasetChoice
    scoring: ScoringOptions = dataclasses.field(default_factory=ScoringOptions)
    metrics: tuple[str | Mapping[str, Any], ...] = ()
    semantics: str | None = None
    out: str | None = None
    keep: str | None = None
    resamples: int = 1000
    resample_by: str = "prompt"
    baseline: str | None = None
    where: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_integer("benchmark", "resamples", self.resamples, minimum=1)
        require_choice("benchmark", "resample_by", self.resample_by, RESAMPLE_BY)

    @property
    def folder(self) -> Path:
        """Where everything is written."""
        name = self.data.table_name if self.data.csv else self.data.dataset
        return Path(self.out or Path("benchmark") / name).expanduser()


NESTED: MappingProxyType[str, type[Any]] = MappingProxyType({"data": DatasetChoice, "scoring": ScoringOptions})
KEYS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        **{part: tuple(field.name for field in dataclasses.fields(cls)) for part, cls in NESTED.items()},
        "": tuple(field.name for field in dataclasses.fields(BenchmarkOptions) if field.name not in NESTED),
    }
)
OPTION_KEYS = tuple(key for keys in KEYS.values() for key in keys)  # as an option file or the command line names them


def parse_benchmark_options(given: Mapping[str, Any], where: str = "benchmark") -> BenchmarkOptions:
    """Options from a mapping; a single word does for a list of one.

    Raises:
        ValueError: an unknown key (nearest named) or a value out of its range.
    """
    reject_unknown(where, given, OPTION_KEYS)
    given = {key: [value] if key in LISTS and isinstance(value, str) else value for key, value in given.items()}
    parts = {part: {key: given[key] for key in keys if key in given} for part, keys in KEYS.items()}
    nested = {part: parse_options(cls, parts[part], where) for part, cls in NESTED.items()}
    return parse_options(BenchmarkOptions, {**parts[""], **nested}, where)


def run_benchmark(options: BenchmarkOptions) -> Results:
    """Score what is not scored yet, compare, and write scores, results and report into a folder.

    Interrupted at any moment, a second run goes on where this one was.

    Returns:
        The results as in ``results.json``.

    Raises:
        FileNotFoundError, ValueError: options or data that make no sense; a metric that cannot run is no error.
    """
    from maagiqa_pyiqa.leaderboard.report import write_report

    named = parse_entrants(options.metrics) if options.metrics else default_entrants()
    entrants = with_semantics(named, options.semantics)
    data = load_data(options.data)
    if options.resample_by == "image":
        data = dataclasses.replace(data, prompt_column=None)
    _check_report_options(options, entrants, data)
    with ScoreStore(Path(options.keep or options.folder).expanduser() / STORE) as store:
        scored, pixel_keys = score_entrants(entrants, data.images, store, options.scoring)
    results = build_results(data, scored, pixel_keys, seed=options.scoring.seed, resamples=options.resamples)
    write_whole(options.folder / RESULTS, to_json(results))
    paths = {image.name: image.path for image in data.images}
    write_report(results, options.folder, paths, baseline=options.baseline, where=options.where)
    return results


def _check_report_options(options: BenchmarkOptions, entrants: list[Entrant], data: BenchmarkData) -> None:
    """Find a wrong baseline or filter before hours of scoring."""
    from maagiqa_pyiqa.leaderboard.report.subset import parse_subset
    from maagiqa_pyiqa.leaderboard.report.view import check_baseline

    check_baseline([entrant.name for entrant in entrants], options.baseline)
    for text in options.where:
        parse_subset(text, [column for image in data.images for column in image.columns])
