"""The quality branch at native resolution: any size, each image by itself, the same function as the plain network."""

import copy
import pickle

import numpy as np
import pytest
import timm
import torch
from torch import nn

from maagiqa_pyiqa.archs.checkpoints.read import load_checkpoint
from maagiqa_pyiqa.archs.folded_norms import fold_norms
from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA, Details
from maagiqa_pyiqa.archs.native_branch import (
    VARIANCE_FLOOR,
    MapStatistics,
    StageStatistics,
    Standardisation,
    mean_and_variance,
    over_all,
    stage_weights,
)
from maagiqa_pyiqa.archs.native_experts import EXPERTS
from maagiqa_pyiqa.images.tensors import reduce_to
from maagiqa_pyiqa.models.parameters import freeze
from maagiqa_pyiqa.support.option_files import read_option_file
from tests.helpers.native_networks import OPTIONS, native_network, with_living_norms

BACKBONE = "tf_efficientnet_lite0"


@pytest.fixture
def net():
    """Makes a network in eval mode with random weights, standardised on noise."""
    return native_network


# any size


@pytest.mark.parametrize("size", [(96, 128), (128, 96), (33, 47), (512, 40), (5, 9), (1, 1)], ids=str)
def test_images_of_any_size_are_scored_each_by_itself(net, size):
    x = torch.rand(3, 3, *size, generator=torch.Generator().manual_seed(0))
    net = net()
    with torch.no_grad():
        together, alone = net(x), torch.cat([net(image[None]) for image in x])
    assert together.shape == (3, 1)
    assert together.isfinite().all()
    assert together.std() > 1e-4
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_pixels_are_seen_as_they_are(net, images):
    """A pattern of single pixels, which squashing hides, changes the score where the mean of all stays."""
    checks = (torch.arange(images.shape[-2])[:, None] + torch.arange(images.shape[-1])) % 2 - 0.5
    x = images * 0.8 + 0.1
    with torch.no_grad():
        assert (net()(x + 0.1 * checks) - net()(x)).abs().min() > 1e-3


def test_flat_image_has_a_finite_score_and_gradient(net):
    x = torch.full((1, 3, 64, 64), 0.5, requires_grad=True)
    score = net()(x)
    score.sum().backward()
    assert score.isfinite().all()
    assert x.grad.isfinite().all()


def test_large_images_are_seen_whole_and_close_by(net):
    """Damage to single pixels of a large image, which its reduced whole does not show, changes the score."""
    torch.manual_seed(0)
    x = torch.nn.functional.interpolate(torch.rand(1, 3, 32, 32), (700, 700), mode="bilinear") * 0.8 + 0.1
    checks = ((torch.arange(700)[:, None] + torch.arange(700)) % 2 - 0.5) * 0.1
    net = net()
    with torch.no_grad():
        whole = net.quality_branch._of_one_size(reduce_to(x, 512 * 512)).semantic_features
        torch.testing.assert_close(net.quality_branch(x).semantic_features, whole)
        assert (net(x + checks) - net(x)).abs() > 1e-3
        assert (net(x) - net(reduce_to(x, 512 * 512))).abs() > 1e-5


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_an_image_enlarged_by_copying_pixels_has_the_score_of_the_image_before(net, factor):
    x = torch.rand(2, 3, 130, 140, generator=torch.Generator().manual_seed(0))
    enlarged = x.repeat_interleave(factor, -1).repeat_interleave(factor, -2)
    net = net()
    with torch.no_grad():
        assert torch.equal(net(enlarged), net(x))
        mixed = torch.cat([enlarged[:1], torch.rand_like(enlarged[1:])])
        torch.testing.assert_close(net(mixed)[0], net(x)[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(net(mixed)[1:], net(mixed[1:]), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((100, 200), (70, 141)),
        ((200, 100), (141, 70)),
        ((100, 100), (100, 100)),
        ((101, 100), (100, 99)),
        ((1, 20_000), (1, 10_000)),
        ((20_000, 1), (10_000, 1)),
    ],
)
def test_reduced_images_keep_their_shape_within_the_budget(size, expected):
    reduced = reduce_to(torch.rand(1, 3, *size), 10_000)
    assert reduced.shape[-2:] == expected
    assert (reduced * 255 - (reduced * 255).round()).abs().max() < 1e-3 or size == (100, 100)


def test_a_glance_sees_the_whole_picture_at_one_size_whatever_its_own(net):
    """What it sees of a picture stays when the picture is enlarged, and so do the semantic features."""
    torch.manual_seed(0)
    x = torch.nn.functional.interpolate(torch.rand(2, 3, 16, 16), (256, 256), mode="bilinear", antialias=True)
    larger = torch.nn.functional.interpolate(x, (400, 400), mode="bilinear")
    branch = net(glance_backbone=BACKBONE).quality_branch
    with torch.no_grad():
        (_, glance), (_, of_larger) = branch.look(x), branch.look(larger)
        own = branch(x)
    assert glance.last_map.shape[-2:] == (8, 8)
    change = (of_larger.statistics - glance.statistics).abs().mean()
    assert change < 0.1 * (glance.statistics[0] - glance.statistics[1]).abs().mean()
    assert own.feature.shape == (2, 32)
    torch.testing.assert_close(own.semantic_features, branch.experts(glance.last_map))


def test_with_a_glance_each_image_is_still_scored_by_itself(net):
    net = net(glance_backbone=BACKBONE)
    x = torch.rand(3, 3, 90, 200, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(net(x), torch.cat([net(image[None]) for image in x]), rtol=0, atol=1e-5)


# the same function


@pytest.mark.parametrize("backbone", [BACKBONE, "resnet18", "mobilenetv3_small_050"])
def test_statistics_are_those_of_the_plain_networks_maps(backbone, images):
    torch.manual_seed(0)
    ours = with_living_norms(StageStatistics(backbone, (1, -1))).eval()
    plain = timm.create_model(backbone, num_classes=0).eval()
    plain.load_state_dict(ours.model.state_dict())
    with torch.no_grad():
        last, maps = plain.forward_intermediates(images, indices=[1, -1])
        mean, variance, last_map = ours(images)
    assert mean.shape == variance.shape == (4, sum(ours.channels))
    for statistic, expected in ((mean, np.mean), (variance, np.var)):
        values = np.concatenate([expected(m.numpy(), (2, 3)) for m in (*maps, last)], 1)
        np.testing.assert_allclose(statistic, values, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(last_map, maps[-1], rtol=1e-4, atol=1e-4)


def test_variance_is_that_of_positions_whatever_the_precision_of_the_maps():
    x = torch.randn(2, 5, 7, 9, generator=torch.Generator().manual_seed(0)) * 3 + 1
    mean, variance = mean_and_variance(x.bfloat16())
    assert mean.dtype == variance.dtype == torch.float32
    torch.testing.assert_close(mean, x.mean((2, 3)), rtol=0.01, atol=0.01)
    torch.testing.assert_close(variance, x.var((2, 3), correction=0), rtol=0.01, atol=0.01)


def test_statistics_of_tiles_are_those_of_all_their_positions():
    maps = torch.randn(3, 2, 5, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 + 1  # (tiles, N, C, h, w)
    tiles = [MapStatistics(*mean_and_variance(tile), tile) for tile in maps]
    together = maps.permute(1, 2, 0, 3, 4).flatten(2)
    expected = torch.cat([together.mean(-1), (together.var(-1, correction=0) + VARIANCE_FLOOR).log() / 2], 1)
    torch.testing.assert_close(over_all(tiles), expected)


def test_folded_norms_get_the_gradients_of_norms_that_keep_their_statistics(images):
    torch.manual_seed(0)
    plain = with_living_norms(timm.create_model(BACKBONE, num_classes=0)).eval()
    folded = copy.deepcopy(plain)
    fold_norms(folded)
    folded.train()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    before = copy.deepcopy(folded.state_dict())
    for model in (plain, folded):
        model.double()(images.double()).square().sum().backward()
    expected = {name: parameter.grad for name, parameter in plain.named_parameters()}
    assert expected.keys() == dict(folded.named_parameters()).keys()
    for name, parameter in folded.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], msg=name)
    assert all(torch.equal(folded.float().state_dict()[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_score_alike_and_share_nothing(net, images, duplicate):
    net = net()
    twin = duplicate(net)
    with torch.no_grad():
        assert torch.equal(net(images), twin(images))
        twin.quality_branch.backbone.model.bn1.bias += 1
        assert not torch.equal(net(images), twin(images))


# standardisation


def test_standardisation_learns_from_the_first_images_of_a_training_and_then_stays():
    values = torch.randn(5, 10, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 5.0, 0.1]) + 7
    layer = Standardisation(3, images=30)
    for batch in values:
        layer.train()(batch)
    seen = values[:3].flatten(0, 1)
    torch.testing.assert_close(layer.mean, seen.mean(0))
    torch.testing.assert_close(layer.variance, seen.var(0, correction=0))
    expected = (values[4] - layer.mean) / (layer.variance + VARIANCE_FLOOR).sqrt()
    torch.testing.assert_close(layer.eval()(values[4]), expected)
    assert layer(torch.full((1, 3), 1e6)).max() == 8.0


def test_scoring_teaches_it_nothing(net, images):
    net = net()
    before = copy.deepcopy(net.state_dict())
    with torch.no_grad():
        net(images)
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in before.items())


def test_training_goes_on_from_its_state_as_if_nothing_had_happened(images):
    torch.manual_seed(0)
    net = MAAGIQA(**OPTIONS, drop=0.0).train()
    net(images)
    resumed = MAAGIQA(**OPTIONS, drop=0.0).train()
    resumed.load_state_dict(net.state_dict())
    assert torch.equal(net(images.flip(0) / 2), resumed(images.flip(0) / 2))
    assert net.quality_branch.standardisation.seen == resumed.quality_branch.standardisation.seen == 8


# weights of stages


@pytest.mark.parametrize("channels", [[16, 24, 1280], [3], [5, 5]])
def test_stages_weigh_alike_whatever_their_channels(channels):
    weights = stage_weights(channels)
    means, deviations = weights.chunk(2)
    assert torch.equal(means, deviations)
    totals = [stage.square().sum().item() for stage in means.split(channels)]
    assert totals == pytest.approx([sum(channels) / len(channels)] * len(channels))


def test_weights_trained_with_balanced_stages_are_refused_by_a_network_without(tmp_path, net):
    torch.save({"params": net(balanced=True).state_dict()}, tmp_path / "balanced.pth")
    with pytest.raises(ValueError, match=r"Unexpected: quality_branch\.stage_weights"):
        load_checkpoint(net(), tmp_path / "balanced.pth")


# in MA-AGIQA


def test_every_parameter_of_the_preset_gets_a_gradient(images):
    torch.manual_seed(0)
    net = MAAGIQA(**OPTIONS).train()
    net(images).square().sum().backward()
    without = {name.rsplit(".", 1)[0] for name, parameter in net.named_parameters() if parameter.grad is None}
    answers = {f"quality_branch.experts.{name}.answer" for name in EXPERTS}
    assert without == answers  # which experts are trained by, not scores


def test_gradients_reach_the_image(net, images):
    x = images.requires_grad_()
    net()(x).sum().backward()
    assert (x.grad.abs().flatten(1).sum(1) > 0).all()


def test_experts_give_the_semantic_features_unless_others_are_given(net, images, features):
    net = net(feature_dim=24)
    with torch.no_grad():
        own = net.quality_branch(images).semantic_features
        details = net(images, return_details=True)
        torch.testing.assert_close(net(images, own), details.score)
        assert not torch.allclose(net(images, features()), details.score)
    assert isinstance(details, Details)
    assert own.shape == (4, 2, 24)
    assert details.gate.shape == (4, 3)
    assert details.quality_feature.shape == (4, 16)


def test_without_experts_an_extractors_features_are_mixed_in(net, images, features):
    mixed = net(semantic_experts=False, feature_dim=24, num_prompts=0), net(num_prompts=2, feature_dim=24)
    assert mixed[0].quality_branch.experts is None
    with torch.no_grad():
        assert mixed[1](images, features()).isfinite().all()
        with pytest.raises(ValueError, match="num_prompts 0"):
            mixed[0](images, features())


def test_compiled_network_gives_the_same_scores(net, images):
    torch.compiler.reset()
    net = net()
    with torch.no_grad():
        compiled = torch.compile(net, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(images), net(images))


# its option file


@pytest.fixture
def recipe():
    """The option file's network as it is trained, from random weights, and its options."""
    option = read_option_file("maagiqa_lite_native_3k")
    option["network"].pop("backbone_weights")
    torch.manual_seed(0)
    net = MAAGIQA(**{name: value for name, value in option["network"].items() if name != "type"}).train()
    freeze(net, option["train"]["freeze"])
    return net, option


def test_recipe_trains_neither_depthwise_convolutions_nor_what_is_before_them_at_high_resolution(recipe):
    net, _ = recipe
    model = net.quality_branch.backbone.model
    early = (model.conv_stem, model.bn1, model.blocks[0], model.blocks[1], model.blocks[2][0])
    depthwise = [module for module in model.modules() if getattr(module, "groups", 1) > 1]
    assert len(depthwise) == 16
    kept = {parameter for module in (*early, *depthwise) for parameter in module.parameters()}
    assert all(not parameter.requires_grad for parameter in kept)
    trained = sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)
    assert trained > 0.9 * sum(parameter.numel() for parameter in net.parameters())


def test_recipe_squashes_no_image_and_starts_around_the_mean_rating(recipe, images):
    net, option = recipe
    sections = (*option["datasets"].values(), option["test"])
    assert all((section.get("augment") or {}).keys() <= {"hflip"} for section in sections)
    with torch.autocast("cpu", torch.bfloat16):
        assert (net(images) - 2.5).abs().max() < 1


# what is refused

ERRORS = {
    "misspelt branch": ({"branch": "nativ"}, "branch must be one of .* Did you mean 'native'"),
    "no pixels": ({"max_pixels": 0}, "max_pixels must be an integer of at least 1, got 0"),
    "no feature": ({"quality_dim": 0}, "quality_dim must be an integer of at least 1, got 0"),
    "no such tap": ({"taps": (0, 5)}, r"taps \[0, 5\] do not exist in 'tf_efficientnet_lite0', which has 5 \(0 to 4\)"),
    "one size": (
        {"backbone": "vit_tiny_patch16_224"},
        "images of any size, and backbone 'vit_tiny_patch16_224' of one",
    ),
    "rating": ({"fusion": "none"}, "fusion 'none' .* branch 'maniqa'"),
}


@pytest.mark.parametrize(("options", "message"), ERRORS.values(), ids=ERRORS)
def test_options_of_the_wrong_kind_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        MAAGIQA(**{**OPTIONS, **options})
