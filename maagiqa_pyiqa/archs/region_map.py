"""Where in a picture its quality is: a score for each of its regions, by the native branch.

Mean and deviation of the close trunk's maps are taken over windows in place of the whole picture. All else stays as it
is for the picture: the glance, what the experts say, the weights. Regions are to be compared with each other; windows
vary less within themselves than pictures do, so their scores are shifted such that their mean is the picture's score.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from maagiqa_pyiqa.archs.fusion import AdaptiveFusion
from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from maagiqa_pyiqa.archs.maagiqa_options import MAAGIQAOptions
from maagiqa_pyiqa.archs.native_branch import NativeBranch, log_deviation
from maagiqa_pyiqa.archs.native_views import own_pixels
from maagiqa_pyiqa.images.tensors import check_images, reduce_to
from maagiqa_pyiqa.support.errors import InputError, InputTypeError

WINDOW = 128  # side of a region in pixels
STRIDE = 64  # from one region to the next, at most


class RegionMap(NamedTuple):
    """Quality over a picture.

    Attributes:
        scores: (rows, columns) of its regions; their mean is the picture's.
        score: of the picture.
        window: height and width of a region, as shares of the picture's.
    """

    scores: torch.Tensor
    score: float
    window: tuple[float, float]


def has_regions(net: object) -> bool:
    """Whether ``map_regions`` takes a network: one of branch ``native`` that makes its semantic features, if any."""
    return _parts(net) is not None


def _parts(net: object) -> tuple[MAAGIQAOptions, NativeBranch, AdaptiveFusion] | None:
    if not isinstance(net, MAAGIQA) or not isinstance(net.quality_branch, NativeBranch) or net.fusion is None:
        return None
    own_features = net.options.semantic_experts or net.options.num_prompts == 0
    return (net.options, net.quality_branch, net.fusion) if own_features else None


@torch.no_grad()
def map_regions(net: object, x: torch.Tensor) -> RegionMap:
    """Score the regions of one picture, windows of WINDOW pixels that overlap by half.

    Args:
        net: a MAAGIQA with branch ``native``, such as that of ``maagiqa-lite``, in eval mode.
        x: (1, 3, H, W) RGB in [0, 1]; one of more pixels than the network looks at is reduced to them.

    Raises:
        TypeError: a network of another kind.
        ValueError: no such picture.
    """
    parts = _parts(net)
    if parts is None:
        raise InputTypeError("regions are scored by a network with branch 'native', such as that of maagiqa-lite.")
    if len(check_images(x)) != 1:
        raise InputError(f"regions are scored a picture at a time, shape (1, 3, H, W); got {tuple(x.shape)}.")
    options, branch, fusion = parts
    x = own_pixels(x[0].to(next(branch.parameters()).dtype))[None]
    whole = branch.judge(*branch.look(x))
    semantic = x.new_empty(1, 0, options.feature_dim) if whole.semantic_features is None else whole.semantic_features
    seen = reduce_to(x, options.max_pixels)
    statistics = region_statistics(branch, seen)  # (rows, columns, width)
    local = branch.feature(statistics.flatten(0, 1))
    rest = whole.feature[:, local.shape[1] :].expand(len(local), -1)  # of the glance, if there is one
    scores = fusion(torch.cat([local, rest], dim=1), semantic.expand(len(local), -1, -1)).score
    score = fusion(whole.feature, semantic).score
    window = min(1.0, WINDOW / seen.shape[-2]), min(1.0, WINDOW / seen.shape[-1])
    return RegionMap((scores - scores.mean() + score).reshape(statistics.shape[:2]), float(score), window)


def region_statistics(branch: NativeBranch, x: torch.Tensor) -> torch.Tensor:
    """Mean and log deviation of a picture's maps over each window: (1, 3, H, W) to (rows, columns, width)."""
    means, variances = [], []
    for feature_map in branch.backbone.maps((x - branch.mean) / branch.std):
        values = feature_map[0].float()
        down, across = (_averages(x.shape[axis], values.shape[axis], values) for axis in (-2, -1))
        centre = values.mean((-2, -1), keepdim=True)  # without which squares would lose what they differ by
        mean = down @ (values - centre) @ across.T  # (C, rows, columns)
        square = down @ (values - centre).square() @ across.T
        means.append(mean + centre)
        variances.append((square - mean.square()).clamp(min=0))
    return torch.cat([torch.cat(means), log_deviation(torch.cat(variances))]).movedim(0, -1)


def _averages(pixels: int, positions: int, like: torch.Tensor) -> torch.Tensor:
    """Matrix (windows, positions) that averages a map's positions along one axis over each window of the picture."""
    count = max(1, math.ceil((pixels - WINDOW) / STRIDE) + 1)
    scale = positions / pixels
    matrix = like.new_zeros(count, positions)
    for row, start in zip(matrix, torch.linspace(0, max(pixels - WINDOW, 0), count).tolist(), strict=True):
        first = min(round(start * scale), positions - 1)
        row[first : max(first + 1, round((start + WINDOW) * scale))] = 1
    return matrix / matrix.sum(1, keepdim=True)
