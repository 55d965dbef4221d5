"""Peers train by the same engine, split and budget as MAAGIQA; the plain regressor is a metric like any other."""

from pathlib import Path

import pyiqa
import pytest
import torch
import yaml

from maagiqa_pyiqa.archs.timm_regressor_arch import TimmRegressor
from maagiqa_pyiqa.models.maagiqa_model import check_option_sections

OPTIONS = Path(__file__).parent.parent / "options"
PAPER_PEERS = ("hyperiqa", "maniqa", "dbcnn", "musiq")


def load(name):
    return yaml.safe_load((OPTIONS / f"{name}.yml").read_text())


def without_features(section):
    """A section of maagiqa_3k.yml as it would be without the feature cache around it."""
    return {key: value for key, value in {**section, **section["base"]}.items() if key not in ("cache", "base")}


@pytest.mark.parametrize("peer", PAPER_PEERS)
def test_peers_of_the_paper_share_split_augmentation_and_budget(peer):
    ours, option = load("maagiqa_3k"), load(f"peer_{peer}_3k")
    check_option_sections(option)
    assert option["train"] == ours["train"]
    assert option["val"] == ours["val"]
    for part, section in ours["datasets"].items():
        assert option["datasets"][part] == without_features(section)
    assert option["test"] == without_features(ours["test"])


def test_the_plain_regressor_shares_split_augmentation_and_budget_with_lite():
    ours, option = load("maagiqa_lite_3k"), load("peer_timm_regressor_3k")
    check_option_sections(option)
    assert (option["datasets"], option["test"], option["val"]) == (ours["datasets"], ours["test"], ours["val"])
    assert {key: value for key, value in option["train"].items() if key != "freeze"} == {
        key: value for key, value in ours["train"].items() if key != "freeze"
    }


@pytest.fixture
def checkpoint_of_regressor(tmp_path):
    torch.manual_seed(0)
    net = TimmRegressor("tf_efficientnet_lite0", 384, "cubic-antialias")
    torch.save({"params": net.state_dict()}, tmp_path / "net_best.pth")
    return net.eval(), tmp_path / "net_best.pth"


def test_a_trained_regressor_is_a_metric(checkpoint_of_regressor):
    net, path = checkpoint_of_regressor
    metric = pyiqa.create_metric("timm-regressor", pretrained_model_path=str(path), device=torch.device("cpu"))
    x = torch.rand(2, 3, 70, 90, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = net(x)
    assert expected.shape == (2, 1)
    torch.testing.assert_close(metric(x), expected)
    torch.testing.assert_close(metric(x[1:]), expected[1:], rtol=0, atol=1e-5)


def test_without_a_checkpoint_it_says_how_to_train_one():
    with pytest.raises(ValueError, match=r"timm-regressor has no published weights: train it \(options/peer_timm"):
        pyiqa.create_metric("timm-regressor", device=torch.device("cpu"))


def test_gradients_reach_every_parameter():
    net = TimmRegressor("resnet18", 32)
    net(torch.rand(2, 3, 40, 40)).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
