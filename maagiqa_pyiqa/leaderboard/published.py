"""Published figures to put beside ours, out of ``benchmarks/published.yml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from maagiqa_pyiqa.leaderboard.participants import Participant

PLACES = (  # in a wheel, and in a checkout
    Path(__file__).parent / "published.yml",
    Path(__file__).parents[2] / "benchmarks" / "published.yml",
)
STATISTICS = ("srcc", "plcc", "krcc", "rmse")


def load_published(path: Path | None = None) -> list[dict[str, Any]]:
    """Read the tables; none where there is no such file."""
    found = path or next((place for place in PLACES if place.is_file()), None)
    return list(yaml.safe_load(found.read_text(encoding="utf-8"))) if found else []


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
