"""Comparisons of two groups of images as people and programs read them: plain text, CSV, JSON, Parquet."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from maagiqa_pyiqa.agreement.bootstrap import Estimate
from maagiqa_pyiqa.agreement.difference import MIN_SCORES, Difference
from maagiqa_pyiqa.metrics.comparison import Comparison, Pair
from maagiqa_pyiqa.support.csv_files import as_csv
from maagiqa_pyiqa.support.tables import as_parquet
from maagiqa_pyiqa.support.text import printable

SHOWN_PAIRS = 3  # of each direction, on a terminal
COLUMNS = {  # and their types in Parquet
    "metric": "string", "pair": "string", "images_a": "int64", "images_b": "int64", "mean_a": "double",
    "mean_b": "double", "difference": "double",
}  # fmt: skip


@dataclass(frozen=True)
class ComparisonTable:
    """Groups A and B, by what the user called them, compared; ``unavailable`` metrics with the reason."""

    a: str
    b: str
    comparisons: Sequence[Comparison]
    unavailable: Mapping[str, str] = field(default_factory=dict)

    def as_text(self) -> str:
        """A paragraph for each metric: the better one, means, difference, wins, and the most different pairs."""
        groups = f"A is {printable(self.a)}\nB is {printable(self.b)}"
        return "\n\n".join([groups, *("\n".join(_paragraph(one)) for one in self.comparisons)])

    def as_csv(self) -> str:
        """A row for each metric and pair, with COLUMNS; none where nothing belongs together."""
        return as_csv([*COLUMNS], self._rows())

    def as_parquet(self) -> bytes:
        """The same rows."""
        return as_parquet(COLUMNS, self._rows())

    def _rows(self) -> Iterator[tuple[object, ...]]:
        return ((one.metric, *pair, pair.difference) for one in self.comparisons for pair in one.pairs)

    def as_json(self) -> str:
        """An object with ``a``, ``b``, ``comparisons`` and ``unavailable_metrics``."""
        comparisons = [_as_object(one) for one in self.comparisons]
        content = {"a": self.a, "b": self.b, "comparisons": comparisons, "unavailable_metrics": dict(self.unavailable)}
        return json.dumps(content, indent=1) + "\n"


def _as_object(one: Comparison) -> dict[str, Any]:
    return {
        "metric": one.metric,
        "lower_better": one.lower_better,
        "better": one.figures.better,
        "paired_by": one.paired_by,
        "images": {"a": one.images_a, "b": one.images_b},
        "left_out": {"a": one.left_out_a, "b": one.left_out_b},
        "mean": {"a": one.figures.mean_a, "b": one.figures.mean_b},
        "difference": dataclasses.asdict(one.figures.difference),
        "wins": dataclasses.asdict(one.figures.wins),
        "p_value": one.figures.p_value,
        "pairs": [{**pair._asdict(), "difference": pair.difference} for pair in one.pairs],
    }


def _paragraph(one: Comparison) -> Iterator[str]:
    figures = one.figures
    p = "" if figures.p_value is None else f", p = {figures.p_value:.3g}"
    yield f"{printable(one.metric)} ({'lower' if one.lower_better else 'higher'} is better): {_verdict(figures)}"
    yield _line("means", f"A {figures.mean_a:.4f}, B {figures.mean_b:.4f}")
    yield _line("A - B", f"{figures.difference.value:+.4f}{_interval(figures.difference)}{p}")
    yield _line("A wins", f"{figures.wins.value:.1%}{_interval(figures.wins)} of {_counted(one)}")
    if one.left_out_a or one.left_out_b:
        yield _line("left out", f"{one.left_out_a} images of A and {one.left_out_b} of B, which have no partner")
    rising = sorted(one.pairs, key=lambda pair: pair.difference)
    yield from _listed("A - B lowest", rising[:SHOWN_PAIRS])
    yield from _listed("A - B highest", rising[SHOWN_PAIRS:][-SHOWN_PAIRS:][::-1])


def _verdict(figures: Difference) -> str:
    if figures.p_value is None:
        return f"too few to tell, {MIN_SCORES} are needed"
    return f"{figures.better} is better" if figures.better else "undecided"


def _line(title: str, content: str) -> str:
    return f"  {title:<14} {content}"


def _interval(estimate: Estimate) -> str:
    return f", 95 % {estimate.interval}" if estimate.interval else ""


def _counted(one: Comparison) -> str:
    if one.paired_by:
        return f"{len(one.pairs)} {'pair' if len(one.pairs) == 1 else 'pairs'} by {one.paired_by}"
    return f"all {one.images_a} x {one.images_b} pairs, since none belong together"


def _listed(title: str, pairs: Sequence[Pair]) -> Iterator[str]:
    for place, pair in enumerate(pairs):
        yield _line("" if place else title, f"{pair.difference:+.4f}  {printable(pair.key)}")
