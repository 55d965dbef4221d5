"""Networks of preset ``lite`` with random weights that a mistake would show."""

from __future__ import annotations

import torch
from torch import nn

from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA

OPTIONS = {
    "preset": "lite",
    "glance_backbone": "",
    "quality_dim": 16,
    "semantic_experts": True,
    "num_prompts": 2,
    "feature_dim": 8,
    "fusion": "moe",
}


def with_living_norms(model: nn.Module) -> nn.Module:
    """Give batch norms statistics and parameters that a mistake in folding them would show."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2.0, generator=generator)
        elif name.endswith("running_mean"):
            tensor.uniform_(-0.3, 0.3, generator=generator)
    return model


def native_network(seed: int = 0, **options) -> MAAGIQA:
    """A network in eval mode with random weights, standardised on noise."""
    torch.manual_seed(seed)
    net = MAAGIQA(**{**OPTIONS, **options})
    with_living_norms(net)
    net.train()(torch.rand(8, 3, 32, 32))
    return net.eval()
