"""A small frozen visual encoder as semantic extractor: EfficientNet-Lite2 trained on ImageNet, inside the package.

It answers no question and holds no language model: it knows what ImageNet's thousand classes look like. Its two
vectors stand where the paper's two prompts stand: what is in the image as a whole (mean over positions) and how much
that differs from place to place (deviation over positions).
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from maagiqa_pyiqa.images.tensors import check_images, squash, squash_image
from maagiqa_pyiqa.semantics.batched_extractor import ModelExtractor, as_pil, name_of
from maagiqa_pyiqa.weights import packaged_weights

BACKBONE = "tf_efficientnet_lite2"
INPUT_SIZE = 260
INTERPOLATION = "cubic-antialias"
FEATURE_DIM = 1280


class VisualEncoder(nn.Module):
    """Image (N, 3, 260, 260) in [0, 1] to mean and deviation over positions, (N, 2, 1280)."""

    __call__: Callable[..., torch.Tensor]
    backbone: Any  # timm's forward_features is not part of nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.backbone = timm.create_model(BACKBONE, pretrained=False, num_classes=0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # noqa: D102
        x = ((x - 0.5) / 0.5).contiguous(memory_format=torch.channels_last)
        positions = self.backbone.forward_features(x).flatten(2)  # (N, 1280, 9 * 9)
        return torch.stack([positions.mean(-1), positions.std(-1, correction=0)], dim=1)


class VisualExtractor(ModelExtractor):
    """Semantic extractor on the packaged VisualEncoder; protocol in ``semantics.protocol``.

    Args:
        device: where it runs; the CPU by default.
        dtype: ``auto`` is fp32.
        batch_size: images at once.
    """

    prompts = ("visual_mean", "visual_deviation")
    feature_dim = FEATURE_DIM
    gpu_dtype = "fp32"
    batch_sizes = (16, 16)

    def __init__(
        self, device: torch.device | str | None = None, dtype: str = "auto", *, batch_size: int | None = None
    ) -> None:
        super().__init__(device, dtype, batch_size, workers=2)
        self._encoder = _load_encoder().to(self.device, self.dtype)

    @classmethod
    def feature_dim_of(cls) -> int:
        """Return D without loading anything."""
        return FEATURE_DIM

    @classmethod
    def fingerprint_of_source(cls) -> str:
        """Return the fingerprint itself: the weights are small."""
        return cls().fingerprint

    @property
    def fingerprint_parts(self) -> Mapping[str, Any]:
        """Weights, prompts, preprocessing and dtype."""
        return {
            "extractor": "visual",
            "weights": hashlib.sha256(packaged_weights("visual_encoder").read_bytes()).hexdigest(),
            "prompts": self.prompts,
            "preprocessing": f"squash {INPUT_SIZE} {INTERPOLATION}, mean 0.5, std 0.5",
            "dtype": name_of(self.dtype),
        }

    def _prepare(self, image: Any) -> torch.Tensor:
        if not torch.is_tensor(image):
            return squash_image(as_pil(image), INPUT_SIZE, INTERPOLATION)
        return squash(check_images(image.detach().unsqueeze(0)), INPUT_SIZE, INTERPOLATION)[0]

    def _encode(self, batch: list[torch.Tensor]) -> torch.Tensor:
        x = torch.stack(batch).to(self.device, self.dtype)
        return self._encoder(x).float().cpu()


def _load_encoder() -> VisualEncoder:
    encoder = VisualEncoder().eval().requires_grad_(False)
    weights = load_file(packaged_weights("visual_encoder"))
    encoder.backbone.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    _fold_norms(encoder)
    return encoder.to(memory_format=torch.channels_last)


def _fold_norms(module: nn.Module) -> None:
    """Fold each batch norm into the convolution before it: the same function, in half the time on a CPU."""
    children = list(module.named_children())
    for (name, layer), (next_name, following) in itertools.pairwise(children):
        if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(layer, following))
            setattr(module, next_name, following.act)  # timm's norm layers carry the activation
    for _, child in children:
        _fold_norms(child)
