"""How far images lie from those that a metric was trained on: what tells that a reward is being hacked.

The Mahalanobis distance of the quality feature (Lee et al., A simple unified framework for detecting
out-of-distribution samples and adversarial attacks, NeurIPS 2018), with one Gaussian for all training images. It
belongs to weights of the package, and is not known of any others.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open

from maagiqa_pyiqa.metrics.explanation import WEIGHTS_OF, packaged_weights_of, require_made_for
from maagiqa_pyiqa.metrics.scoring import Reader
from maagiqa_pyiqa.weights import packaged_training_features

if TYPE_CHECKING:
    from maagiqa_pyiqa.archs.maagiqa_arch import Details


@dataclass(frozen=True)
class TrainingFeatures:
    """Where the quality features of training images lie.

    Args:
        mean: (D,).
        whitening: (D, D), of which the features minus their mean, times it, have unit covariance, and lengths in units
            of the distance within which 95 % of images lie that were not trained on, some of them at other sizes.
    """

    mean: torch.Tensor
    whitening: torch.Tensor

    def distances(self, features: torch.Tensor) -> torch.Tensor:
        """Distances (N,) of quality features (N, D), 0 at their mean."""
        centred = features.detach().to(self.mean) - self.mean
        return (centred @ self.whitening).norm(dim=1)

    def read(self, details: Details) -> Sequence[float]:
        """Distances of images from what a network saw of them."""
        distances: list[float] = self.distances(details.quality_feature).tolist()
        return distances


@functools.cache
def training_features_of(metric: str) -> TrainingFeatures:
    """Where the features of a metric's training images lie, with the packaged weights.

    Raises:
        InputError: it is not known of this metric, or the file is of other weights than those of the package.
    """
    name = packaged_weights_of(metric, "training features are")
    path = packaged_training_features(name)
    with safe_open(path, "pt") as file:
        require_made_for(name, file.metadata().get("weights_sha256"), path, "benchmarks.lite.features")
        return TrainingFeatures(file.get_tensor("mean"), file.get_tensor("whitening"))


def distance_readers(metrics: Mapping[str, str | None]) -> dict[str, Reader]:
    """Readers of distances, as ``score_decoded`` takes them, of those metrics whose training features are known.

    Args:
        metrics: by the name that each goes by here pyiqa's name of it, None of one without its published weights.
    """
    return {label: training_features_of(name).read for label, name in metrics.items() if name in WEIGHTS_OF}
