"""The network gives the numbers of the authors' code.

Recorded values: ``tests/golden/official-head``, the authors' own network on three real images with seeded weights;
``golden_seed3.json`` says how.
"""

import json

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.functional import to_tensor

from maagiqa_pyiqa.archs.checkpoints.official import COMPUTED_BUFFERS, convert_official
from maagiqa_pyiqa.archs.checkpoints.read import save_checkpoint
from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from maagiqa_pyiqa.images.tensors import squash
from tests.helpers.places import GOLDEN, SAMPLE
from tests.helpers.seeded_weights import seeded_weights

HEAD = GOLDEN / "official-head"


@pytest.fixture(scope="module")
def golden():
    return json.loads((HEAD / "golden_seed3.json").read_text())


@pytest.fixture(scope="module")
def shapes():
    return json.loads((HEAD / "checkpoint_shapes.json").read_text())


@pytest.fixture(scope="module")
def recorded_input():
    return torch.from_numpy(np.load(HEAD / "inputs_224_uint8.npy")).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def official_net(shapes, tmp_path_factory):
    path = tmp_path_factory.mktemp("official") / "published.pt"
    torch.save(seeded_weights(shapes, 3), path)
    net = MAAGIQA(pretrained_model_path=path).eval()
    path.unlink()  # half a gigabyte
    return net


@pytest.fixture(scope="module")
def details(official_net, recorded_input):
    semantic_features = torch.randn(3, 2, 4096, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        return official_net(recorded_input.float() / 255, semantic_features, return_details=True)


def test_authors_checkpoint_gives_the_authors_scores(details, golden):
    assert details.score.shape == (3, 1)
    np.testing.assert_allclose(details.score[:, 0], golden["score"], rtol=0, atol=1e-4)


def test_authors_checkpoint_gives_the_authors_gate_in_their_order(details, golden):
    np.testing.assert_allclose(details.gate, golden["alpha"], rtol=0, atol=1e-4)


def test_authors_checkpoint_gives_the_authors_quality_feature(details, golden):
    # Values reach 6.9, and the recorded float32 values themselves lie 2e-4 from a float64 evaluation of the same
    # weights, so no processor is held to less.
    assert details.quality_feature.shape == (3, 784)
    np.testing.assert_allclose(details.quality_feature[:, :16], golden["f1"], rtol=1e-4, atol=2e-4)


def test_authors_checkpoint_fills_the_network_and_leaves_out_what_it_never_uses(official_net, shapes):
    converted = convert_official({name: torch.empty(shape, device="meta") for name, shape in shapes.items()})
    own = {name: parameter.shape for name, parameter in official_net.named_parameters()}
    assert {name: tensor.shape for name, tensor in converted.items()} == own
    published = sum(np.prod(shape, dtype=int) for name, shape in shapes.items() if not name.endswith(COMPUTED_BUFFERS))
    assert published - sum(shape.numel() for shape in own.values()) == 43_311_227


def test_squash_of_the_images_is_the_recorded_input_to_one_level(golden, recorded_input):
    for name, expected in zip(golden["images"], recorded_input, strict=True):
        x = to_tensor(Image.open(SAMPLE / "images" / name).convert("RGB")).unsqueeze(0)
        difference = (squash(x, 224)[0] * 255).round().int() - expected.int()
        assert difference.abs().max() <= 1


@pytest.fixture
def other_net(tiny_net):
    return tiny_net(seed=7)


def write_pyiqa(state_dict, folder):
    torch.save({"params": state_dict}, folder / "net_best.pth")
    return folder / "net_best.pth"


def write_safetensors(state_dict, folder):
    save_checkpoint(state_dict, folder / "net.safetensors", {"source": "a test"})
    return folder / "net.safetensors"


def write_parallel(state_dict, folder):
    torch.save({f"module.{name}": tensor for name, tensor in state_dict.items()}, folder / "net.pt")
    return folder / "net.pt"


def write_misnamed(state_dict, folder):
    return write_safetensors(state_dict, folder).rename(folder / "net.pth")


@pytest.mark.parametrize("write", [write_pyiqa, write_safetensors, write_parallel, write_misnamed])
def test_a_checkpoint_gives_identical_outputs_whatever_its_format(
    write, other_net, tiny_net, images, features, tmp_path
):
    path = write(other_net.state_dict(), tmp_path)
    loaded = tiny_net(seed=1, pretrained_model_path=path)
    with torch.no_grad():
        expected = other_net(images, features(), return_details=True)
        for ours, theirs in zip(loaded(images, features(), return_details=True), expected, strict=True):
            assert torch.equal(ours, theirs)


def levels_from_opencv(pixels):
    """Largest difference, in 8-bit levels, between squash and what the authors call, of an (H, W, 3) uint8 image."""
    expected = cv2.resize(pixels, (224, 224), interpolation=cv2.INTER_CUBIC).astype(int)
    ours = squash(torch.from_numpy(pixels).permute(2, 0, 1).unsqueeze(0) / 255, 224)[0]
    return np.abs((ours * 255).round().int().permute(1, 2, 0).numpy() - expected).max()


def test_squash_is_opencv_to_one_level_on_real_images(image_paths):
    for path in image_paths:
        assert levels_from_opencv(np.array(Image.open(path).convert("RGB"))) <= 1


@settings(max_examples=60, deadline=None)
@given(height=st.integers(8, 300), width=st.integers(8, 300), seed=st.integers(0, 2**32 - 1))
def test_squash_is_opencv_to_one_level_on_noise_of_any_size(height, width, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert levels_from_opencv(noise) <= 1


def test_squash_leaves_an_image_of_the_right_size_untouched():
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(squash(x, 64), x)


def test_squash_passes_gradients_through_the_rounding():
    x = torch.rand(1, 3, 32, 48, generator=torch.Generator().manual_seed(0)).requires_grad_()
    squash(x, 16).sum().backward()
    assert x.grad.abs().sum() > 0
