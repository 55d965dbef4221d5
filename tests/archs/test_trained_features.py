"""A network knows whose features it was trained on, through every kind of checkpoint."""

from types import MappingProxyType

import pytest
import torch

from maagiqa_pyiqa.archs.checkpoints.read import save_checkpoint
from maagiqa_pyiqa.archs.trained_features import KEY, TrainedFeatures, read_trained_features
from maagiqa_pyiqa.semantics.extractor import create_extractor
from maagiqa_pyiqa.weights import packaged_weights

MADE = TrainedFeatures("f" * 64, "made-up")


@pytest.fixture(params=["safetensors", "pyiqa"])
def path(request, tmp_path, tiny_net):
    state_dict, target = tiny_net().state_dict(), tmp_path / "net"
    if request.param == "safetensors":
        save_checkpoint(state_dict, target, {"source": "a test", **MADE.metadata})
    else:
        torch.save({"params": state_dict, KEY: vars(MADE)}, target)
    return target


def test_a_checkpoint_says_whose_features_it_knows(path):
    assert read_trained_features(path) == MADE


def test_a_checkpoint_may_say_nothing(tmp_path, tiny_net):
    torch.save({"params": tiny_net().state_dict()}, tmp_path / "net.pth")
    assert read_trained_features(tmp_path / "net.pth") is None
    assert tiny_net(pretrained_model_path=tmp_path / "net.pth").trained_features is None


def test_the_packaged_weights_know_the_packaged_extractor():
    assert read_trained_features(packaged_weights("lite-2026a")) == TrainedFeatures.of(create_extractor("visual"))


def test_other_features_of_the_same_shape_are_refused_before_any_work(path, tiny_net, images):
    class Other:
        prompts, feature_dim, fingerprint = ("a", "b"), 24, "0" * 64
        fingerprint_parts = MappingProxyType({"extractor": "other"})

        def extract(self, images):
            raise AssertionError("features of another extractor were made")

    net = tiny_net(pretrained_model_path=path, semantics=Other())
    message = r"trained on features of 'made-up' \(fingerprint ffffffffffff\), and the semantic extractor is 'other'"
    with pytest.raises(ValueError, match=message):
        net(images)
