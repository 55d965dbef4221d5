"""Where a training on somebody's own ratings starts: the scores of trained weights, brought to the ratings' scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from maagiqa_pyiqa.data.agi_dataset import CSVQualityDataset

MOST_IMAGES = 64  # they tell mean and deviation well enough
REVERSED = -0.2  # correlation below which ratings count the other way round


@dataclass(frozen=True)
class StartScale:
    """Scores start as ``factor * score + shift``; a factor below 0 turns them around."""

    factor: float
    shift: float

    @classmethod
    def fitted(cls, scores: np.ndarray, ratings: np.ndarray) -> StartScale:
        """Give scores (N,) the mean and deviation of the ratings (N,), turned around where these are."""
        if not (scores.std() and ratings.std()):
            return cls(1.0, short(ratings.mean() - scores.mean()))
        size = ratings.std() / scores.std()
        factor = short(-size if np.corrcoef(scores, ratings)[0, 1] < REVERSED else size)
        return cls(factor, short(ratings.mean() - factor * scores.mean()))


def short(value: float) -> float:
    """A number as people can read it in an option file: six digits."""
    return float(f"{value:.6g}")


def start_scale_of_lite(section: Mapping[str, Any]) -> StartScale:
    """Score up to 64 images of a dataset section's training part by maagiqa-lite, and compare with their ratings."""
    dataset = CSVQualityDataset({**section, "name": "training part", "part": "train"})
    rows = np.unique(np.linspace(0, len(dataset) - 1, min(MOST_IMAGES, len(dataset))).astype(int))
    net = MAAGIQA(pretrained="lite").eval()
    with torch.no_grad():
        scores = [net(dataset[row]["img"][None]).numpy() for row in rows]
    ratings = np.array([float(dataset.paths_mos[row][1]) for row in rows])
    return StartScale.fitted(np.concatenate(scores).flatten(), ratings)
