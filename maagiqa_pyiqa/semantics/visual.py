"""A small frozen visual encoder as semantic extractor: EfficientNet-Lite2 trained on ImageNet, inside the package.

It answers no question and holds no language model: it knows what ImageNet's thousand classes look like. Its two
vectors stand where the paper's two prompts stand: what is in the image as a whole (mean over positions) and how much
that differs from place to place (deviation over positions).
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Iterator
from typing import Any

import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.transforms.functional import to_tensor

from maagiqa_pyiqa.archs.checkpoint import packaged_weights
from maagiqa_pyiqa.archs.preprocess import check_images, squash
from maagiqa_pyiqa.semantics.extractor import Images, fingerprint_of

BACKBONE = "tf_efficientnet_lite2"
INPUT_SIZE = 260
BATCH_SIZE = 16
TORCH_DTYPES = {"auto": torch.float32, "fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class VisualEncoder(nn.Module):
    """Image (N, 3, 260, 260) in [0, 1] to mean and deviation over positions, (N, 2, 1280)."""

    backbone: Any  # timm's forward_features is not part of nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.backbone = timm.create_model(BACKBONE, pretrained=False, num_classes=0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Encode a batch."""
        x = ((x - 0.5) / 0.5).contiguous(memory_format=torch.channels_last)
        positions = self.backbone.forward_features(x).flatten(2)  # (N, 1280, 9 * 9)
        return torch.stack([positions.mean(-1), positions.std(-1, correction=0)], dim=1)


class VisualExtractor:
    """Semantic extractor on the packaged VisualEncoder; protocol in ``semantics.extractor``.

    Args:
        device: where it runs; the CPU by default.
        dtype: ``auto`` is fp32.
    """

    prompts = ("visual_mean", "visual_deviation")
    feature_dim = 1280

    def __init__(self, device: torch.device | str | None = None, dtype: str = "auto") -> None:
        self.device = torch.device(device or "cpu")
        self.dtype = TORCH_DTYPES[dtype]
        self._encoder = _load_encoder().to(self.device, self.dtype)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of weights, prompts, preprocessing and dtype."""
        weights = hashlib.sha256(packaged_weights("visual_encoder").read_bytes()).hexdigest()
        preprocessing = f"squash {INPUT_SIZE} cubic-antialias, mean 0.5, std 0.5"
        parts = {"weights": weights, "prompts": self.prompts, "preprocessing": preprocessing, "dtype": str(self.dtype)}
        return fingerprint_of(parts)

    def extract(self, images: Images) -> torch.Tensor:
        """Return (N, 2, 1280) float32 on the CPU; raise on the first image that cannot be read."""
        rows = []
        for _, row in self.stream(images):
            if isinstance(row, Exception):
                raise row
            rows.append(row)
        return torch.stack(rows) if rows else torch.empty(0, len(self.prompts), self.feature_dim)

    def stream(self, images: Images) -> Iterator[tuple[int, torch.Tensor | Exception]]:
        """Yield (index, (2, 1280) features or the error) for each image, in order, a batch in memory at a time."""
        batch: list[tuple[int, torch.Tensor | Exception]] = []
        for index, image in enumerate(images):
            try:
                batch.append((index, self._prepare(image)))
            except (OSError, ValueError, Image.DecompressionBombError) as error:
                batch.append((index, error))
            if len(batch) == BATCH_SIZE:
                yield from self._encode(batch)
                batch = []
        yield from self._encode(batch)

    @torch.no_grad()
    def _prepare(self, image: Any) -> torch.Tensor:
        if not torch.is_tensor(image):
            if not isinstance(image, Image.Image):
                image = Image.open(str(image))
            image = to_tensor(image.convert("RGB"))
        return squash(check_images(image.unsqueeze(0)), INPUT_SIZE, "cubic-antialias")[0]

    @torch.no_grad()
    def _encode(
        self, batch: list[tuple[int, torch.Tensor | Exception]]
    ) -> Iterator[tuple[int, torch.Tensor | Exception]]:
        tensors = [x for _, x in batch if torch.is_tensor(x)]
        features = iter(self._forward(torch.stack(tensors)) if tensors else ())
        return iter([(index, x if isinstance(x, Exception) else next(features)) for index, x in batch])

    def _forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.to(self.device, self.dtype)
        with torch.autocast(self.device.type, enabled=False):  # the same numbers inside a caller's autocast
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
