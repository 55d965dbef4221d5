"""The results as one structure, which becomes ``results.json`` and which the report is made of.

    schema, created, seed, resamples, environment
    dataset       name, hashes of the CSV and of the decoded images, MOS range, group columns
    participants  in the order asked for, also those that failed: name, kind, what it was trained on as far as known,
                  options, hash of weights, version, costs,
                  status (ok, partial, failed), reason, failed images
    splits        by name: part, images, rows (best SRCC first, those trained on the images last), groups (by column)
      rows        figures {value, low, high} or None, logistic, p against the best, published figures,
                  and how many of the images the weights are known to have been trained on
    images        name, mos, splits, columns, scores and gate weights by participant

Figures count higher as better: scores of which lower is better are negated for them, and so are they for the logistic.
``images`` holds scores as the metrics gave them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import numpy as np

from maagiqa_pyiqa.agreement.bootstrap import Estimate, Judged, draw_resamples, estimate, judge, p_against_best
from maagiqa_pyiqa.leaderboard.datasets import FEWEST, BenchmarkData, RatedImage
from maagiqa_pyiqa.leaderboard.published import find_published, load_published
from maagiqa_pyiqa.leaderboard.run_metrics import ParticipantScores
from maagiqa_pyiqa.metrics.identity import code_version, readable
from maagiqa_pyiqa.support.environment import describe_environment

SCHEMA = 1
GROUP_STATISTICS = ("srcc", "plcc", "rmse_fitted")
NO_GROUP = "none"  # images whose cell is empty


def build_results(
    data: BenchmarkData, scored: Sequence[ParticipantScores], pixel_keys: Sequence[bytes], *, seed: int, resamples: int
) -> dict[str, Any]:
    """Compare the participants and gather everything.

    Args:
        data: images and MOS.
        scored: what came of each participant.
        pixel_keys: sorted keys of the images.
        seed: of the resamples.
        resamples: of the bootstrap.

    Returns:
        The structure above, JSON-ready; a figure that is not defined is None.
    """
    return {
        "schema": SCHEMA,
        "created": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seed": seed,
        "resamples": resamples,
        "environment": describe_environment(),
        "dataset": _dataset(data, pixel_keys),
        "participants": [_participant(one) for one in scored],
        "splits": {split: _split(data, split, scored, seed, resamples) for split in data.splits},
        "images": [_image(image, scored) for image in data.images],
    }


def _dataset(data: BenchmarkData, pixel_keys: Sequence[bytes]) -> dict[str, Any]:
    return {
        "name": data.title,
        "csv": data.csv.name,
        "csv_sha256": hashlib.sha256(data.csv.read_bytes()).hexdigest(),
        "images_sha256": hashlib.sha256(b"".join(pixel_keys)).hexdigest(),
        "images": len(data.images),
        "mos_range": list(data.mos_range),
        "group_columns": list(data.group_columns),
    }


def _participant(one: ParticipantScores) -> dict[str, Any]:
    identity, cost = one.identity, one.cost
    return {
        "name": one.participant.name,
        "spec": one.participant.spec,
        "kind": one.participant.kind,
        "lower_better": one.participant.lower_better,
        "trained_on": dataclasses.asdict(one.participant.trained_on) if one.participant.trained_on else None,
        "options": readable(identity.options if identity else one.participant.options),
        "weights_sha256": identity.weights_sha256 if identity else None,
        "version": identity.version if identity else code_version(),
        "parameters": cost.parameters if cost else None,
        "peak_memory_bytes": cost.peak_memory_bytes if cost else None,
        "images_per_second": cost.images_per_second if cost else None,
        "device": cost.device if cost else None,
        "status": one.status,
        "reason": one.reason,
        "failed_images": dict(one.failed_images),
    }


def _image(image: RatedImage, scored: Sequence[ParticipantScores]) -> dict[str, Any]:
    return {
        "name": image.name,
        "mos": image.mos,
        "splits": list(image.splits),
        "columns": dict(image.columns),
        "scores": {one.participant.name: one.scores[image.name] for one in scored if image.name in one.scores},
        "gate": {one.participant.name: one.gates[image.name] for one in scored if image.name in one.gates},
    }


# -------------------------------------------------------------------------------------------------------------- splits


def _split(
    data: BenchmarkData, split: str, scored: Sequence[ParticipantScores], seed: int, resamples: int
) -> dict[str, Any]:
    images = [data.images[position] for position in data.positions(split)]
    mos = np.array([image.mos for image in images])
    weights = draw_resamples(len(images), resamples, seed)
    oriented = {one.participant.name: _oriented(one, images) for one in scored}
    ranked = [one for one in scored if np.isfinite(oriented[one.participant.name]).sum() >= FEWEST]
    rows, judged = [], {}
    for one in ranked:
        row, judged[one.participant.name] = _row(one.participant.name, oriented[one.participant.name], mos, weights)
        row["published"] = find_published(load_published(), data.title, split, one.participant)
        row["seen_in_training"] = _count_seen(one, data, images)
        rows.append(row)
    rows.sort(key=lambda row: (row["seen_in_training"] > 0, -row["srcc"]["value"] if row["srcc"] else math.inf))
    _compare_with_best(rows, oriented, mos, weights)
    groups = {column: _groups(images, column, oriented, judged, seed, resamples) for column in data.group_columns}
    return {"part": data.part, "images": len(images), "rows": rows, "groups": groups}


def _count_seen(one: ParticipantScores, data: BenchmarkData, images: Sequence[RatedImage]) -> int:
    """How many of the images a participant is known to have been trained on."""
    known = one.participant.trained_on
    if known is None or known.dataset != data.dataset:
        return 0
    seen = data.training_names(known.split, known.split_seed)
    return sum(image.name in seen for image in images)


def _row(name: str, oriented: np.ndarray, mos: np.ndarray, weights: np.ndarray) -> tuple[dict[str, Any], Judged]:
    """Figures of one metric over the images that it has scored."""
    has_score = np.isfinite(oriented)
    judged, logistic = judge(oriented[has_score], mos[has_score])
    figures = {statistic: _plain(found) for statistic, found in estimate(judged, weights[:, has_score]).items()}
    return {"name": name, "n": len(judged.mos), **figures, "logistic": list(logistic) if logistic else None}, judged


def _oriented(one: ParticipantScores, images: Sequence[RatedImage]) -> np.ndarray:
    """Scores of which higher is better; NaN where there is none."""
    sign = -1 if one.participant.lower_better else 1
    return np.array([sign * one.scores.get(image.name, math.nan) for image in images])


def _compare_with_best(
    rows: Sequence[dict[str, Any]], oriented: Mapping[str, np.ndarray], mos: np.ndarray, weights: np.ndarray
) -> None:
    """Add ``is_best`` and ``p_against_best`` to rows, of which the first with a SRCC is the best."""
    defined = [row["name"] for row in rows if row["srcc"]]
    best = next(iter(defined), None)
    p_values = p_against_best({name: oriented[name] for name in defined}, mos, best, weights) if best else {}
    for row in rows:
        row["is_best"] = row["name"] == best
        row["p_against_best"] = p_values.get(row["name"])


def _plain(found: Estimate) -> dict[str, float] | None:
    return None if math.isnan(found.value) else found._asdict()


# -------------------------------------------------------------------------------------------------------------- groups


def _groups(
    images: Sequence[RatedImage],
    column: str,
    oriented: Mapping[str, np.ndarray],
    judged: Mapping[str, Judged],
    seed: int,
    resamples: int,
) -> list[dict[str, Any]]:
    """Figures by the values of a column, as far as a metric has scores; fitted ones by the split's fit."""
    values = np.array([_label(image.columns[column]) for image in images])
    found = []
    for group in sorted(set(values), key=lambda value: (value == NO_GROUP, value)):
        for name, one in judged.items():
            has_score = np.isfinite(oriented[name])
            part = one.only(values[has_score] == group)
            found.append({"group": group, "name": name, "n": len(part.mos), **_group_figures(part, seed, resamples)})
    return found


def _label(cell: Any) -> str:
    return NO_GROUP if cell is None else str(cell)


def _group_figures(part: Judged, seed: int, resamples: int) -> dict[str, Any]:
    if len(part.mos) < FEWEST:
        return dict.fromkeys(GROUP_STATISTICS)
    weights = draw_resamples(len(part.mos), resamples, seed)
    return {name: _plain(found) for name, found in estimate(part, weights, GROUP_STATISTICS).items()}
