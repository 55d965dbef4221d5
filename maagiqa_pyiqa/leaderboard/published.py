"""Published figures to put beside ours, out of ``published.yml``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from maagiqa_pyiqa.agreement.statistics import STATISTICS
from maagiqa_pyiqa.leaderboard.entrants import Entrant
from maagiqa_pyiqa.leaderboard.results import Published

TABLES = Path(__file__).with_name("published.yml")


@dataclass(frozen=True)
class PublishedTable:
    """A table of one data set and split, with the figures of its rows by the metric they are those of."""

    dataset: str
    split: str
    rows: tuple[tuple[frozenset[str], Published], ...]


@cache
def load_published(path: Path = TABLES) -> tuple[PublishedTable, ...]:
    """Read tables, by default the package's."""
    keys = [statistic.published_key for statistic in STATISTICS.values() if statistic.published_key]
    tables = []
    for table in yaml.safe_load(path.read_text(encoding="utf-8")):
        rows = []
        for row in table["rows"]:
            names = row["metric"] if isinstance(row.get("metric"), list) else [row.get("metric")]
            figures = {key: float(row[key]) for key in keys if key in row}
            rows.append((frozenset(filter(None, names)), Published(table["source"], figures)))
        tables.append(PublishedTable(str(table["dataset"]).lower(), table["split"], tuple(rows)))
    return tuple(tables)


def find_published(tables: Sequence[PublishedTable], dataset: str, split: str, entrant: Entrant) -> Published | None:
    """Figures of an entrant as published: of its name, or of its metric where it is used as it comes.

    Args:
        tables: of ``load_published``.
        dataset: title or name, in any case.
        split: name.
        entrant: whose.

    Returns:
        Those of the first table that has any.
    """
    source = entrant.source
    names = {entrant.name, source.metric if entrant.kind == "metric" and not source.options else None}
    rows = (row for table in tables if (table.dataset, table.split) == (dataset.lower(), split) for row in table.rows)
    return next((published for metrics, published in rows if metrics & names), None)
