"""Fixtures that many tests share: real images, small networks, and all of AGIQA-3k where it is at hand."""

import itertools
import os
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas
import pytest
import torch
from hypothesis import settings
from PIL import Image
from torchvision.transforms.functional import to_tensor

from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from tests.helpers.mplug_owl2_models import random_picture
from tests.helpers.places import GOLDEN, ROOT, SAMPLE, TINY_MPLUG_OWL2

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
def agiqa3k() -> Path:
    """All 2,982 images and ``data.csv``: in ``shared`` beside the repository, or where MAAGIQA_SHARED says."""
    folder = Path(os.environ.get("MAAGIQA_SHARED", ROOT.parent / "shared")) / "data" / "AGIQA-3K"
    if not folder.is_dir():
        pytest.skip("needs all images of AGIQA-3k, as data/AGIQA-3K in a folder that MAAGIQA_SHARED names")
    return folder


@pytest.fixture(scope="session")
def prompt_ids() -> dict[str, list[str]]:
    """Whole data sets as their prompts are shared between rows: a number for each prompt, in the order of the CSV."""
    with np.load(GOLDEN / "prompt_ids.npz") as recorded:
        return {name: [str(number) for number in recorded[name]] for name in recorded.files}


@pytest.fixture(scope="session")
def image_paths() -> list[Path]:
    """Four real images of four generators."""
    names = ("AttnGAN_normal_040", "DALLE2_normal_010", "midjourney_normal_010", "sd1.5_lowcorr_065")
    return [SAMPLE / "images" / f"{name}.jpg" for name in names]


@pytest.fixture(scope="session")
def quarters(tmp_path_factory) -> Path:
    """A data set of 48 images, as AGIQA-3k lies on disk: the quarters of twelve of its images, with their rows."""
    folder = tmp_path_factory.mktemp("quarters")
    (folder / "images").mkdir()
    rows = []
    for row in pandas.read_csv(SAMPLE / "data.csv").to_dict("records"):
        image = Image.open(SAMPLE / "images" / row["name"])
        for left, top in itertools.product((0, 256), repeat=2):
            name = f"{row['name'].removesuffix('.jpg')}_{left}_{top}.png"
            image.crop((left, top, left + 256, top + 256)).save(folder / "images" / name)
            rows.append({**row, "name": name})
    pandas.DataFrame(rows).to_csv(folder / "data.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def browser():
    """Chromium, for tests marked as ``needs_chromium``."""
    from tests.helpers.browser import launched

    with launched() as browser:
        yield browser


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
def checkpoint() -> Path:
    """Directory of the recorded small mPLUG-Owl2; to be read only."""
    return TINY_MPLUG_OWL2


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
