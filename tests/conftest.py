"""Fixtures: real data (tests that need it are skipped where it is absent), real images, small networks."""

import os
from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from hypothesis import settings
from PIL import Image
from torchvision.transforms.functional import to_tensor

from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from tests.helpers.mplug_owl2_models import random_picture, write_model

# a busy machine is no failure
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

TINY = {
    "backbone": "resnet18",
    "taps": [1, 2, 3],
    "input_size": 64,
    "embed_dim": 16,
    "num_tab": 1,
    "num_heads": [2, 2],
    "window_size": 2,
    "dim_mlp": 16,
    "feature_dim": 24,
    "hidden_dim": 16,
}


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of recorded values and real data, beside the repository unless MAAGIQA_SHARED names another."""
    folder = Path(os.environ.get("MAAGIQA_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip("no recorded values and real data: no 'shared' beside the repository or at MAAGIQA_SHARED")
    return folder


@pytest.fixture(scope="session")
def agiqa3k(shared) -> Path:
    """AGIQA-3K: ``images/`` and ``data.csv``."""
    folder = shared / "data" / "AGIQA-3K"
    if not folder.is_dir():
        pytest.skip(f"no AGIQA-3K in '{shared.name}'")
    return folder


@pytest.fixture(scope="session")
def image_paths(agiqa3k) -> list[Path]:
    """Four real images of four generators."""
    names = ("AttnGAN_normal_040", "DALLE2_normal_010", "midjourney_normal_010", "sd1.5_lowcorr_065")
    return [agiqa3k / "images" / f"{name}.jpg" for name in names]


@pytest.fixture(scope="session")
def _crops(image_paths) -> torch.Tensor:
    return torch.stack([to_tensor(Image.open(path).convert("RGB"))[:, 200:296, 160:288] for path in image_paths])


@pytest.fixture
def images(_crops) -> torch.Tensor:
    """Crops of four real images, (4, 3, 96, 128) in [0, 1]."""
    return _crops.clone()


@pytest.fixture(scope="session")
def tiny_options() -> MappingProxyType:
    """Options of a small network, as an option file would hold them."""
    return MappingProxyType(TINY)


@pytest.fixture
def tiny_net(tiny_options):
    """Make a small network in eval mode, the same one for the same options; options are those of MAAGIQA."""

    def make(seed=0, **options):
        torch.manual_seed(seed)
        net = MAAGIQA(**{**tiny_options, **options}).eval()
        _enliven(net)
        return net

    return make


def _enliven(net: MAAGIQA) -> None:
    """Undo what makes parts of a fresh network inert: residual norms of zero, patch scores below their ReLU."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.fill_(1.0)
    if net.quality_branch is not None:
        net.quality_branch.fc_score[-2].bias.data.fill_(1.0)


@pytest.fixture
def features():
    """Make semantic features (N, E, D) as unit noise."""

    def make(n=4, prompts=2, dim=TINY["feature_dim"]):
        return torch.randn(n, prompts, dim, generator=torch.Generator().manual_seed(n))

    return make


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """Directory of a small mPLUG-Owl2 with random weights; to be read only."""
    return write_model(tmp_path_factory.mktemp("mplug-owl2"))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> list[Path]:
    """Seven pictures of different shapes, modes and formats."""
    folder = tmp_path_factory.mktemp("pictures")
    kinds = {
        "wide.png": (90, 40, "RGB"),
        "tall.png": (40, 90, "RGB"),
        "square.jpg": (60, 60, "RGB"),
        "gray.png": (30, 70, "L"),
        "alpha.png": (33, 47, "RGBA"),
        "palette.gif": (64, 31, "P"),
        "line.webp": (80, 1, "RGB"),
    }
    for seed, (name, (width, height, mode)) in enumerate(kinds.items()):
        random_picture(width, height, seed, mode).save(folder / name)
    return [folder / name for name in kinds]
