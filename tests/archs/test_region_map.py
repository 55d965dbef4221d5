"""Scores of a picture's regions: whose statistics they are, and that damage lowers them where it is."""

import pytest
import torch
from PIL import Image, ImageFilter
from torchvision.transforms.functional import pil_to_tensor

from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from maagiqa_pyiqa.archs.native_branch import over_all
from maagiqa_pyiqa.archs.region_map import has_regions, map_regions, region_statistics
from tests.helpers.native_networks import native_network
from tests.helpers.places import SAMPLE


@pytest.fixture(scope="module")
def net():
    return native_network()


def test_a_picture_of_one_window_has_one_region_with_its_own_statistics_and_score(net):
    x = torch.rand(1, 3, 128, 128)
    branch = net.quality_branch
    with torch.no_grad():
        own = over_all([branch.backbone((x - branch.mean) / branch.std)])
        regions = region_statistics(branch, x)
        assert regions.shape[:2] == (1, 1)
        torch.testing.assert_close(regions[0, 0], own[0], rtol=1e-3, atol=1e-3)
        assert map_regions(net, x).scores.item() == pytest.approx(net(x).item(), abs=1e-4)


@pytest.mark.parametrize(("size", "shape"), [((128, 192), (1, 2)), ((300, 200), (4, 3)), ((40, 500), (1, 7))])
def test_regions_cover_pictures_of_any_size_and_their_mean_is_the_score(net, size, shape):
    x = torch.rand(1, 3, *size)
    regions = map_regions(net, x)
    assert regions.scores.shape == shape
    assert regions.scores.isfinite().all()
    assert regions.window == tuple(min(1, 128 / length) for length in size)
    assert regions.score == pytest.approx(net(x).item(), abs=1e-4)
    assert regions.scores.mean().item() == pytest.approx(regions.score, abs=1e-4)


def test_what_cannot_be_mapped_is_refused(net):
    assert has_regions(net)
    assert not has_regions(MAAGIQA(preset="lite-2026a", semantics=None))
    with pytest.raises(TypeError, match="branch 'native'"):
        map_regions(torch.nn.Identity(), torch.rand(1, 3, 64, 64))
    with pytest.raises(ValueError, match="a picture at a time"):
        map_regions(net, torch.rand(2, 3, 64, 64))


def test_the_packaged_network_finds_the_blurred_side_in_most_pictures():
    net, found = MAAGIQA(pretrained="lite").eval(), []
    for path in sorted((SAMPLE / "images").iterdir()):
        picture = Image.open(path).convert("RGB").crop((64, 64, 448, 320))
        blurred, right = picture.copy(), (192, 0, 384, 256)
        blurred.paste(picture.filter(ImageFilter.GaussianBlur(3)).crop(right), right)
        before, after = (map_regions(net, pil_to_tensor(one)[None] / 255).scores for one in (picture, blurred))
        change = (after - before).mean(0)  # (5,), from left to right
        found.append(bool(change[-2:].mean() < change[:2].mean()))
    assert len(found) == 12
    assert sum(found) >= 9  # pictures of AttnGAN and GLIDE are blurred already
