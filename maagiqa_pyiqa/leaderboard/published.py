"""Published figures to put beside ours, out of ``benchmarks/published.yml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from maagiqa_pyiqa.leaderboard.participants import Participant

TABLES = Path(__file__).with_name("published.yml")
STATISTICS = ("srcc", "plcc", "krcc", "rmse")


def load_published(path: Path = TABLES) -> list[dict[str, Any]]:
    """Read tables, by default the package's."""
    return list(yaml.safe_load(path.read_text(encoding="utf-8")))


def find_published(
    tables: list[dict[str, Any]], dataset: str, split: str, participant: Participant
) -> dict[str, Any] | None:
    """Figures of a participant as published: of its name, or of its metric where it is used as it comes.

    Args:
        tables: of ``load_published``.
        dataset: title or name, in any case.
        split: name.
        participant: whose.

    Returns:
        ``source`` and those of STATISTICS that the source has, of the first table that has any.
    """
    names = {participant.name, participant.metric if participant.kind == "metric" and not participant.options else None}
    for table in tables:
        if (str(table["dataset"]).lower(), table["split"]) != (dataset.lower(), split):
            continue
        for row in table["rows"]:
            meant = row["metric"] if isinstance(row.get("metric"), list) else [row.get("metric")]
            if names.intersection(meant) - {None}:
                return {name: row[name] for name in STATISTICS if name in row} | {"source": table["source"]}
    return None
