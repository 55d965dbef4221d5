"""Quality branch at native resolution: what an image's maps look like on all scales, whatever its size.

In the place of the paper's MANIQA branch (section 3.1). Images are not squashed to a square, which would hide blur and
texture: of the maps of every stage of a CNN, and of its head, mean and deviation over positions are taken, and two
layers make a quality feature of them. Only images beyond a budget of pixels are reduced to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import timm
import torch
from torch import nn

from maagiqa_pyiqa.archs.folded_norms import fold_norms
from maagiqa_pyiqa.archs.onnx_trunk import MapStatistics, OnnxTrunk
from maagiqa_pyiqa.archs.quality_branch import QualityBranchOptions, create_timm_model
from maagiqa_pyiqa.support.errors import InputError

VARIANCE_FLOOR = 1e-4  # added to variances before the logarithm, which flat images need


@dataclass(frozen=True, kw_only=True)
class NativeBranchOptions(QualityBranchOptions):
    """What defines the branch beside ``backbone``, ``taps`` and ``drop``.

    Attributes:
        max_pixels: images of more are reduced to so many, keeping their shape; what they cost is bounded by it.
        quality_dim: length of the quality feature.
    """

    max_pixels: int = 1024 * 1024
    quality_dim: int = 128


class NativeQuality(NamedTuple):
    """Output of the branch: the quality feature (N, quality_dim)."""

    feature: torch.Tensor


class StageStatistics(nn.Module):
    """Image (N, 3, H, W), normalised, to mean and variance of each channel of the taps and of the head.

    Args:
        name: timm model name, of a CNN.
        taps: indices of stages as in timm's ``forward_intermediates``.

    Attributes:
        channels: of each tap, then of the head.

    Raises:
        ValueError: timm has no such model, it takes images of one size only, or a tap does not exist.
    """

    channels: list[int]
    model: Any  # timm's feature_info and forward_intermediates are not part of nn.Module

    def __init__(self, name: str, taps: tuple[int, ...]) -> None:
        super().__init__()
        self.model = create_timm_model(name, taps)
        config = timm.get_pretrained_cfg(name)
        if config and config.fixed_input_size:
            raise InputError(f"branch 'native' takes images of any size, and backbone '{name}' of one; choose a CNN.")
        self.taps = list(taps)
        self.model.reset_classifier(0)
        fold_norms(self.model)
        self.channels = [*(self.model.feature_info[tap]["num_chs"] for tap in taps), self.model.num_features]
        self._onnx = OnnxTrunk(name, taps)

    def forward(self, x: torch.Tensor) -> MapStatistics:
        """By ONNX Runtime on a CPU where no gradients are wanted and it knows the backbone, else by PyTorch."""
        if self._onnx.takes(self.model, x):
            return self._onnx(self.model, x)
        *maps, last = self.maps(x)
        means, variances = zip(*map(mean_and_variance, (*maps, last)), strict=True)
        return MapStatistics(torch.cat(means, 1), torch.cat(variances, 1), maps[-1])

    def maps(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The taps' maps and the head's, each (N, C, h, w)."""
        x = x.contiguous(memory_format=torch.channels_last)  # in which convolutions take half the time on a CPU
        last, maps = self.model.forward_intermediates(x, indices=self.taps)
        return [*maps, last]


def mean_and_variance(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance over positions of (N, C, H, W), both (N, C), float32 at least."""
    x = x.to(torch.promote_types(x.dtype, torch.float32)).permute(0, 2, 3, 1).flatten(1, 2)  # (N, H W, C), as they lie
    mean = x.mean(1, keepdim=True)
    return mean.squeeze(1), (x - mean).square().mean(1)


def log_deviation(variance: torch.Tensor) -> torch.Tensor:
    """Logarithm of the standard deviation, finite for flat images too."""
    return (variance + VARIANCE_FLOOR).log() / 2


class Standardisation(nn.Module):
    """Values in deviations from their mean, as the first images of a training have them; constant from then on.

    Args:
        width: how many values an image has.
        images: how many of the first images are looked at.
        limit: in deviations, where values are cut off.
    """

    mean: torch.Tensor
    variance: torch.Tensor
    seen: torch.Tensor

    def __init__(self, width: int, images: int = 512, limit: float = 8.0) -> None:
        super().__init__()
        self.images, self.limit = images, limit
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))
        self.register_buffer("seen", torch.tensor(0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, width) to the same shape, within +-limit."""
        if self.training and self.seen < self.images:
            self._look_at(x.detach())
        return ((x - self.mean) / (self.variance + VARIANCE_FLOOR).sqrt()).clamp(-self.limit, self.limit)

    def _look_at(self, x: torch.Tensor) -> None:
        """Take a batch into mean and variance of all that were seen."""
        variance, mean = torch.var_mean(x, 0, correction=0)
        share = len(x) / (int(self.seen) + len(x))  # of the batch among all of them
        step = mean - self.mean
        self.variance.lerp_(variance + (1 - share) * step.square(), share)
        self.mean.lerp_(mean, share)
        self.seen += len(x)


class NativeBranch(nn.Module):
    """Image of any size to a quality feature.

    Attributes:
        feature_size: length of the quality feature.
    """

    feature_size: int

    def __init__(self, options: NativeBranchOptions) -> None:
        super().__init__()
        self.feature_size = options.quality_dim
        self.backbone = StageStatistics(options.backbone, options.taps)
        width = 2 * sum(self.backbone.channels)
        self.standardisation = Standardisation(width)
        self.head = nn.Sequential(
            nn.Dropout(options.drop),
            nn.Linear(width, options.quality_dim),
            nn.GELU(),
            nn.Dropout(options.drop),
        )

    def forward(self, x: torch.Tensor) -> NativeQuality:
        """Normalised images (N, 3, H, W) to the quality feature."""
        return NativeQuality(self.head(self.standardisation(self._statistics(x))))

    def _statistics(self, x: torch.Tensor) -> torch.Tensor:
        """Map after map its means and its log deviations, (N, 2 channels of all maps)."""
        mean, variance, _ = self.backbone(x)
        channels = self.backbone.channels
        by_map = zip(mean.split(channels, 1), log_deviation(variance).split(channels, 1), strict=True)
        return torch.cat([values for pair in by_map for values in pair], 1)
