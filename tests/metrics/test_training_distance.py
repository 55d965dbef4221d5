"""How far images are from those that the packaged weights were trained on."""

import numpy as np
import pyiqa
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from benchmarks.lite.features import SHRINKAGE, fit
from maagiqa_pyiqa.images.decoding import read_image
from maagiqa_pyiqa.metrics import training_distance
from maagiqa_pyiqa.metrics.explanation import weights_fingerprint
from maagiqa_pyiqa.metrics.training_distance import distance_readers, training_features_of
from maagiqa_pyiqa.weights import packaged_training_features
from tests.helpers.places import SAMPLE


def test_distances_are_those_of_mahalanobis():
    draw = np.random.default_rng(0)
    features = torch.from_numpy(draw.normal(size=(5000, 3)) @ draw.normal(size=(3, 3)) + 4)
    fitted = fit(features)
    centred = features.numpy() - features.numpy().mean(0)
    covariance = np.cov(features.numpy().T)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * covariance.trace() / 3 * np.eye(3)
    expected = np.sqrt(np.einsum("nd,de,ne->n", centred, np.linalg.inv(shrunk), centred))
    np.testing.assert_allclose(fitted.distances(features), expected, rtol=1e-6)
    assert fitted.distances(features.mean(0, keepdim=True)).item() == pytest.approx(0, abs=1e-6)


def test_the_packaged_features_are_of_the_packaged_weights_and_no_others(tmp_path, monkeypatch):
    tensors = load_file(packaged_training_features("lite"))
    other = tmp_path / "lite_features.safetensors"
    save_file(tensors, other, {"weights_sha256": "0" * 64})
    monkeypatch.setattr(training_distance, "packaged_training_features", lambda name: other)
    training_features_of.cache_clear()
    with pytest.raises(ValueError, match=r"made for other weights; run python -m benchmarks\.lite\.features"):
        training_features_of("maagiqa-lite")
    save_file(tensors, other, {"weights_sha256": weights_fingerprint("lite")})
    assert training_features_of("maagiqa-lite").mean.shape == (256,)
    training_features_of.cache_clear()
    with pytest.raises(ValueError, match=r"not of piqe"):
        training_features_of("piqe")


def test_readers_are_of_metrics_with_published_weights_by_their_labels():
    assert list(distance_readers({"mine": "maagiqa-lite", "checkpoint": None, "piqe": "piqe"})) == ["mine"]


def test_pictures_of_generators_are_near_and_what_an_optimiser_makes_of_one_is_far():
    """All of the sample were trained on or are like what was; the optimiser has six steps."""
    metric = pyiqa.create_metric("maagiqa-lite", device=torch.device("cpu"), as_loss=True)
    metric.requires_grad_(False)
    features = training_features_of("maagiqa-lite")
    images = torch.stack([read_image(path) for path in sorted((SAMPLE / "images").iterdir())]) / 255
    with torch.no_grad():
        assert (features.distances(metric.net(images, return_details=True).quality_feature) < 1).all()
    pixels = images[-1:].clone().requires_grad_()
    optimiser = torch.optim.Adam([pixels], lr=2 / 255)
    for _ in range(6):
        optimiser.zero_grad()
        (-metric.net(pixels.clamp(0, 1)).sum()).backward()
        optimiser.step()
    with torch.no_grad():
        before, after = metric.net(torch.cat([images[-1:], pixels.clamp(0, 1)]), return_details=True).score
        far = metric.net(pixels.clamp(0, 1), return_details=True)
    assert after > before + 0.5
    assert features.distances(far.quality_feature) > 1


def test_pictures_are_near_and_noise_is_far():
    features = training_features_of("maagiqa-lite")
    net = pyiqa.create_metric("maagiqa-lite", device=torch.device("cpu")).net
    picture = torch.from_numpy(np.asarray(Image.open(next((SAMPLE / "images").glob("xl2*")))) / 255).float()
    noise = torch.rand(3, 512, 512, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        seen = net(torch.stack([picture.permute(2, 0, 1), noise]), return_details=True)
    near, far = features.distances(seen.quality_feature)
    assert near < 1 < far
