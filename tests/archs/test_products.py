"""The quicker way of training on a CPU: the same values, the same gradients, and only where it is meant for."""

import pytest
import torch
import torch.nn.functional as F
from pyiqa.archs.maniqa_arch import TABlock
from torch import nn

from maagiqa_pyiqa.archs.attention import TokenAttention
from maagiqa_pyiqa.archs.products import Linear, is_quick, linear, quicken_linears

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available() or torch.__version__ < "2.4", reason="this PyTorch has no oneDNN for it"
)


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).requires_grad_()


def gradients(output, inputs):
    return torch.autograd.grad(output, inputs, noise(*output.shape).detach().to(output.dtype))


@pytest.mark.parametrize("shape", [(512, 96), (2, 256, 96), (2, 4, 64, 96)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_linear_has_the_values_and_gradients_of_pytorchs(shape, with_bias):
    inputs = [noise(*shape), noise(128, 96), *([noise(128)] if with_bias else [])]
    assert is_quick(*inputs[:2])
    exact = [x.detach().double().requires_grad_() for x in inputs]
    ours, expected = linear(*inputs), F.linear(*exact)
    torch.testing.assert_close(ours, expected.float(), rtol=1e-5, atol=1e-4)
    for got, wanted in zip(gradients(ours, inputs), gradients(expected, exact), strict=True):
        torch.testing.assert_close(got, wanted.float(), rtol=1e-5, atol=1e-3)


def test_gradients_of_gradients_go_the_quicker_way_too():
    inputs = [noise(512, 96), noise(128, 96)]
    second = {}
    for function in (linear, F.linear):
        (first,) = torch.autograd.grad(function(*inputs).square().sum(), inputs[:1], create_graph=True)
        second[function] = torch.autograd.grad(first.square().mean(), inputs)
    for got, wanted in zip(second[linear], second[F.linear], strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-3 * wanted.abs().max().item())


def test_what_needs_no_gradients_or_has_another_type_goes_the_usual_way():
    x, weight = noise(512, 96), noise(128, 96)
    assert is_quick(x, weight)
    assert not is_quick(x[:1], weight)
    assert not is_quick(x.double(), weight.double())
    with torch.no_grad():
        assert not is_quick(x, weight)
        assert torch.equal(linear(x, weight), F.linear(x, weight))
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_quick(x, weight)
        assert linear(x, weight).dtype == torch.bfloat16


def test_quickened_layers_keep_their_parameters_and_names():
    net = nn.Sequential(nn.Linear(8, 8), nn.Sequential(nn.ReLU(), nn.Linear(8, 4, bias=False)))
    before = dict(net.named_parameters())
    quicken_linears(net)
    assert isinstance(net[0], Linear)
    assert isinstance(net[1][1], Linear)
    assert {name: id(parameter) for name, parameter in net.named_parameters()} == {k: id(v) for k, v in before.items()}


def test_token_attention_is_maniqas_with_its_dropout():
    ours, theirs = TokenAttention(64, drop=0.5), TABlock(64, drop=0.5)
    theirs.load_state_dict(ours.state_dict())
    quicken_linears(ours)
    x = noise(3, 1024, 64)
    assert is_quick(x, ours.c_q.weight)
    results = []
    for block in (ours, theirs):
        torch.manual_seed(5)  # of the dropout
        output = block(x)
        results.append((output, *gradients(output, (x, *block.parameters()))))
    for got, wanted in zip(*results, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)  # keys have a bias of no effect


def test_training_in_bfloat16_on_a_cpu_attends_by_plain_products(tiny_net):
    net = tiny_net(backbone="vit_tiny_patch16_224", taps=(1, 2))
    images, features = torch.rand(1, 3, 64, 64), torch.randn(1, 2, net.options.feature_dim)
    attentions = [m for m in net.modules() if hasattr(m, "fused_attn")]
    fused = []
    for dtype, gradients_wanted in ((torch.bfloat16, True), (torch.bfloat16, False), (None, True)):
        with torch.set_grad_enabled(gradients_wanted), torch.autocast("cpu", dtype, enabled=dtype is not None):
            net(images, features)
        fused.append({module.fused_attn for module in attentions})
    assert fused == [{False}, {True}, {True}]
