"""Quality branch at native resolution: what an image's maps look like on all scales, whatever its size.

In the place of the paper's MANIQA branch (section 3.1). Images are not squashed to a square, which would hide blur and
texture: of the maps of every stage of a CNN, and of its head, mean and deviation over positions are taken, and two
layers make a quality feature of them. Of large images the whole and as many pixels as a budget allows are seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import timm
import torch
from torch import nn

from maagiqa_pyiqa.archs.folded_norms import fold_norms
from maagiqa_pyiqa.archs.native_experts import Experts
from maagiqa_pyiqa.archs.native_views import own_pixels, views
from maagiqa_pyiqa.archs.onnx_trunk import MapStatistics, OnnxTrunk
from maagiqa_pyiqa.archs.quality_branch import QualityBranchOptions, create_timm_model
from maagiqa_pyiqa.images.tensors import resize_to
from maagiqa_pyiqa.support.errors import InputError

GLANCE_PIXELS = 256 * 256
VARIANCE_FLOOR = 1e-4  # added to variances before the logarithm, which flat images need


@dataclass(frozen=True, kw_only=True)
class NativeBranchOptions(QualityBranchOptions):
    """What defines the branch beside ``backbone``, ``taps`` and ``drop``.

    Attributes:
        max_pixels: how many of an image's own pixels are looked at; what a large one costs is bounded by it.
        quality_dim: length of the quality feature, of each look.
        glance_backbone: of a second trunk, which sees the whole picture at GLANCE_PIXELS; empty for none.
        balanced: whether each stage weighs alike in what a head learns first, however many channels it has.
        semantic_experts: whether the branch has experts, which make semantic features.
        feature_dim: length of a semantic feature.
        mean: of the pixels that the backbone takes.
        std: of the same.
    """

    max_pixels: int = 1024 * 1024
    quality_dim: int = 128
    glance_backbone: str = ""
    balanced: bool = False
    semantic_experts: bool = False
    feature_dim: int = 4096
    mean: float = 0.5
    std: float = 0.5


class NativeQuality(NamedTuple):
    """Output of the branch: the quality feature (N, quality_dim), and of its experts (N, E, feature_dim) or None."""

    feature: torch.Tensor
    semantic_features: torch.Tensor | None


class Sight(NamedTuple):
    """What a trunk sees: ``statistics`` (N, width), the mean over views, and the last map of the whole view."""

    statistics: torch.Tensor
    last_map: torch.Tensor


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
        """By PyTorch, or by ONNX Runtime on a CPU where no gradients are wanted: then no hooks of layers are called."""
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


def stage_weights(channels: Sequence[int]) -> torch.Tensor:
    """What each of a look's statistics is multiplied by, (2 * all channels,), for all stages to weigh alike.

    A stage's share in what a linear layer gives grows with its channels: the 1,280 of Lite0's head leave little to the
    16 of its first stage, where blur and noise show. The mean of the squares is one.
    """
    counts = torch.tensor([float(count) for count in channels for _ in range(count)])
    return (counts.numel() / (len(channels) * counts)).sqrt().repeat(2)


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


class Look(nn.Module):
    """One way to look at pictures: a trunk, and what makes a feature of its statistics.

    Args:
        backbone: timm model name.
        options: of the branch.
    """

    stage_weights: torch.Tensor | None

    def __init__(self, backbone: str, options: NativeBranchOptions) -> None:
        super().__init__()
        self.mean, self.std = options.mean, options.std
        self.backbone = StageStatistics(backbone, options.taps)
        width = 2 * sum(self.backbone.channels)
        self.standardisation = Standardisation(width)
        # with the weights, so that a network without them refuses weights that were trained with them
        self.register_buffer("stage_weights", stage_weights(self.backbone.channels) if options.balanced else None)
        self.head = nn.Sequential(
            nn.Dropout(options.drop),
            nn.Linear(width, options.quality_dim),
            nn.GELU(),
            nn.Dropout(options.drop),
        )

    def forward(self, views: Sequence[Sequence[torch.Tensor]]) -> Sight:
        """Views of images, each as tiles (N, 3, h, w) in [0, 1], to what is seen in them."""
        statistics, maps = [], []
        for tiles in views:
            seen = [self.backbone((tile - self.mean) / self.std) for tile in tiles]
            statistics.append(over_all(seen))
            maps.append(seen[0].last_map)
        return Sight(torch.stack(statistics).mean(0), maps[0])

    def feature(self, statistics: torch.Tensor) -> torch.Tensor:
        """(N, width) to a feature (N, quality_dim)."""
        standard = self.standardisation(statistics)
        feature: torch.Tensor = self.head(standard if self.stage_weights is None else standard * self.stage_weights)
        return feature


class NativeBranch(Look):
    """Image of any size to a quality feature, and to semantic features where it has experts.

    Beside its look at native resolution it may have a glance: another trunk's look at the whole picture made small.

    Attributes:
        feature_size: length of the quality feature.
    """

    feature_size: int

    def __init__(self, options: NativeBranchOptions) -> None:
        super().__init__(options.backbone, options)
        self.options = options
        self.glance = Look(options.glance_backbone, options) if options.glance_backbone else None
        self.feature_size = options.quality_dim * (2 if self.glance else 1)
        channels = (self.glance or self).backbone.channels[-2]
        self.experts = Experts(channels, options.feature_dim) if options.semantic_experts else None

    def forward(self, x: torch.Tensor) -> NativeQuality:  # type: ignore[override]  # it makes its views itself
        """Images (N, 3, H, W) in [0, 1] to features; that an image is enlarged by copying pixels does not matter."""
        if self.training or torch.compiler.is_compiling():
            return self._of_one_size(x)
        images = [own_pixels(image) for image in x]
        if all(image.shape == x.shape[1:] for image in images):
            return self._of_one_size(x)  # without a copy of them
        groups: dict[torch.Size, list[int]] = {}
        for place, image in enumerate(images):
            groups.setdefault(image.shape, []).append(place)
        parts = [self._of_one_size(torch.stack([images[place] for place in places])) for places in groups.values()]
        order = torch.tensor([place for places in groups.values() for place in places], device=x.device).argsort()
        semantic_features = [part.semantic_features for part in parts if part.semantic_features is not None]
        return NativeQuality(
            torch.cat([part.feature for part in parts])[order],
            torch.cat(semantic_features)[order] if semantic_features else None,
        )

    def _of_one_size(self, x: torch.Tensor) -> NativeQuality:
        return self.judge(*self.look(x))

    def look(self, x: torch.Tensor) -> tuple[Sight, Sight | None]:
        """What the trunks see of images (N, 3, H, W) in [0, 1]: close by, and at a glance where there is one."""
        seen = views(x, self.options.max_pixels)
        small = [resize_to(whole, GLANCE_PIXELS) for whole in seen[0]]  # of the whole view: reducing takes long
        return super().forward(seen), self.glance([small]) if self.glance else None

    def judge(self, close: Sight, glance: Sight | None) -> NativeQuality:
        """What trunks saw to features."""
        features = [self.feature(close.statistics)]
        if self.glance is not None and glance is not None:
            features.append(self.glance.feature(glance.statistics))
        last_map = close.last_map if glance is None else glance.last_map
        return NativeQuality(torch.cat(features, 1), None if self.experts is None else self.experts(last_map))


def over_all(tiles: Sequence[MapStatistics]) -> torch.Tensor:
    """Mean and log deviation over the positions of all tiles of a picture, (N, width)."""
    means = torch.stack([tile.mean for tile in tiles])  # (tiles, N, channels)
    variance = torch.stack([tile.variance for tile in tiles]).mean(0) + means.var(0, correction=0)
    return torch.cat([means.mean(0), log_deviation(variance)], dim=1)
