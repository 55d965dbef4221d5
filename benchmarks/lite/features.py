r"""Where maagiqa-lite's features of its training images lie: run it after every change of its weights.

    python -m benchmarks.lite.features --data AGIQA-3K

looks at the images of the official split that were trained on (parts train and val), some of them at other sizes too,
and writes mean and whitening of their quality features to the file beside the weights. The unit of distances is that
within which 95 % of the test images, at the same sizes, lie.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyiqa
import torch
from torch.nn.functional import interpolate

from benchmarks.official_parts import SPLIT, read_parts
from maagiqa_pyiqa.archs.checkpoints.read import save_checkpoint
from maagiqa_pyiqa.images.decoding import read_image
from maagiqa_pyiqa.metrics.explanation import WEIGHTS_OF, weights_fingerprint
from maagiqa_pyiqa.metrics.training_distance import TrainingFeatures
from maagiqa_pyiqa.weights import packaged_training_features

METRIC = "maagiqa-lite"
TRAINED_ON, HELD_OUT = ("train", "val"), ("test",)
SIZES = (256, 768)  # beside 512, that of all of them
EVERY = 4  # of so many images one is looked at at other sizes
SHRINKAGE = 0.3  # of the covariance: with less, images at other sizes lie as far as what an optimiser makes
SHARE = 0.95


def versions(path: Path, place: int) -> Iterator[torch.Tensor]:
    """An image (1, 3, H, W) as it is and, of some, made smaller, cut out and made larger."""
    image = read_image(path)[None] / 255
    yield image
    if place % EVERY == 0:
        for size in SIZES:
            yield interpolate(image, size=(size, size), mode="bicubic", antialias=True).clamp(0, 1)
        yield image[..., 128:384, 128:384]


@torch.no_grad()
def features_of(paths: Iterable[Path], net: torch.nn.Module) -> torch.Tensor:
    """Quality features (N, D) of all versions of images."""
    several = (version for place, path in enumerate(paths) for version in versions(path, place))
    return torch.cat([net(image, return_details=True).quality_feature for image in several])


def fit(features: torch.Tensor) -> TrainingFeatures:
    """Mean and whitening (without a unit yet) of features (N, D)."""
    features = features.double()
    covariance = features.T.cov()
    level = SHRINKAGE * covariance.diagonal().mean()
    covariance = (1 - SHRINKAGE) * covariance + level * torch.eye(len(covariance), dtype=torch.float64)
    return TrainingFeatures(features.mean(0), torch.linalg.cholesky(torch.linalg.inv(covariance)))


def main() -> None:
    """Parse the command line, look and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of AGIQA-3k")
    data = parser.parse_args().data
    net = pyiqa.create_metric(METRIC, device=torch.device("cpu")).net
    own, other = (
        features_of([data / "images" / str(name) for name in read_parts(data, parts)["name"]], net)
        for parts in (TRAINED_ON, HELD_OUT)
    )
    raw = fit(own)
    unit = float(np.quantile(raw.distances(other), SHARE))
    target = packaged_training_features(WEIGHTS_OF[METRIC])
    tensors = {"mean": raw.mean.float(), "whitening": (raw.whitening / unit).float()}
    looked_at = f"AGIQA-3k, {SPLIT} split, parts {' and '.join(TRAINED_ON)}"
    about = {"weights_sha256": weights_fingerprint(WEIGHTS_OF[METRIC]), "data": looked_at}
    save_checkpoint(tensors, target, about)
    print(f"{target}: {len(own)} looks, unit {unit:.1f} of {len(other)} looks at others")


if __name__ == "__main__":
    main()
