"""Peers train by the same engine, split and budget as MAAGIQA; the plain regressor is a metric like any other."""

import pyiqa
import pytest
import timm
import torch
import torchvision
import yaml
from pyiqa.archs.musiq_arch import MUSIQ

from maagiqa_pyiqa.archs import trainable_musiq_arch
from maagiqa_pyiqa.archs.timm_regressor_arch import TimmRegressor
from maagiqa_pyiqa.archs.trainable_musiq_arch import TrainableMUSIQ
from maagiqa_pyiqa.leaderboard.entrants import parse_entrant
from maagiqa_pyiqa.models.maagiqa_model import MAAGIQAModel
from maagiqa_pyiqa.models.train_options import check_option_sections
from tests.helpers.places import ROOT

OPTIONS = ROOT / "options"
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


@pytest.fixture
def no_downloads(monkeypatch):
    """Backbones and parts that pyiqa would fetch start from random weights."""
    create, vgg16 = timm.create_model, torchvision.models.vgg16
    monkeypatch.setattr(timm, "create_model", lambda *a, pretrained=False, **k: create(*a, pretrained=False, **k))
    monkeypatch.setattr(torchvision.models, "vgg16", lambda **_: vgg16())
    monkeypatch.setattr("pyiqa.archs.dbcnn_arch.load_pretrained_network", lambda *_, **__: None)


@pytest.mark.parametrize("peer", PAPER_PEERS)
@pytest.mark.usefixtures("no_downloads")
def test_peers_of_the_paper_learn_from_images(peer, tmp_path):
    option = load(f"peer_{peer}_3k")
    option |= {"num_gpu": 0, "dist": False, "is_train": True, "datasets": {}, "test": None}
    option["path"] = {"pretrain_network": None, "experiments_root": str(tmp_path)}
    option["network"]["pretrained"] = False
    option["train"]["total_iter"] = 2
    torch.manual_seed(0)
    model = MAAGIQAModel(option)
    model.feed_data({"img": torch.rand(2, 3, 224, 224), "mos_label": torch.tensor([[1.0], [4.0]])})
    first = next(parameter for parameter in model.net.parameters() if parameter.dim() > 1)
    before = first.detach().clone()
    model.optimize_parameters(1)
    assert not torch.equal(first, before)  # the whole network learns, not its last layer alone
    model.net.eval()
    with torch.no_grad():
        assert model.net_forward(model.net).shape == (2, 1)


def test_musiq_starts_from_imagenet_but_for_its_last_layer(tmp_path, monkeypatch):
    weights = {name: torch.full_like(value, 0.5) for name, value in MUSIQ(pretrained=False).state_dict().items()}
    torch.save({**weights, "head.weight": torch.ones(1000, 384), "head.bias": torch.ones(1000)}, tmp_path / "i.pth")
    monkeypatch.setattr(trainable_musiq_arch, "load_file_from_url", lambda _: str(tmp_path / "i.pth"))
    net = TrainableMUSIQ()
    assert (net.conv_root.weight == 0.5).all()
    assert net.head.weight.shape == (1, 384)
    torch.save({name: value for name, value in weights.items() if "embedding" not in name}, tmp_path / "i.pth")
    with pytest.raises(ValueError, match=r"ImageNet weights lack .* tensors, such as"):
        TrainableMUSIQ()


def test_a_trained_musiq_is_pyiqas(no_downloads):
    net, metric = TrainableMUSIQ(pretrained=False).eval(), MUSIQ(pretrained=False).eval()
    metric.load_state_dict(net.state_dict())
    x = torch.rand(1, 3, 224, 300)
    with torch.no_grad():
        torch.testing.assert_close(net(x), metric(x))


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


def test_a_trained_regressor_takes_part_in_the_leaderboard(checkpoint_of_regressor):
    net, path = checkpoint_of_regressor
    entrant = parse_entrant(f"peer=timm-regressor={path}")
    metric = entrant.source.create("cpu")
    x = torch.rand(2, 3, 70, 90, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = net(x)
        assert expected.shape == (2, 1)
        torch.testing.assert_close(metric(x), expected)
        torch.testing.assert_close(metric(x[1:]), expected[1:], rtol=0, atol=1e-5)
    assert (entrant.name, entrant.kind, entrant.lower_better) == ("peer", "checkpoint", False)


def test_without_a_checkpoint_it_says_how_to_train_one_and_pyiqa_does_not_list_it():
    assert "timm-regressor" not in pyiqa.list_models()
    with pytest.raises(ValueError, match=r"nobody publishes weights of timm-regressor; train it \(maagiqa train"):
        parse_entrant("timm-regressor")


def test_gradients_reach_every_parameter():
    net = TimmRegressor("resnet18", 32)
    net(torch.rand(2, 3, 40, 40)).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
