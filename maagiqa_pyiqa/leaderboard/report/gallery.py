"""Images on which two metrics disagree most about MOS (the paper's Figure 7), in both directions."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maagiqa_pyiqa.images.decoding import UnreadableImageError, decode
from maagiqa_pyiqa.leaderboard.report.view import Predictions, Results

SIDE = 192  # of a thumbnail
EACH = 6  # images where the best is closer to MOS, and as many where the baseline is
JPEG_QUALITY = 82


@dataclass(frozen=True)
class Dispute:
    """One image: what people say, and what the best metric and the baseline make of it on the MOS scale."""

    image: Mapping[str, Any]
    best: float
    baseline: float

    @property
    def advantage(self) -> float:
        """By how much the best is closer to MOS than the baseline; negative where it is further off."""
        return abs(self.baseline - self.image["mos"]) - abs(self.best - self.image["mos"])


def disputes(results: Results, best: Predictions, baseline: Predictions, each: int = EACH) -> list[list[Dispute]]:
    """Images where the best is much closer to MOS, and images where the baseline is; strongest first."""
    both = np.intersect1d(best.positions, baseline.positions)
    pairs = [best.only(both), baseline.only(both)]
    mapped = [p.on_mos_scale(p.scores) for p in pairs]
    found = [Dispute(results["images"][int(i)], float(a), float(b)) for i, a, b in zip(both, *mapped, strict=True)]
    found.sort(key=lambda dispute: -dispute.advantage)
    return [
        [d for d in found[:each] if d.advantage > 0],
        [d for d in found[::-1][:each] if d.advantage < 0],
    ]


def thumbnail(path: Path) -> str | None:
    """A small JPEG as ``data:`` URI; None where the image cannot be read."""
    try:
        image = decode(path)
    except UnreadableImageError:
        return None
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
