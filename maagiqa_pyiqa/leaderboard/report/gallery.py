"""Images on which two metrics disagree most about MOS (the paper's Figure 7), in both directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from maagiqa_pyiqa.images.sources import ImagePath
from maagiqa_pyiqa.images.thumbnails import as_data_url, make_thumbnail
from maagiqa_pyiqa.leaderboard.report import figures
from maagiqa_pyiqa.leaderboard.report.view import Predictions, all_predictions, choose_pair
from maagiqa_pyiqa.leaderboard.results import Results, ScoredImage
from maagiqa_pyiqa.metrics.gates import name_gates

SIDE = 192  # of a thumbnail
EACH = 6  # images where the best is closer to MOS, and as many where the baseline is


@dataclass(frozen=True)
class Dispute:
    """One image: what people say, and what the best metric and the baseline make of it on the MOS scale."""

    image: ScoredImage
    best: float
    baseline: float

    @property
    def advantage(self) -> float:
        """By how much the best is closer to MOS than the baseline; negative where it is further off."""
        return abs(self.baseline - self.image.mos) - abs(self.best - self.image.mos)


@dataclass(frozen=True)
class Card:
    """A dispute with its picture (None where it cannot be read), its number line, gate weights and all scores.

    ``gates`` are pairs of expert and weight by metric; ``scores`` are metric, raw score and score on the MOS scale,
    NaN where there is none.
    """

    dispute: Dispute
    thumbnail: str | None
    line: Markup
    gates: Mapping[str, Sequence[tuple[str, float]]]
    scores: Sequence[tuple[str, float, float]]


@dataclass(frozen=True)
class GalleryView:
    """The two metrics of a split, and cards by the one that is closer to people."""

    best: str
    baseline: str
    cards: Mapping[str, Sequence[Card]]


def gallery(results: Results, images: Mapping[str, ImagePath], baseline: str | None) -> dict[str, GalleryView]:
    """The gallery of each split that has two metrics to hold against each other."""
    views = {split: _gallery(results, split, images, baseline) for split in results.splits}
    return {split: view for split, view in views.items() if view}


def _gallery(results: Results, split: str, images: Mapping[str, ImagePath], wanted: str | None) -> GalleryView | None:
    pair = choose_pair(results, split, wanted)
    if pair is None:
        return None
    baseline, best = pair
    metrics = all_predictions(results, split)
    won, lost = disputes(results, metrics[best], metrics[baseline])
    mos_range = results.dataset.mos_range

    def card(dispute: Dispute) -> Card:
        image = dispute.image
        line = figures.number_line(mos_range, image.mos, dispute.best, dispute.baseline)
        gates = _gates(image, (best, baseline))
        return Card(dispute, thumbnail(images[image.name]), line, gates, _scores(image, metrics))

    return GalleryView(best, baseline, {best: [card(d) for d in won], baseline: [card(d) for d in lost]})


def disputes(results: Results, best: Predictions, baseline: Predictions, each: int = EACH) -> list[list[Dispute]]:
    """Images where the best is much closer to MOS, and images where the baseline is; strongest first."""
    both = np.intersect1d(best.positions, baseline.positions)
    pairs = [best.only(both), baseline.only(both)]
    mapped = [p.on_mos_scale(p.scores) for p in pairs]
    ordered = sorted(
        (Dispute(results.images[int(i)], float(a), float(b)) for i, a, b in zip(both, *mapped, strict=True)),
        key=lambda dispute: -dispute.advantage,
    )
    return [
        [d for d in ordered[:each] if d.advantage > 0],
        [d for d in ordered[::-1][:each] if d.advantage < 0],
    ]


def _scores(image: ScoredImage, metrics: Mapping[str, Predictions]) -> list[tuple[str, float, float]]:
    return [
        (name, score, float(metric.on_mos_scale(np.array([score]))[0]))
        for name, metric in metrics.items()
        if (score := image.scores.get(name)) is not None
    ]


def _gates(image: ScoredImage, first: Sequence[str]) -> dict[str, list[tuple[str, float]]]:
    """Experts and weights by metric, as far as a metric has any; those of ``first`` first."""
    return {name: name_gates(image.gate[name]) for name in dict.fromkeys([*first, *image.gate]) if image.gate.get(name)}


def thumbnail(path: ImagePath) -> str | None:
    """A small JPEG as ``data:`` URI; None where the image cannot be read."""
    made = make_thumbnail(path, SIDE)
    return as_data_url(made.jpeg) if made else None
