"""The authors' training, written plainly, as the baseline of timings and the oracle of losses.

Their network, MANIQA as pyiqa has it with a fusion of three features, and their loop: 32-bit floats throughout, every
block of the vision transformer and its classifier run though the last two blocks feed nothing, attention by matrix
products with all weights kept for the backward pass, and PyTorch's plain optimizer. Parameters have our names, so that
both can start from the same weights; those that nothing reads keep what they were made with.
"""

from __future__ import annotations

from typing import Any

import timm
import torch
from pyiqa.archs.maniqa_arch import TABlock
from pyiqa.archs.maniqa_swin import SwinTransformer
from torch import nn

from maagiqa_pyiqa.archs.fusion import AdaptiveFusion
from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from maagiqa_pyiqa.archs.maagiqa_options import MAAGIQAOptions
from maagiqa_pyiqa.archs.quality_branch import PatchQuality, QualityBranch, TappedBackbone


class HookedTransformer(nn.Module):
    """A whole vision transformer, its blocks tapped by hooks: (N, 3, S, S) to (N, channels, grid, grid)."""

    model: Any

    def __init__(self, options: MAAGIQAOptions) -> None:
        super().__init__()
        size: dict[str, Any] = {"img_size": options.input_size}
        self.model = timm.create_model(options.backbone, pretrained=False, **size)
        self.taps = options.taps
        self.outputs: list[torch.Tensor] = []
        for block in self.model.blocks:
            block.attn.fused_attn = False
            block.register_forward_hook(lambda _module, _inputs, output: self.outputs.append(output))

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        self.outputs.clear()
        self.model(x)
        tokens = torch.cat([self.outputs[tap][:, 1:] for tap in self.taps], dim=2)  # (N, patches, channels)
        return tokens.transpose(1, 2).unflatten(2, self.model.patch_embed.grid_size).contiguous()


class PlainQualityBranch(nn.Module):
    """MANIQA of pyiqa's blocks: normalised image (N, 3, S, S) to its quality feature (N, patches)."""

    def __init__(self, options: MAAGIQAOptions, grid: tuple[int, int]) -> None:
        super().__init__()
        patches, width = grid[0] * grid[1], options.embed_dim
        transformer = options.backbone.startswith("vit")
        tapped = TappedBackbone(options.backbone, options.taps, options.input_size)
        self.backbone = HookedTransformer(options) if transformer else tapped
        self.tablock1 = nn.Sequential(*[TABlock(patches, options.drop) for _ in range(options.num_tab)])
        self.conv1 = nn.Conv2d(tapped.channels, width, 1)
        self.swintransformer1 = _swin(options, grid, width)
        self.tablock2 = nn.Sequential(*[TABlock(patches, options.drop) for _ in range(options.num_tab)])
        self.conv2 = nn.Conv2d(width, width // 2, 1)
        self.swintransformer2 = _swin(options, grid, width // 2)
        self.fc_score = _head(width // 2, options.drop, nn.ReLU())
        self.fc_weight = _head(width // 2, options.drop, nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        x = self.backbone(x)
        x = self.swintransformer1(self.conv1(self.tablock1(x.flatten(2)).view_as(x)))
        x = self.swintransformer2(self.conv2(self.tablock2(x.flatten(2)).view_as(x)))
        x = x.flatten(2).transpose(1, 2)  # (N, patches, width / 2)
        return PatchQuality(self.fc_score(x).squeeze(-1), self.fc_weight(x).squeeze(-1)).feature


class PlainNetwork(nn.Module):
    """The authors' network with the weights of one of ours."""

    def __init__(self, ours: MAAGIQA) -> None:
        super().__init__()
        options, branch = ours.options, ours.quality_branch
        if not isinstance(branch, QualityBranch):
            raise ValueError("the authors' network has the quality branch 'maniqa'.")
        self.quality_branch = PlainQualityBranch(options, branch.grid)
        self.fusion = AdaptiveFusion(
            num_prompts=options.num_prompts,
            feature_dim=options.feature_dim,
            hidden_dim=branch.patches,
            use_quality=True,
            mixture=True,
            gate_activation=options.gate_activation,
            drop=options.drop,
        )
        if unexpected := self.load_state_dict(ours.state_dict(), strict=False).unexpected_keys:
            raise ValueError(f"the authors' network has no {unexpected}.")

    def forward(self, x: torch.Tensor, semantic_features: torch.Tensor) -> torch.Tensor:
        """Images (N, 3, S, S) in [0, 1] and features (N, E, D) to scores (N, 1)."""
        return self.fusion(self.quality_branch((x - 0.5) / 0.5), semantic_features).score


def _swin(options: MAAGIQAOptions, grid: tuple[int, int], width: int) -> nn.Module:
    return SwinTransformer(
        patches_resolution=grid,
        depths=options.depths,
        num_heads=options.num_heads,
        embed_dim=width,
        window_size=options.window_size,
        dim_mlp=options.dim_mlp,
        scale=options.scale,
    )


def _head(width: int, drop: float, activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Dropout(drop), nn.Linear(width, 1), activation)
