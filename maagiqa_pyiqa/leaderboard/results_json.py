"""``results.json``: the results written and read, with every key checked.

schema, created, seed, resamples, environment, dataset
participants  in the order asked for, also those that failed
splits        by name: part, images, rows (figures beside the row's other keys), published_only, groups by column
images        name, mos, splits, columns, scores and gate weights by participant
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from maagiqa_pyiqa.agreement.bootstrap import Estimate
from maagiqa_pyiqa.agreement.statistics import STATISTICS
from maagiqa_pyiqa.leaderboard.results import (
    Dataset,
    Figures,
    GroupRow,
    Participant,
    Published,
    Results,
    Row,
    ScoredImage,
    Split,
)
from maagiqa_pyiqa.leaderboard.training_data import TrainingData
from maagiqa_pyiqa.support.environment import Environment
from maagiqa_pyiqa.support.errors import InputError

SCHEMA = 3


def to_json(results: Results) -> str:
    """Results as the text of ``results.json``; a figure that is not defined is null."""
    content = {"schema": SCHEMA, **dataclasses.asdict(results)}
    for split in content["splits"].values():
        split["rows"] = [_with_figures(row) for row in split["rows"]]
        split["groups"] = {column: [_with_figures(row) for row in rows] for column, rows in split["groups"].items()}
        for row in split["rows"]:
            row["published"] = row["published"] and _flat_published(row["published"])
        split["published_only"] = {name: _flat_published(one) for name, one in split["published_only"].items()}
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _flat_published(published: Mapping[str, Any]) -> dict[str, Any]:
    return {**published["figures"], "source": published["source"]}


def _with_figures(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its figures beside its other keys, in the place of the mapping."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        flat.update(value if key == "figures" else {key: value})
    return flat


def read_results(path: str | Path) -> Results:
    """Read ``results.json``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: another schema, or a key that is missing or unknown; names it.
    """
    try:
        return parse_results(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"'{path}' cannot be read as results of a benchmark: {error}") from error


def parse_results(text: str) -> Results:
    """Read the text of ``results.json``; errors as ``read_results``."""
    content = json.loads(text)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else type(content).__name__
        raise InputError(f"expected schema {SCHEMA}, got {found!r}; run the benchmark again with this version.")
    del content["schema"]
    _check_keys(Results, content)
    return Results(
        **{key: content[key] for key in ("created", "seed", "resamples")},
        environment=_build(Environment, content["environment"]),
        dataset=_build(Dataset, content["dataset"], mos_range=tuple, group_columns=tuple, identical_images=_sets),
        participants=tuple(_build(Participant, one, trained_on=_training_data) for one in content["participants"]),
        splits={name: _split(split) for name, split in content["splits"].items()},
        images=tuple(_build(ScoredImage, image, splits=tuple, gate=_gates) for image in content["images"]),
    )


def _split(content: Mapping[str, Any]) -> Split:
    groups = {column: tuple(_row(GroupRow, row) for row in rows) for column, rows in content["groups"].items()}
    rows = tuple(_row(Row, row) for row in content["rows"])
    published = {name: _published(one) for name, one in content["published_only"].items()}
    split: Split = _build(Split, {**content, "rows": rows, "groups": groups, "published_only": published})
    return split


def _row(cls: type[Any], content: Mapping[str, Any]) -> Any:
    fields = [field.name for field in dataclasses.fields(cls)]
    figures = {key: value for key, value in content.items() if key not in fields}
    _check("figures", figures, known=STATISTICS)
    rest = {key: value for key, value in content.items() if key in fields}
    return _build(cls, {**rest, "figures": _figures(figures)}, logistic=_optional_tuple, published=_published)


def _figures(content: Mapping[str, Any]) -> Figures:
    return {key: None if value is None else _build(Estimate, value) for key, value in content.items()}


def _published(content: Mapping[str, Any] | None) -> Published | None:
    if content is None:
        return None
    return Published(content["source"], {key: value for key, value in content.items() if key != "source"})


def _training_data(content: Mapping[str, Any] | None) -> TrainingData | None:
    return None if content is None else _build(TrainingData, content)


def _sets(content: list[list[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(names) for names in content)


def _gates(content: Mapping[str, Any]) -> Mapping[str, tuple[float, ...]]:
    return {name: tuple(weights) for name, weights in content.items()}


def _optional_tuple(content: list[float] | None) -> tuple[float, ...] | None:
    return None if content is None else tuple(content)


def _build(cls: type[Any], content: Mapping[str, Any], **convert: Any) -> Any:
    """A dataclass from a mapping that holds exactly its fields."""
    _check_keys(cls, content)
    return cls(**{key: convert[key](value) if key in convert else value for key, value in content.items()})


def _check_keys(cls: type[Any], content: Mapping[str, Any]) -> None:
    fields = [field.name for field in dataclasses.fields(cls)]
    _check(cls.__name__, content, fields, required=fields)


def _check(where: str, given: Collection[str], known: Collection[str], required: Collection[str] = ()) -> None:
    unknown = [key for key in given if key not in known]
    missing = [key for key in required if key not in given]
    if unknown or missing:
        raise InputError(f"{where}: unknown {unknown}, missing {missing}.")
