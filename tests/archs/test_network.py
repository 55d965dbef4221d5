"""What the network promises: invariance, gradients, configurations, details, errors that name the remedy."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA, Details

VIT = {"backbone": "vit_tiny_patch16_224", "taps": [1, 2]}
BACKBONES = pytest.mark.parametrize("backbone", [{}, VIT], ids=["cnn", "vit"])

# paper, Tables 3 and 4: MANIQA, semantic feature, coherence feature (one vector is like the other to the network)
ABLATIONS = {
    "maniqa": {"fusion": "none", "num_prompts": 0},
    "semantic": {"use_quality": False, "num_prompts": 1},
    "coherence": {"use_quality": False, "num_prompts": 1},
    "semantic+coherence": {"use_quality": False, "num_prompts": 2},
    "maniqa+semantic": {"num_prompts": 1},
    "maniqa+coherence": {"num_prompts": 1},
    "all": {"num_prompts": 2},
    "all, concatenated": {"num_prompts": 2, "fusion": "concat"},  # Table 5
}
CONFIGURATIONS = [
    ABLATIONS["maniqa"],
    ABLATIONS["semantic"],
    ABLATIONS["semantic+coherence"],
    ABLATIONS["maniqa+semantic"],
    ABLATIONS["all"],
    ABLATIONS["all, concatenated"],
    {"num_prompts": 0},
    {"num_prompts": 3},
    {"num_prompts": 0, "fusion": "concat"},
    {"num_prompts": 3, "fusion": "concat"},
    {"num_prompts": 2, "fusion": "concat", "use_quality": False},
    {"num_prompts": 3, "use_quality": False},
]


class Recorder:
    """A semantic extractor that answers with noise and remembers what it was asked."""

    prompts = ("one", "two")
    feature_dim = 24
    fingerprint = "recorder"

    def __init__(self):
        self.asked = []

    def extract(self, images):
        self.asked.append(images)
        return torch.randn(len(images), 2, 24, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def inputs(images, features):
    """Images and the semantic features that a network takes with them."""

    def make(net):
        count = net.options.num_prompts
        return images, features(len(images), count) if count else None

    return make


# invariance


@BACKBONES
def test_score_does_not_depend_on_the_rest_of_the_batch(tiny_net, images, features, backbone):
    net = tiny_net(**backbone)
    with torch.no_grad():
        together = net(images, features())
        alone = torch.cat([net(images[i : i + 1], features()[i : i + 1]) for i in range(len(images))])
    assert together.std() > 1e-3
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@settings(max_examples=10, deadline=None)
@given(order=st.permutations(range(4)), size=st.integers(1, 4))
def test_score_does_not_depend_on_the_place_in_the_batch(module_net, order, size):
    net, images, features = module_net
    chosen = list(order)[:size]
    with torch.no_grad():
        expected = net(images, features)[chosen]
        torch.testing.assert_close(net(images[chosen], features[chosen]), expected, rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def module_net(tiny_options, _crops):
    torch.manual_seed(0)
    return MAAGIQA(**tiny_options).eval(), _crops, torch.randn(4, 2, 24, generator=torch.Generator().manual_seed(0))


def test_score_of_a_grayscale_image_is_that_of_its_three_equal_channels(tiny_net, images, features):
    net, gray = tiny_net(), images.mean(1, keepdim=True)
    with torch.no_grad():
        assert torch.equal(net(gray, features()), net(gray.repeat(1, 3, 1, 1), features()))


@pytest.mark.parametrize("size", [(64, 64), (96, 128)], ids=["as the network takes it", "to be resized"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_score_does_not_depend_on_the_dtype_of_the_image(tiny_net, images, features, size, dtype):
    net, x = tiny_net(), images[..., : size[0], : size[1]]
    with torch.no_grad():
        torch.testing.assert_close(net(x.to(dtype), features()).float(), net(x, features()), rtol=0.01, atol=0.01)


def test_threads_that_score_different_images_get_the_sequential_results(tiny_net, images, features):
    net = tiny_net()
    jobs = [(images[i : i + 1], features()[i : i + 1]) for i in range(4)] * 4

    def score(job):
        with torch.no_grad():
            return net(*job)

    expected = [score(job) for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        for ours, sequential in zip(pool.map(score, jobs), expected, strict=True):
            torch.testing.assert_close(ours, sequential, rtol=0, atol=1e-6)


# configurations


@pytest.mark.parametrize("options", ABLATIONS.values(), ids=ABLATIONS)
def test_every_row_of_the_papers_ablations_is_a_configuration(tiny_net, inputs, options):
    net = tiny_net(**options)
    with torch.no_grad():
        score = net(*inputs(net))
    assert score.shape == (4, 1)
    assert score.isfinite().all()
    assert score.std() > 0


def gradients(net, images, semantic_features):
    net.train()(images, semantic_features).square().sum().backward()
    return {name: parameter.grad for name, parameter in net.named_parameters()}


@pytest.mark.parametrize("options", CONFIGURATIONS, ids=str)
def test_every_parameter_gets_a_gradient(tiny_net, inputs, options):
    net = tiny_net(**options)
    grads = gradients(net, *inputs(net))
    assert [name for name, grad in grads.items() if grad is None] == []
    assert all(grad.isfinite().all() for grad in grads.values())
    assert [name for name, grad in grads.items() if not grad.any()] == []


def test_every_parameter_of_a_vit_gets_a_gradient(tiny_net, inputs):
    net = tiny_net(**VIT)
    grads = gradients(net, *inputs(net))
    assert [name for name, grad in grads.items() if grad is None] == []


def test_paper_preset_has_weights_between_0_and_1_and_official_signed_ones(tiny_net, images, features):
    with torch.no_grad():
        paper = tiny_net(preset="paper")(images, 5 * features(), return_details=True).gate
        official = tiny_net()(images, 5 * features(), return_details=True).gate
    assert ((paper > 0) & (paper < 1)).all()
    assert (official < 0).any()
    torch.testing.assert_close(paper, official.sigmoid())


def test_lite_preset_is_one_of_its_own_options(tiny_net):
    net = tiny_net(preset="lite-2026a")
    assert net.options.interpolation == "cubic-antialias"
    assert "interpolation=cubic-antialias" in repr(net)


# details


@pytest.mark.parametrize("num_prompts", [0, 1, 2, 3])
def test_details_hold_score_gate_and_quality_feature(tiny_net, inputs, num_prompts):
    net = tiny_net(num_prompts=num_prompts)
    with torch.no_grad():
        details = net(*inputs(net), return_details=True)
        assert torch.equal(details.score, net(*inputs(net)))
    assert isinstance(details, Details)
    assert details.gate.shape == (4, num_prompts + 1)
    assert details.quality_feature.shape == (4, 16)  # 64 px, stride 16


@pytest.mark.parametrize("column", [0, 1, 2])
def test_gate_columns_are_the_semantic_prompts_in_order_then_quality(tiny_net, images, features, column):
    net = tiny_net()
    net.fusion.gate.weight.data.zero_()
    net.fusion.gate.bias.data.copy_(torch.eye(3)[column])  # only one expert speaks
    with torch.no_grad():
        details = net(images, features(), return_details=True)
        experts = [transform(features()[:, i]) for i, transform in enumerate(net.fusion.semantic_transforms)]
        experts.append(net.fusion.quality_transform(details.quality_feature))
        expected = net.fusion.regression(experts[column])
    assert torch.equal(details.gate, torch.eye(3)[column].expand(4, 3))
    torch.testing.assert_close(details.score, expected)


def test_gate_column_of_an_absent_quality_feature_is_zero(tiny_net, images, features):
    with torch.no_grad():
        details = tiny_net(use_quality=False)(images, features(), return_details=True)
    assert torch.equal(details.gate[:, 2], torch.zeros(4))
    assert details.gate[:, :2].abs().min() > 0
    assert details.quality_feature.shape == (4, 0)


def test_concatenation_has_no_gate(tiny_net, images, features):
    assert tiny_net(fusion="concat")(images, features(), return_details=True).gate.shape == (4, 0)


def test_rating_without_fusion_is_the_weighted_mean_of_patch_scores(tiny_net, images):
    net = tiny_net(fusion="none", num_prompts=0)
    with torch.no_grad():
        details = net(images, return_details=True)
        score, weight = net.quality_branch(net._prepare(images))
    torch.testing.assert_close(details.score[:, 0], (score * weight).sum(1) / weight.sum(1))
    torch.testing.assert_close(details.quality_feature, score * weight)
    assert torch.equal(details.gate, torch.ones(4, 1))


# the semantic extractor is beside the network, not in it


def test_extractor_is_called_once_a_batch_with_detached_images(tiny_net, images):
    recorder = Recorder()
    net = tiny_net(semantics=recorder)
    score = net(images.requires_grad_())
    assert [tuple(asked.shape) for asked in recorder.asked] == [tuple(images.shape)]
    assert not recorder.asked[0].requires_grad
    torch.testing.assert_close(score, net(images, recorder.extract(images)))


def test_extractor_is_not_called_where_features_are_given(tiny_net, images, features):
    recorder = Recorder()
    tiny_net(semantics=recorder)(images, features())
    assert recorder.asked == []


def test_extractor_is_not_called_by_a_network_without_semantic_prompts(tiny_net, images):
    recorder = Recorder()
    tiny_net(num_prompts=0, semantics=recorder)(images)
    assert recorder.asked == []


def test_extractor_is_neither_in_the_state_nor_among_the_parameters(tiny_net):
    class Module(Recorder, nn.Module):
        def __init__(self):
            nn.Module.__init__(self)
            self.asked, self.layer = [], nn.Linear(2, 2)

    extractor = Module()
    net = tiny_net(semantics=extractor)
    assert net.state_dict().keys() == tiny_net().state_dict().keys()
    assert extractor not in net.modules()
    net.double()
    assert extractor.layer.weight.dtype == torch.float32


def test_packaged_extractor_is_built_when_first_asked_for_and_only_once(tiny_net, images):
    net = tiny_net(feature_dim=1280, semantics="visual")
    names = net.state_dict().keys()
    with torch.no_grad():
        net(images)
        built = net.semantics.get(torch.device("cpu"))
        assert copy.deepcopy(net).semantics.get(torch.device("cpu")) is built
    assert built.prompts == ("visual_mean", "visual_deviation")
    assert net.state_dict().keys() == names


def repickle(net):
    return pickle.loads(pickle.dumps(net))


@pytest.mark.parametrize("duplicate", [copy.deepcopy, repickle])
def test_copies_score_alike_and_share_no_parameters(tiny_net, images, features, duplicate):
    net = tiny_net()
    twin = duplicate(net)
    assert torch.equal(net(images, features()), twin(images, features()))
    twin.fusion.regression.bias.data += 1
    assert not torch.equal(net(images, features()), twin(images, features()))


# gradients to the image, compilers, precision, parallel


def test_gradients_reach_the_image_through_the_quality_branch_only(tiny_net, images, features):
    constants = features().requires_grad_(False)
    x = images.clone().requires_grad_()
    tiny_net()(x, constants).sum().backward()
    assert (x.grad.abs().flatten(1).sum(1) > 0).all()
    assert not tiny_net(use_quality=False).requires_grad_(False)(x, constants).requires_grad


def test_compiled_network_gives_the_same_scores(tiny_net, images, features):
    torch.compiler.reset()
    net = tiny_net()
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(images, features()), net(images, features()))


def test_compiled_network_still_calls_its_extractor(tiny_net, images):
    torch.compiler.reset()
    net = tiny_net(semantics=Recorder())
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(net, backend="eager")(images), net(images))


def test_bf16_autocast_stays_within_five_percent(tiny_net, images, features):
    net = tiny_net()
    with torch.no_grad():
        exact = net(images, features())
        with torch.autocast("cpu", torch.bfloat16):
            rough = net(images, features())
    assert not torch.equal(rough.float(), exact)
    torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.05 * exact.abs().max().item())


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="DataParallel needs two GPUs")
def test_data_parallel_gives_the_same_scores(tiny_net, images, features):
    net = tiny_net().cuda()
    with torch.no_grad():
        expected = net(images.cuda(), features().cuda())
        torch.testing.assert_close(nn.DataParallel(net)(images.cuda(), features().cuda()), expected)


@pytest.fixture
def process_group(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("options", [{}, {"fusion": "none", "num_prompts": 0}, {"use_quality": False}], ids=str)
def test_distributed_training_needs_no_search_for_unused_parameters(tiny_net, inputs, options):
    net = tiny_net(**options).train()
    parallel = nn.parallel.DistributedDataParallel(net)
    for _ in range(2):  # an unused parameter is noticed at the second step
        parallel(*inputs(net)).sum().backward()


# errors

IMAGE_ERRORS = {
    "no batch axis": (lambda x: x[0], ValueError, r"\(3, 96, 128\)\. For one image use x\.unsqueeze\(0\)"),
    "channels last": (lambda x: x.permute(0, 2, 3, 1), ValueError, r"last; use x\.permute\(0, 3, 1, 2\)"),
    "alpha": (lambda x: torch.cat([x, x[:, :1]], 1), ValueError, "Drop the alpha channel first"),
    "two channels": (lambda x: x[:, :2], ValueError, r"shape \(N, 3, H, W\), RGB, got \(4, 2, 96, 128\)"),
    "0 to 255": (lambda x: x * 255, ValueError, r"must be RGB in \[0, 1\], got min .*, max 2"),
    "-1 to 1": (lambda x: x * 2 - 1, ValueError, r"got min -1, max 0\.98"),
    "8 bits": (lambda x: (x * 255).byte(), TypeError, r"got torch\.uint8; convert with x\.float\(\) / 255"),
    "array": (lambda x: x.numpy(), TypeError, "must be a tensor .*got ndarray"),
    "empty": (lambda x: x[:0], ValueError, r"images are empty: shape \(0, 3, 96, 128\)"),
    "NaN": (lambda x: x.index_fill(0, torch.tensor([1, 3]), torch.nan), ValueError, r"NaN .* in images \[1, 3\]"),
    "infinite": (
        lambda x: x.index_fill(0, torch.tensor([2]), torch.inf),
        ValueError,
        r"infinite pixels in images \[2\]",
    ),
}


@torch.no_grad()
@pytest.mark.parametrize(("spoil", "error", "message"), IMAGE_ERRORS.values(), ids=IMAGE_ERRORS)
def test_images_of_the_wrong_kind_are_refused_by_name(tiny_net, images, features, spoil, error, message):
    with pytest.raises(error, match=message):
        tiny_net()(spoil(images), features())


FEATURE_ERRORS = {
    "one prompt": (
        lambda f: f[:, :1],
        ValueError,
        r"shape \(N, E, D\) = \(4, 2, 24\), got \(4, 1, 24\)\. E and D are the network's num_prompts",
    ),
    "one image": (lambda f: f[:1], ValueError, r"= \(4, 2, 24\), got \(1, 2, 24\)\."),
    "another width": (lambda f: f[..., :20], ValueError, r"got \(4, 2, 20\)\. .* feature_dim\.$"),
    "permuted": (lambda f: f.transpose(0, 1), ValueError, r"got \(2, 4, 24\)\. The axes are in another order"),
    "integers": (lambda f: f.long(), TypeError, r"floating-point tensor \(N, E, D\), got torch\.int64"),
    "array": (lambda f: f.numpy(), TypeError, "got ndarray"),
    "NaN": (lambda f: f.index_fill(0, torch.tensor([1]), torch.nan), ValueError, "hold NaN or infinite values"),
}


@pytest.mark.parametrize(("spoil", "error", "message"), FEATURE_ERRORS.values(), ids=FEATURE_ERRORS)
def test_features_of_the_wrong_kind_are_refused_by_name(tiny_net, images, features, spoil, error, message):
    with pytest.raises(error, match=message):
        tiny_net()(images, spoil(features()))


def test_features_of_an_extractor_are_checked_too(tiny_net, images):
    with pytest.raises(
        ValueError, match=r"the semantic extractor gives 2 vectors of 24 values an image, and the network takes 3 of 24"
    ):
        tiny_net(num_prompts=3, semantics=Recorder())(images)


def test_a_bare_image_without_an_extractor_is_refused_with_the_remedies(tiny_net, images):
    with pytest.raises(ValueError, match=r"no semantic extractor; pass semantic_features .* semantics="):
        tiny_net()(images)


def test_features_for_a_network_that_takes_none_are_refused(tiny_net, images, features):
    with pytest.raises(ValueError, match="num_prompts 0"):
        tiny_net(num_prompts=0)(images, features())


OPTION_ERRORS = {
    "misspelt option": ({"emded_dim": 16}, "unknown option 'emded_dim'. Did you mean 'embed_dim'"),
    "misspelt preset": ({"preset": "oficial"}, "Did you mean 'official'"),
    "misspelt pretrained": ({"pretrained": "agiqa3k"}, "Did you mean 'agiqa-3k'"),
    "misspelt fusion": ({"fusion": "conact"}, "fusion must be one of .* Did you mean 'concat'"),
    "misspelt activation": ({"gate_activation": "sigmoit"}, "Did you mean 'sigmoid'"),
    "misspelt interpolation": ({"interpolation": "cubik"}, "Did you mean 'cubic'"),
    "misspelt backbone": ({"backbone": "resnet81"}, "'resnet81' is not a timm model. Did you mean 'resnet"),
    "no such tap": ({"taps": [1, 9]}, r"taps \[1, 9\] do not exist in 'resnet18', which has 5 \(0 to 4\)"),
    "no taps": ({"taps": []}, "taps"),
    "window does not fit": ({"window_size": 3}, "window_size 3 does not divide the 4x4 patch grid"),
    "text for a number": ({"embed_dim": "16"}, "embed_dim must be an integer, got '16'"),
    "negative": ({"num_prompts": -1}, "num_prompts must be an integer of at least 0, got -1"),
    "nothing to score from": ({"use_quality": False, "num_prompts": 0}, "nothing to score from"),
    "rating of features": ({"fusion": "none"}, "fusion 'none' .* needs num_prompts 0"),
}


@pytest.mark.parametrize(("options", "message"), OPTION_ERRORS.values(), ids=OPTION_ERRORS)
def test_options_of_the_wrong_kind_are_refused_by_name(tiny_net, options, message):
    with pytest.raises(ValueError, match=message):
        tiny_net(**options)


def test_an_unknown_tag_of_a_backbone_is_refused(tiny_net):
    with pytest.raises(ValueError, match=r"no weights tagged .*Did you mean 'vit_base_patch8_224\.augreg_in21k"):
        tiny_net(backbone="vit_base_patch8_224.augerg", taps=[1])


def test_an_unknown_extractor_is_refused_at_creation_where_it_decides_the_width_of_features(tiny_options):
    options = {name: value for name, value in tiny_options.items() if name != "feature_dim"}
    with pytest.raises(ValueError, match=r"no semantic extractor 'visaul'\. Did you mean 'visual'"):
        MAAGIQA(**options, semantics="visaul")


def test_an_unknown_extractor_is_refused_at_the_latest_when_it_is_first_needed(tiny_net, images):
    with pytest.raises(ValueError, match=r"no semantic extractor 'visaul'\. Did you mean 'visual'"):
        tiny_net(semantics="visaul")(images)


def test_an_untrained_network_takes_the_width_of_features_from_its_extractor(tiny_options):
    options = {name: value for name, value in tiny_options.items() if name != "feature_dim"}
    assert MAAGIQA(**options, semantics="visual").options.feature_dim == 1280
    assert MAAGIQA(**options, semantics=Recorder()).options.feature_dim == 24
    assert MAAGIQA(**options, semantics="visual", feature_dim=8).options.feature_dim == 8


# another MOS scale


def test_scores_start_on_another_scale_by_the_last_layer_alone(tiny_net, images, features):
    plain, scaled = tiny_net()(images, features()), tiny_net(rescale=[-20.0, 90.0])(images, features())
    assert torch.allclose(scaled, 90 - 20 * plain, atol=1e-4)


@pytest.mark.parametrize("rescale", [[0.0, 1.0], [1.0], [float("nan"), 0.0]])
def test_a_scale_that_is_none_is_refused(tiny_options, rescale):
    with pytest.raises(ValueError, match="rescale must be a factor that is not 0 and a shift"):
        MAAGIQA(**tiny_options, rescale=rescale)


def test_a_network_without_fusion_has_no_other_scale(tiny_options):
    with pytest.raises(ValueError, match="fusion 'none' has none"):
        MAAGIQA(**{**tiny_options, "num_prompts": 0, "fusion": "none"}, rescale=[2.0, 0.0])
