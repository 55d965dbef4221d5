"""The metrics as users meet them: pyiqa.create_metric on real files and tensors."""

import copy
import socket

import numpy as np
import pyiqa
import pytest
import torch
from PIL import Image

from maagiqa_pyiqa.images.decoding import read_image
from maagiqa_pyiqa.weights import packaged_weights
from tests.helpers.places import SAMPLE

GOLDEN_2026A = (1.4417, 1.5193, 2.3589)


@pytest.fixture(scope="module")
def lite():
    return pyiqa.create_metric("maagiqa-lite", device="cpu")


@pytest.fixture(scope="module")
def pictures():
    """Three photographs-like random pictures of one size with structure at several scales."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(3, 3, 16, 16, generator=generator)
    return torch.nn.functional.interpolate(coarse, (300, 400), mode="bilinear") * 0.9


def test_lite_scores_a_batch_and_says_what_its_scores_mean(lite, pictures):
    scores = lite(pictures)
    assert scores.shape == (3, 1)
    assert scores.isfinite().all()
    assert lite.lower_better is False
    assert lite.metric_mode == "NR"
    assert lite.score_range == "~0, ~5"


def test_lite_needs_no_network(monkeypatch, pictures):
    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert pyiqa.create_metric("maagiqa-lite", device="cpu")(pictures).isfinite().all()


def test_a_score_does_not_depend_on_company_position_or_path(lite, pictures, tmp_path):
    together = lite(pictures)
    for index in range(3):
        torch.testing.assert_close(lite(pictures[index : index + 1]), together[index : index + 1], atol=1e-5, rtol=0)
    torch.testing.assert_close(lite(pictures.flip(0)), together.flip(0), atol=1e-5, rtol=0)
    pixels = (pictures[0] * 255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    from_tensor = lite(read_image(tmp_path / "a.png")[None].float() / 255)
    torch.testing.assert_close(lite(str(tmp_path / "a.png")), from_tensor, atol=1e-5, rtol=0)


def test_batch_invariance_on_real_images(lite):
    paths = sorted((SAMPLE / "images").iterdir())[::2]
    x = torch.stack([read_image(path) for path in paths]).float() / 255
    alone = torch.cat([lite(image[None]) for image in x])
    torch.testing.assert_close(lite(x), alone, atol=1e-5, rtol=0)


def test_details(lite, pictures):
    details = lite(pictures, return_details=True)
    torch.testing.assert_close(details.score, lite(pictures), atol=1e-5, rtol=0)
    assert details.gate.shape == (3, 0)  # it mixes no experts
    assert details.quality_feature.shape == (3, 256)


def test_features_can_be_given_to_the_former_weights(pictures):
    former = pyiqa.create_metric("maagiqa-lite-2026a", device="cpu")
    features = former.net.semantics.get(torch.device("cpu")).extract(pictures)
    details = former(pictures, semantic_features=features, return_details=True)
    torch.testing.assert_close(details.score, former(pictures), atol=1e-5, rtol=0)
    assert details.gate.shape == (3, 3)


def test_as_loss_gives_a_gradient_to_the_image(pictures):
    loss = pyiqa.create_metric("maagiqa-lite", as_loss=True, device="cpu")
    x = pictures[:1].clone().requires_grad_()
    loss(x).backward()
    assert x.grad.abs().sum() > 0


def test_as_loss_accepts_noise_beyond_the_range_as_pyiqas_own_test_of_gradients_does():
    loss = pyiqa.create_metric("maagiqa-lite", as_loss=True, device="cpu").eval()
    generator = torch.Generator().manual_seed(0)
    x, reference = (torch.randn(2, 3, 224, 224, generator=generator) for _ in range(2))
    loss(x.requires_grad_(), reference).sum().backward()
    assert x.grad.isfinite().all()
    assert x.grad.abs().sum() > 0


def test_as_loss_refuses_nan():
    loss = pyiqa.create_metric("maagiqa-lite", as_loss=True, device="cpu").eval()
    with pytest.raises(ValueError, match="NaN"):
        loss(torch.full((1, 3, 64, 64), torch.nan).requires_grad_())


def test_the_visual_encoder_of_2026a_is_no_part_of_the_network(pictures):
    lite = pyiqa.create_metric("maagiqa-lite-2026a", device="cpu")
    lite(pictures)
    assert sum(p.numel() for p in lite.net.parameters()) < 5e6
    assert copy.deepcopy(lite.net).semantics is lite.net.semantics


def test_packaged_weights_fit_the_promise():
    total = sum(packaged_weights(name).stat().st_size for name in ("lite", "lite-2026a", "visual_encoder"))
    assert total <= 39e6


def test_former_weights_have_a_name_and_give_their_published_scores(lite):
    """Golden scores of version 0.3.0, of the first three sample images."""
    x = torch.stack([read_image(path) for path in sorted((SAMPLE / "images").iterdir())[:3]]).float() / 255
    former = pyiqa.create_metric("maagiqa-lite", pretrained="lite-2026a", device="cpu")(x)
    named = pyiqa.create_metric("maagiqa-lite-2026a", device="cpu")(x)
    assert torch.equal(former, named)
    np.testing.assert_allclose(former.flatten(), GOLDEN_2026A, atol=1e-4)
    assert (lite(x) - former).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.rand(3, 64, 64), "4D tensor"),
        (torch.rand(1, 4, 64, 64), "RGB or gray"),
        (torch.rand(1, 3, 64, 64) * 255, "normalized to"),
        (torch.full((1, 3, 64, 64), float("nan")), "normalized to"),
    ],
)
def test_pyiqa_itself_refuses_bad_tensors(lite, x, message):
    with pytest.raises(AssertionError, match=message):
        lite(x)


def test_integer_pixels_are_an_error_that_says_how_to_convert(lite):
    with pytest.raises(TypeError, match=r"x\.float\(\) / 255"):
        lite(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (2000, 30)])
def test_any_size_gets_a_score(lite, size):
    assert lite(torch.rand(1, 3, *size)).isfinite().all()


def test_maagiqa_takes_weights_of_its_own_format_and_needs_features(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        pyiqa.create_metric("maagiqa", pretrained_model_path=tmp_path / "none.pt", device="cpu")


def test_a_foreign_extractor_is_refused_by_name_unless_it_is_asked_for(pictures):
    class Constant:
        prompts, feature_dim, fingerprint = ("a", "b"), 1280, "constant"

        def extract(self, images):
            return torch.ones(len(images), 2, 1280)

    foreign = pyiqa.create_metric("maagiqa-lite-2026a", semantics=Constant(), device="cpu")
    with pytest.raises(
        ValueError, match=r"trained on features of 'visual'.* extractor is 'Constant' \(fingerprint const"
    ):
        foreign(pictures)
    metric = pyiqa.create_metric("maagiqa-lite-2026a", semantics=Constant(), allow_other_features=True, device="cpu")
    expected = metric(pictures, semantic_features=torch.ones(3, 2, 1280))
    assert np.allclose(metric(pictures), expected, atol=1e-5)


def test_an_extractor_is_refused_where_the_network_takes_no_features():
    with pytest.raises(ValueError, match=r"takes no semantic features.*leave semantics out"):
        pyiqa.create_metric("maagiqa-lite", semantics="visual", device="cpu")
