"""What makes two runs of a metric the same, and what makes them differ."""

import numpy as np
import pyiqa
import pytest
import torch
from torch import nn

from maagiqa_pyiqa.metrics.identity import count_parameters, digest_of_everything, identify, readable
from maagiqa_pyiqa.semantics.extractor import create_extractor


def create(name, **options):
    return pyiqa.create_metric(name, device=torch.device("cpu"), **options)


def identity(name, **options):
    return identify(create(name, **options), name, options)


@pytest.fixture
def brisque_weights(monkeypatch, tmp_path):
    """Write random weights of brisque where pyiqa looks for them."""
    monkeypatch.setattr("pyiqa.utils.download_util.DEFAULT_CACHE_DIR", str(tmp_path))

    def write(seed):
        generator = torch.Generator().manual_seed(seed)
        weights = (torch.rand(5, 1, generator=generator), torch.rand(5, 36, generator=generator))
        torch.save(weights, tmp_path / "brisque_svm_weights.pth")

    return write


def test_weights_outside_the_state_dict_are_part_of_the_identity(brisque_weights):
    digests = []
    for seed in (0, 0, 1):
        brisque_weights(seed)
        digests.append(digest_of_everything(create("brisque")))
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]
    assert digest_of_everything(create("piqe")) is None


def test_the_large_model_of_one_align_is_part_of_the_identity(tmp_path):
    identities = []
    for content in ("one", "another"):
        (tmp_path / "config.json").write_text(content)
        identities.append(identity("one-align", source=str(tmp_path)))
    assert identities[0].key != identities[1].key
    assert identities[0].large_model != identities[1].large_model


@pytest.mark.parametrize("backend", ["mplug-owl2", "transformers"])
def test_the_large_model_behind_semantic_features_is_part_of_the_identity(tmp_path, backend):
    keys = []
    for content in ("one", "another"):
        (tmp_path / "config.json").write_text(content)
        keys.append(identity("maagiqa-lite-2026a", semantics=f"{backend}:{tmp_path}").key)
    assert keys[0] != keys[1]


def test_an_extractor_says_whose_features_they_are(tmp_path):
    visual = create_extractor("visual")
    assert identity("maagiqa-lite-2026a").large_model == visual.fingerprint
    assert identity("maagiqa-lite-2026a", semantics=visual).large_model == visual.fingerprint
    assert identity("maagiqa-lite").large_model is None
    assert identity("piqe").large_model is None


def test_a_metric_that_has_scored_tells_the_same_large_model(tmp_path):
    metric = create("maagiqa-lite")
    before = identify(metric, "maagiqa-lite", {}).large_model
    metric(torch.rand(1, 3, 64, 64))
    assert identify(metric, "maagiqa-lite", {}).large_model == before


class Foreign(nn.Module):
    """A network of somebody else's with a large model beside it."""

    def __init__(self, fingerprint):
        super().__init__()
        self.fingerprint = fingerprint

    def large_model_fingerprint(self):
        return self.fingerprint


def test_any_network_can_tell_its_large_model():
    metrics = [identify(Foreign(model), None, {"type": "Foreign"}) for model in ("a", "b")]
    assert [metric.large_model for metric in metrics] == ["a", "b"]
    assert metrics[0].key != metrics[1].key


def test_options_are_part_of_the_identity_and_the_place_of_a_checkpoint_is_not(tmp_path):
    net = create("piqe")
    assert identify(net, "piqe", {}).key != identify(net, "piqe", {"x": 1}).key
    assert identify(net, "piqe", {"pretrained_model_path": "a"}).key == identify(net, "piqe", {}).key
    assert identify(net, "piqe", {}).key != identify(net, "entropy", {}).key


def test_options_are_told_as_json_can_hold_them():
    class Extractor:
        fingerprint = "abc"

    options = {"a": (1, 2.5, None), 3: [True, Extractor()], "path": np.float32(0.5)}
    assert readable(options) == {"a": [1, 2.5, None], "3": [True, "abc"], "path": "0.5"}


def test_parameters_of_the_large_model_are_counted_once_it_is_loaded():
    metric = create("maagiqa-lite-2026a")
    alone = count_parameters(metric)
    assert alone == sum(p.numel() for p in metric.net.parameters())
    metric(torch.rand(1, 3, 64, 64))
    assert count_parameters(metric) > alone
