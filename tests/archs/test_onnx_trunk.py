"""Scores through ONNX Runtime: PyTorch's, of whichever weights the network has now, and only where nothing is lost."""

import copy
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.build_graphs import BACKBONES, build_graph
from maagiqa_pyiqa.archs import onnx_trunk
from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from maagiqa_pyiqa.archs.native_branch import StageStatistics
from maagiqa_pyiqa.weights import packaged_graph
from tests.helpers.native_networks import OPTIONS, native_network, with_living_norms

LITE2 = "tf_efficientnet_lite2"
SIZES = [(512, 512), (256, 384), (384, 255), (513, 129), (64, 700), (97, 33), (32, 32), (1, 1)]


@pytest.fixture
def net():
    return native_network()


@pytest.fixture
def sessions(monkeypatch):
    """The sessions that were built, as lists of their weights' names."""
    built = []
    build = onnx_trunk._build_session
    monkeypatch.setattr(
        onnx_trunk, "_build_session", lambda graph, weights, **kw: built.append(graph) or build(graph, weights, **kw)
    )
    return built


def picture(*size, n=1, seed=0):
    return torch.rand(n, 3, *size, generator=torch.Generator().manual_seed(seed))


def score(net, x):
    with torch.no_grad():
        return net(x)


def pytorch_score(net, x):
    """As PyTorch computes it, who is asked where gradients may be wanted."""
    return net(x).detach()


def assert_scores_are_pytorchs(net, x):
    expected = pytorch_score(net, x)
    torch.testing.assert_close(score(net, x), expected, rtol=0, atol=1e-4)
    return expected


# the same function


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_scores_are_pytorchs_at_any_size(backbone, size, sessions):
    net = native_network(backbone=backbone)
    assert_scores_are_pytorchs(net, picture(*size))
    assert sessions == [str(packaged_graph(backbone))]


@pytest.mark.parametrize("size", [(96, 128), (45, 31)], ids=str)
def test_statistics_and_last_map_are_pytorchs(size):
    trunk = with_living_norms(StageStatistics(LITE2, onnx_trunk.GRAPH_TAPS)).eval()
    expected = trunk(picture(*size, n=2))
    with torch.no_grad():
        statistics = trunk(picture(*size, n=2))
    for values, expected_values in zip(statistics, expected, strict=True):
        torch.testing.assert_close(values, expected_values.detach(), rtol=1e-3, atol=2e-4)


def test_fine_tuned_trunk_scores_as_pytorch_does(net, images):
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    net.train()
    for _ in range(3):
        net(images).square().sum().backward()
        optimizer.step()
    before = pytorch_score(native_network(), images)
    assert (assert_scores_are_pytorchs(net.eval(), images) - before).abs().min() > 1e-3


def test_images_of_a_batch_are_scored_as_alone_and_large_ones_leave_no_trace(net, images):
    x = torch.cat([images, images.flip(0)])
    expected = assert_scores_are_pytorchs(net, x)
    score(net, picture(900, 800))
    for image, one in zip(x, expected, strict=True):
        torch.testing.assert_close(score(net, image[None])[0], one, rtol=0, atol=1e-4)


def test_images_need_not_lie_in_order_in_memory(net, images):
    views = [images.contiguous(memory_format=torch.channels_last), images.transpose(2, 3), images[:, :, ::2, 1::3]]
    for x in (*views, images[:, :1].expand(-1, 3, -1, -1)):
        assert_scores_are_pytorchs(net, x)


def test_inference_mode_scores_alike(net, images):
    with torch.inference_mode():
        torch.testing.assert_close(net(images), pytorch_score(net, images).clone(), rtol=0, atol=1e-4)


# where PyTorch goes on


def test_gradients_are_pytorchs(net, images, sessions):
    score(net, images)
    x = images.requires_grad_()
    net(x).sum().backward()
    assert (x.grad.abs().flatten(1).sum(1) > 0).all()
    assert all(weight.grad is not None for name, weight in net.named_parameters() if "answer" not in name)
    assert len(sessions) == 1


def test_frozen_network_needs_no_gradients_for_itself_but_passes_them_on(net, images, sessions):
    net.requires_grad_(False)
    net(images)
    assert len(sessions) == 1
    x = images.requires_grad_()
    net(x).sum().backward()
    assert (x.grad.abs().flatten(1).sum(1) > 0).all()


def test_training_other_precisions_other_backbones_and_other_taps_stay_with_pytorch(net, images, sessions):
    score(copy.deepcopy(net).train(), images)
    score(copy.deepcopy(net).double(), images)
    with torch.autocast("cpu", torch.bfloat16):
        score(net, images)
    score(native_network(taps=(2, 3, 4)), images)
    score(native_network(backbone="resnet18"), images)
    assert sessions == []


def test_traced_network_holds_pytorchs_operations(net, images):
    with torch.no_grad():
        traced = torch.jit.trace(net, images, check_trace=False)
    other = picture(96, 128, n=4)
    torch.testing.assert_close(score(traced, other), pytorch_score(net, other), rtol=0, atol=1e-5)


def test_without_onnx_runtime_pytorch_scores_and_says_why(net, images, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    onnx_trunk._onnxruntime.cache_clear()
    with pytest.warns(UserWarning, match=r"ONNX Runtime cannot be imported .*; PyTorch scores instead, slower"):
        torch.testing.assert_close(score(net, images), pytorch_score(net, images))
    onnx_trunk._onnxruntime.cache_clear()


# weights as they are now

CHANGES = {
    "in place": lambda net: net.quality_branch.backbone.model.bn1.bias.add_(1),
    "one value": lambda net: net.quality_branch.backbone.model.conv_head.weight[3, 5].add_(5),
    "norm statistics": lambda net: net.quality_branch.backbone.model.bn1.running_var.mul_(2),
    "an average of weights": lambda net: [weight.data.mul_(0.9) for weight in net.parameters()],
    "another tensor": lambda net: setattr(
        net.quality_branch.backbone.model.bn1, "bias", torch.nn.Parameter(torch.ones(32))
    ),
    "another checkpoint": lambda net: net.load_state_dict(native_network(seed=1).state_dict()),
    "rounded": lambda net: net.bfloat16().float(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_scores_follow_the_weights(net, images, change):
    before = score(net, images)
    with torch.no_grad():
        change(net)
    after = assert_scores_are_pytorchs(net, images)
    assert (after - before).abs().max() > 2e-4


def test_scores_follow_an_optimizer(net, images):
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    for _ in range(2):
        net(images).sum().backward()
        optimizer.step()
        assert_scores_are_pytorchs(net, images)


def test_session_is_built_once_for_the_same_weights_and_threads(net, images, sessions):
    threads = torch.get_num_threads()
    try:
        for count in (1, 1, 2, 2):
            torch.set_num_threads(count)
            assert_scores_are_pytorchs(net, images)
    finally:
        torch.set_num_threads(threads)
    assert len(sessions) == 2


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_copies_have_sessions_of_their_own(net, images, duplicate):
    expected = score(net, images)
    twin = duplicate(net)
    with torch.no_grad():
        twin.quality_branch.backbone.model.bn1.bias += 1
    assert (assert_scores_are_pytorchs(twin, images) - expected).abs().max() > 1e-3
    assert torch.equal(score(net, images), expected)
    assert twin.state_dict().keys() == net.state_dict().keys()


# threads and processes


def test_threads_share_a_network(net, sessions):
    pictures = [picture(40 + i, 64, seed=i) for i in range(12)]
    with ThreadPoolExecutor(4) as pool:
        scores = list(pool.map(lambda x: score(net, x), pictures))
    torch.testing.assert_close(torch.cat(scores), torch.cat([score(net, x) for x in pictures]), rtol=0, atol=1e-6)
    assert len(sessions) == 1


class _Scored(Dataset):
    def __init__(self, net):
        self.net = net

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return score(self.net, picture(64, 64, seed=index))[0]


def test_workers_of_a_data_loader_score_after_their_parent_did(net):
    expected = torch.stack([_Scored(net)[index] for index in range(4)])
    context = "fork" if hasattr(os, "fork") else "spawn"
    loader = DataLoader(_Scored(net), batch_size=2, num_workers=2, multiprocessing_context=context)
    torch.testing.assert_close(torch.cat(list(loader)), expected, rtol=0, atol=1e-6)


FORK = """
import os, sys, torch
from tests.helpers.native_networks import native_network
torch.set_num_threads(2)
net, x = native_network(), torch.rand(1, 3, 64, 64)
with torch.no_grad():
    expected = net(x)
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        same = sys.argv[1] == "unused" or torch.allclose(net(x), expected)
        del net
        sys.exit(0 if same else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("use", ["used", "unused"])
def test_forked_process_scores_and_ends(use):
    subprocess.run([sys.executable, "-c", FORK, use], check=True, timeout=300)  # of a hang


# what ships


@pytest.mark.parametrize("backbone", BACKBONES)
def test_packaged_graphs_are_what_is_built_from_the_backbones_and_hold_no_weights(backbone):
    content = packaged_graph(backbone).read_bytes()
    assert content == build_graph(backbone)
    assert len(content) < 50_000


def test_neither_building_a_network_nor_training_it_imports_onnx_runtime():
    code = (
        "import sys, torch; from tests.helpers.native_networks import native_network;"
        "native_network()(torch.rand(1, 3, 32, 32)); sys.exit('onnxruntime' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)  # of a hang


@pytest.mark.parametrize(("choice", "expected"), [(None, "1"), ("0", "0")])
def test_onnx_runtime_reports_to_nobody_unless_the_user_wants_it(net, images, monkeypatch, choice, expected):
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", choice or "")
    if choice is None:
        monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    onnx_trunk._onnxruntime.cache_clear()
    score(net, images)
    assert os.environ["ORT_DISABLE_TELEMETRY"] == expected


def test_state_dict_has_the_networks_own_tensors_alone(net, images):
    keys = net.state_dict().keys()
    score(net, images)
    assert net.state_dict().keys() == keys == MAAGIQA(**OPTIONS).state_dict().keys()
