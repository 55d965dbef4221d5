"""Quality branch: MANIQA re-purposed to give one quality value per patch.

Paper: section 3.1, equations (1) and (2). After MANIQA (Yang et al., CVPR Workshop 2022).
What differs from MANIQA: the backbone is any timm model that yields a grid of patches or a feature map, and the
per-patch scores and weights are returned instead of being summed to a rating. Parameters that no output depends
on (blocks after the last tap, unused down-sampling convolutions) are not built, so every parameter gets gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import timm
import torch
import torch.nn.functional as F
from pyiqa.archs.maniqa_swin import SwinTransformer
from torch import nn

from maagiqa_pyiqa.archs.attention import TokenAttention
from maagiqa_pyiqa.archs.products import autocasts_on_cpu, quicken_linears
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import nearest


class PatchQuality(NamedTuple):
    """Per-patch outputs of the quality branch, both (N, patches): score >= 0 and weight in (0, 1)."""

    score: torch.Tensor
    weight: torch.Tensor

    @property
    def feature(self) -> torch.Tensor:
        """Quality feature f1 = S x W, shape (N, patches). Paper: equation (2)."""
        return self.score * self.weight

    @property
    def rating(self) -> torch.Tensor:
        """MANIQA's own rating, shape (N, 1): scores averaged by weight. Paper: equation (1)."""
        return (self.feature.sum(-1) / (self.weight.sum(-1) + 1e-8)).unsqueeze(-1)


class TappedBackbone(nn.Module):
    """A timm backbone cut after its last tap, giving the taps stacked on one patch grid.

    Args:
        name: timm model name.
        taps: indices as in timm's ``forward_intermediates`` (ViT blocks, CNN stages).
        input_size: side of the square input in pixels.

    Attributes:
        channels: channels of all taps together.
        grid: (height, width) of the last tap, to which the others are resized.

    Raises:
        ValueError: timm has no such model, the model yields no intermediate maps, or a tap does not exist.
    """

    channels: int
    grid: tuple[int, int]
    model: Any  # timm's feature_info and forward_intermediates are not part of nn.Module

    def __init__(self, name: str, taps: tuple[int, ...], input_size: int) -> None:
        super().__init__()
        self.taps = list(taps)
        self.model = create_timm_model(name, taps, input_size)
        info = self.model.feature_info
        self.channels = sum(info[tap]["num_chs"] for tap in taps)
        side = -(-input_size // info[taps[-1]]["reduction"])
        self.grid = (side, side)
        self.model.prune_intermediate_layers(self.taps, prune_norm=True, prune_head=True)
        self._attentions = [module for module in self.model.modules() if getattr(module, "fused_attn", False)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, S, S) normalised image to (N, channels, grid height, grid width)."""
        self._choose_attention(x)
        maps = self.model.forward_intermediates(x, indices=self.taps, intermediates_only=True)
        return torch.cat([self._on_grid(feature_map) for feature_map in maps], dim=1)

    def _choose_attention(self, x: torch.Tensor) -> None:
        """Plain products in bfloat16 training on a CPU, where PyTorch's fused attention takes twice their time."""
        fused = x.device.type != "cpu" or not torch.is_grad_enabled() or not autocasts_on_cpu()
        for module in self._attentions:
            module.fused_attn = fused

    def _on_grid(self, feature_map: torch.Tensor) -> torch.Tensor:
        if feature_map.shape[-1] >= self.grid[1]:
            # identity where the sizes agree, as for every tap of a ViT
            same = feature_map.shape[-2:] == self.grid
            return feature_map if same else F.adaptive_avg_pool2d(feature_map, self.grid)
        return F.interpolate(feature_map, self.grid, mode="bilinear", align_corners=False)


def create_timm_model(name: str, taps: tuple[int, ...], input_size: int | None = None) -> Any:
    """A timm model with random weights that yields intermediate maps, such as those of ``taps``.

    Args:
        name: timm model name.
        taps: indices as in timm's ``forward_intermediates``.
        input_size: side of the square input in pixels, for models that are made for one size.

    Raises:
        ValueError: timm has no such model, the model yields no intermediate maps, or a tap does not exist.
    """
    if not timm.is_model(name.split(".")[0]):
        raise InputError(f"backbone '{name}' is not a timm model.{nearest(name, timm.list_models())}")
    tagged = timm.list_pretrained(f"{name.split('.')[0]}.*")
    if "." in name and name not in tagged:
        raise InputError(f"timm has no weights tagged '{name}'.{nearest(name, tagged)} Known: {', '.join(tagged)}.")
    config = timm.get_pretrained_cfg(name)
    size: dict[str, Any] = {"img_size": input_size} if input_size and config and config.fixed_input_size else {}
    model: Any = timm.create_model(name, pretrained=False, **size)
    if not hasattr(model, "forward_intermediates"):
        raise InputError(f"backbone '{name}' has no forward_intermediates in timm {timm.__version__}; choose another.")
    stages = len(model.feature_info)
    if not all(-stages <= tap < stages for tap in taps):
        raise InputError(f"taps {list(taps)} do not exist in '{name}', which has {stages} (0 to {stages - 1}).")
    return model


@dataclass(frozen=True, kw_only=True)
class QualityBranchOptions:
    """What defines the branch; the defaults are the authors'.

    Attributes:
        backbone: timm model name.
        taps: intermediate outputs to use.
        input_size: side of the square input in pixels.
        embed_dim: channels of the first stage; the second has half.
        num_tab: token-attention blocks per stage.
        depths: Swin blocks per layer.
        num_heads: attention heads per layer.
        window_size: Swin window; must divide the patch grid.
        dim_mlp: hidden width inside Swin blocks.
        scale: weight of a Swin layer's output against its input.
        drop: dropout rate.
        score_bias: initial bias of the per-patch score before its ReLU, so that few patches start dead; None leaves it
            to chance, as the authors do.
    """

    backbone: str = "vit_base_patch8_224.augreg_in21k_ft_in1k"
    taps: tuple[int, ...] = (6, 7, 8, 9)
    input_size: int = 224
    embed_dim: int = 768
    num_tab: int = 2
    depths: tuple[int, ...] = (2, 2)
    num_heads: tuple[int, ...] = (4, 4)
    window_size: int = 4
    dim_mlp: int = 768
    scale: float = 0.8
    drop: float = 0.1
    score_bias: float | None = None


class QualityBranch(nn.Module):
    """Image to per-patch quality: backbone taps, channel attention and Swin blocks in two stages, two heads.

    Raises:
        ValueError: the patch grid is not a multiple of the window.
    """

    grid: tuple[int, int]
    patches: int

    def __init__(self, options: QualityBranchOptions) -> None:
        super().__init__()
        self.backbone = TappedBackbone(options.backbone, options.taps, options.input_size)
        self.grid = self.backbone.grid
        if self.grid[0] % options.window_size:
            raise InputError(
                f"window_size {options.window_size} does not divide the {self.grid[0]}x{self.grid[1]} patch grid of "
                f"'{options.backbone}' at {options.input_size} px; change input_size, taps or window_size."
            )
        self.patches = self.grid[0] * self.grid[1]
        swin = {
            "depths": options.depths,
            "num_heads": options.num_heads,
            "window_size": options.window_size,
            "dim_mlp": options.dim_mlp,
            "scale": options.scale,
        }
        self.tablock1 = nn.Sequential(*[TokenAttention(self.patches, options.drop) for _ in range(options.num_tab)])
        self.conv1 = nn.Conv2d(self.backbone.channels, options.embed_dim, 1)
        self.swintransformer1 = _swin_stage(self.grid, options.embed_dim, swin)
        self.tablock2 = nn.Sequential(*[TokenAttention(self.patches, options.drop) for _ in range(options.num_tab)])
        self.conv2 = nn.Conv2d(options.embed_dim, options.embed_dim // 2, 1)
        self.swintransformer2 = _swin_stage(self.grid, options.embed_dim // 2, swin)
        self.fc_score = _patch_head(options.embed_dim // 2, options.drop, nn.ReLU(), options.score_bias)
        self.fc_weight = _patch_head(options.embed_dim // 2, options.drop, nn.Sigmoid())
        quicken_linears(self)

    @property
    def feature_size(self) -> int:
        """Length of the quality feature."""
        return self.patches

    def forward(self, x: torch.Tensor) -> PatchQuality:
        """(N, 3, input_size, input_size) normalised image to per-patch score and weight, each (N, patches)."""
        x = self.backbone(x)  # (N, channels, h, w)
        x = self.swintransformer1(self.conv1(self._attend(self.tablock1, x)))  # (N, embed_dim, h, w)
        x = self.swintransformer2(self.conv2(self._attend(self.tablock2, x)))  # (N, embed_dim / 2, h, w)
        x = x.flatten(2).transpose(1, 2)  # (N, patches, embed_dim / 2)
        return PatchQuality(self.fc_score(x).squeeze(-1), self.fc_weight(x).squeeze(-1))

    @staticmethod
    def _attend(blocks: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
        # attention among channels, each a vector over patches: (N, C, h, w) -> (N, C, patches) and back
        return blocks(x.flatten(2)).unflatten(2, x.shape[2:])


def _swin_stage(grid: tuple[int, int], dim: int, swin: dict[str, object]) -> nn.Module:
    stage = SwinTransformer(patches_resolution=grid, embed_dim=dim, **swin)
    del stage.downsample  # pyiqa builds it, nothing calls it
    return stage


def _patch_head(dim: int, drop: float, activation: nn.Module, bias: float | None = None) -> nn.Sequential:
    last = nn.Linear(dim, 1)
    if bias is not None:
        nn.init.constant_(last.bias, bias)
    return nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Dropout(drop), last, activation)
