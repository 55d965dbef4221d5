"""The participants compared: figures with intervals, the best and the distance to it, figures by group."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import compress

import numpy as np

from maagiqa_pyiqa.agreement.bootstrap import Resampling, compare_with_best, estimate
from maagiqa_pyiqa.agreement.statistics import Judged, judge
from maagiqa_pyiqa.leaderboard.datasets import MIN_IMAGES, BenchmarkData, RatedImage, clusters_of
from maagiqa_pyiqa.leaderboard.published import find_published, load_published
from maagiqa_pyiqa.leaderboard.results import (
    Cell,
    Dataset,
    GroupRow,
    Participant,
    Published,
    Results,
    Row,
    ScoredImage,
    Split,
)
from maagiqa_pyiqa.leaderboard.run_metrics import EntrantScores
from maagiqa_pyiqa.leaderboard.shown import name_identical_images
from maagiqa_pyiqa.metrics.identity import code_version, readable
from maagiqa_pyiqa.support.environment import describe_environment
from maagiqa_pyiqa.support.text import printable

GROUP_STATISTICS = ("srcc", "plcc", "rmse_fitted")
NO_GROUP = "none"  # images whose cell is empty


def build_results(
    data: BenchmarkData, scored: Sequence[EntrantScores], pixel_keys: Mapping[str, bytes], *, seed: int, resamples: int
) -> Results:
    """Compare the participants and gather everything.

    Args:
        data: images and MOS; images of one prompt are resampled together where it has a column of prompts.
        scored: what came of each participant.
        pixel_keys: keys of the images that can be read, by name.
        seed: of the resamples.
        resamples: of the bootstrap.
    """
    resampling = Resampling(seed, resamples)
    dataset = _dataset(data, pixel_keys)
    if dataset.identical_images:
        warnings.warn(printable(name_identical_images(dataset.identical_images)), stacklevel=2)
    return Results(
        created=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        seed=seed,
        resamples=resamples,
        environment=describe_environment(),
        dataset=dataset,
        participants=tuple(_participant(one, _is_zero_shot(one, data, pixel_keys)) for one in scored),
        splits={split: _split(data, split, scored, pixel_keys, resampling) for split in data.splits},
        images=tuple(_image(image, scored) for image in data.images),
    )


def _dataset(data: BenchmarkData, pixel_keys: Mapping[str, bytes]) -> Dataset:
    return Dataset(
        name=data.title,
        csv=data.csv,
        csv_sha256=data.csv_sha256,
        images_sha256=hashlib.sha256(b"".join(sorted(set(pixel_keys.values())))).hexdigest(),
        images=len(data.images),
        identical_images=_identical(data.images, pixel_keys),
        mos_range=data.mos_range,
        group_columns=data.group_columns,
        resampled_by=data.prompt_column,
    )


def _identical(images: Sequence[RatedImage], pixel_keys: Mapping[str, bytes]) -> tuple[tuple[str, ...], ...]:
    """Sets of images of the same pixels and different MOS."""
    by_key: dict[bytes, list[RatedImage]] = {}
    for image in images:
        if image.name in pixel_keys:
            by_key.setdefault(pixel_keys[image.name], []).append(image)
    disputed = [same for same in by_key.values() if len({image.mos for image in same}) > 1]
    return tuple(tuple(image.name for image in same) for same in disputed)


def _participant(scores: EntrantScores, zero_shot: bool | None) -> Participant:
    entrant, identity, cost = scores.entrant, scores.identity, scores.cost
    return Participant(
        name=entrant.name,
        spec=entrant.spec,
        kind=entrant.kind,
        lower_better=entrant.lower_better,
        trained_on=entrant.trained_on,
        zero_shot=zero_shot,
        options=readable(identity.options if identity else entrant.source.options),
        weights_sha256=identity.weights_sha256 if identity else None,
        version=identity.version if identity else code_version(),
        parameters=cost.parameters if cost else None,
        peak_memory_bytes=cost.peak_memory_bytes if cost else None,
        images_per_second=cost.images_per_second if cost else None,
        device=cost.device if cost else None,
        status=scores.status,
        reason=scores.reason,
        failed_images=dict(scores.failed_images),
    )


def _image(image: RatedImage, scored: Sequence[EntrantScores]) -> ScoredImage:
    return ScoredImage(
        name=image.name,
        mos=image.mos,
        splits=image.splits,
        columns=dict(image.columns),
        scores={one.entrant.name: one.scores[image.name] for one in scored if image.name in one.scores},
        gate={one.entrant.name: tuple(one.gates[image.name]) for one in scored if image.name in one.gates},
    )


# -------------------------------------------------------------------------------------------------------------- splits


def _split(
    data: BenchmarkData,
    split: str,
    scored: Sequence[EntrantScores],
    pixel_keys: Mapping[str, bytes],
    resampling: Resampling,
) -> Split:
    images = [data.images[position] for position in data.positions(split)]
    mos = np.array([image.mos for image in images])
    clusters = clusters_of([image.columns for image in images], data.prompt_column)
    weights = resampling.draw(len(images), clusters)
    oriented = {one.entrant.name: _oriented(one, images) for one in scored}
    published = _published(data, split, scored)
    rows, judged = [], {}
    for one in scored:
        name = one.entrant.name
        if np.isfinite(oriented[name]).sum() >= MIN_IMAGES:
            row, judged[name] = _row(name, oriented[name], mos, weights)
            seen = _count_seen(one, data, images, pixel_keys)
            rows.append(dataclasses.replace(row, published=published.pop(name, None), seen_in_training=seen))
    rows.sort(key=_place)
    grouping = _Grouping(oriented, judged, clusters, resampling)
    groups = {column: grouping.figures(images, column) for column in data.group_columns}
    return Split(
        part=data.part,
        images=len(images),
        prompts=_count_prompts(clusters),
        rows=_with_tests(rows, oriented, mos, weights),
        published_only=published,
        groups=groups,
    )


def _count_prompts(clusters: Sequence[Hashable] | None) -> int | None:
    """How many prompts are resampled; None where no two images share one."""
    found = len(set(clusters or ()))
    return found if clusters is not None and found < len(clusters) else None


def _published(data: BenchmarkData, split: str, scored: Sequence[EntrantScores]) -> dict[str, Published]:
    """What is published of the participants, by name."""
    found = {one.entrant.name: find_published(load_published(), data.title, split, one.entrant) for one in scored}
    return {name: published for name, published in found.items() if published}


def _place(row: Row) -> tuple[bool, float]:
    """Those trained on the images last, else the highest SRCC first."""
    srcc = row.figures["srcc"]
    return row.seen_in_training > 0, -srcc.value if srcc else math.inf


def _count_seen(
    scores: EntrantScores, data: BenchmarkData, images: Sequence[RatedImage], pixel_keys: Mapping[str, bytes]
) -> int:
    """How many of the images a participant is known to have been trained on, by name in that dataset, else by content.

    A dataset may hold an image twice, once in each part, which no training on its split can be blamed for.
    """
    known = scores.entrant.trained_on
    if known is None:
        return 0
    if known.dataset == data.dataset:
        names = data.training_names(known.split, known.split_seed, known.with_val)
        return sum(image.name in names for image in images)
    return sum(known.holds(pixel_keys.get(image.name, b"")) for image in images)


def _is_zero_shot(scores: EntrantScores, data: BenchmarkData, pixel_keys: Mapping[str, bytes]) -> bool | None:
    """Whether a participant is known to have seen nothing of the dataset; another table may hold the same images."""
    zero_shot = scores.entrant.is_zero_shot(data.dataset)
    return zero_shot and not _count_seen(scores, data, data.images, pixel_keys)


def _row(name: str, oriented: np.ndarray, mos: np.ndarray, weights: np.ndarray) -> tuple[Row, Judged]:
    """Figures of one metric over the images that it has scored."""
    has_score = np.isfinite(oriented)
    judged, logistic = judge(oriented[has_score], mos[has_score])
    figures = estimate(judged, weights[:, has_score])
    return Row(name=name, n=len(judged.mos), figures=figures, logistic=logistic), judged


def _oriented(scores: EntrantScores, images: Sequence[RatedImage]) -> np.ndarray:
    """Scores of which higher is better; NaN where there is none."""
    sign = -1 if scores.entrant.lower_better else 1
    return np.array([sign * scores.scores.get(image.name, math.nan) for image in images])


def _with_tests(
    rows: Sequence[Row], oriented: Mapping[str, np.ndarray], mos: np.ndarray, weights: np.ndarray
) -> tuple[Row, ...]:
    """Rows with their distance to the best, which is the first with a SRCC."""
    defined = [row.name for row in rows if row.figures["srcc"]]
    best = next(iter(defined), None)
    tests = compare_with_best({name: oriented[name] for name in defined}, mos, best, weights) if best else {}
    rows = [
        dataclasses.replace(row, p_against_best=tests[row.name].p_value, detectable=tests[row.name].detectable)
        if row.name in tests
        else row
        for row in rows
    ]
    return tuple(dataclasses.replace(row, is_best=row.name == best) for row in rows)


# -------------------------------------------------------------------------------------------------------------- groups


@dataclass(frozen=True)
class _Grouping:
    """What figures by group are made of: oriented and judged scores by participant, and how images are resampled."""

    oriented: Mapping[str, np.ndarray]
    judged: Mapping[str, Judged]
    clusters: Sequence[Hashable] | None
    resampling: Resampling

    def figures(self, images: Sequence[RatedImage], column: str) -> tuple[GroupRow, ...]:
        """Figures by the values of a column, as far as a metric has scores; fitted ones by the split's fit."""
        values = np.array([_label(image.columns[column]) for image in images])
        return tuple(
            self._row(group, name, values == group)
            for group in sorted(set(values), key=lambda value: (value == NO_GROUP, value))
            for name in self.judged
        )

    def _row(self, group: str, name: str, inside: np.ndarray) -> GroupRow:
        has_score = np.isfinite(self.oriented[name])
        members = self.judged[name].only(inside[has_score])
        if len(members.mos) < MIN_IMAGES:
            return GroupRow(group=str(group), name=name, n=len(members.mos), figures=dict.fromkeys(GROUP_STATISTICS))
        clusters = None if self.clusters is None else [*compress(self.clusters, inside & has_score)]
        figures = estimate(members, self.resampling.draw(len(members.mos), clusters), GROUP_STATISTICS)
        return GroupRow(group=str(group), name=name, n=len(members.mos), figures=figures)


def _label(cell: Cell) -> str:
    return NO_GROUP if cell is None else str(cell)
