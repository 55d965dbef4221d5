"""The authors' augmentations and resize as pyiqa-style transforms, and a mapping that refuses misspelt names.

Semantic features stay those of the untransformed image, as in the authors' code.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import torch
from PIL import Image
from pyiqa.data.transforms import transform_mapping
from torchvision.transforms.functional import to_tensor

from maagiqa_pyiqa.images.tensors import INTERPOLATIONS, squash
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import reject_unknown, require_choice

Transform = Callable[[Any], Any]
PYIQA_TRANSFORMS = (
    "random_crop", "center_crop", "resize", "adaptive_resize", "random_square_resize", "random_arp_resize", "ada_pad",
    "rot90", "randomerase", "hflip", "vflip",
)  # fmt: skip


def _as_tensor(image: Image.Image | torch.Tensor) -> torch.Tensor:
    return image if torch.is_tensor(image) else to_tensor(image)


class Squash:
    """Resize to a square without keeping the aspect ratio, exactly as the network would.

    Args:
        size: side in pixels.
        interpolation: ``cubic`` (OpenCV's, the authors') or ``cubic-antialias``.
    """

    def __init__(self, size: int, interpolation: str = "cubic") -> None:
        require_choice("squash", "interpolation", interpolation, INTERPOLATIONS)
        self.size, self.interpolation = size, interpolation

    def __call__(self, image: Image.Image | torch.Tensor) -> torch.Tensor:
        """Image to (3, size, size) in [0, 1]."""
        return squash(_as_tensor(image).unsqueeze(0), self.size, self.interpolation)[0]


class RandomQuarterTurns:
    """With probability ``p`` turn by 1, 2 or 3 quarters, counter-clockwise."""

    def __init__(self, p: float = 0.7) -> None:
        self.p = p

    def __call__(self, image: Image.Image | torch.Tensor) -> torch.Tensor:
        """Image to (3, H, W), or (3, W, H) after an odd number of turns."""
        x = _as_tensor(image)
        return torch.rot90(x, random.randint(1, 3), (-2, -1)) if random.random() < self.p else x


class RandomHeightFlip:
    """With probability ``p`` flip along the height; the authors' ``fliplr`` on channel-first arrays does that."""

    def __init__(self, p: float = 0.7) -> None:
        self.p = p

    def __call__(self, image: Image.Image | torch.Tensor) -> torch.Tensor:
        """Image to (3, H, W)."""
        x = _as_tensor(image)
        return x.flip(-2) if random.random() < self.p else x


OWN_TRANSFORMS: dict[str, type] = {
    "squash": Squash,
    "random_quarter_turns": RandomQuarterTurns,
    "random_height_flip": RandomHeightFlip,
}


def build_transforms(augment: Mapping[str, Any] | None) -> list[Transform]:
    """Transforms of a dataset's ``augment`` section, in its order; pyiqa's names work beside ours.

    Args:
        augment: name to arguments: a mapping, one value, or false to leave it out.

    Raises:
        ValueError: an unknown name (pyiqa alone would drop it silently), or one of pyiqa's, which work on PIL
            images, after one of ours, which give tensors.
    """
    augment = augment or {}
    reject_unknown("augment", augment.keys(), (*OWN_TRANSFORMS, *PYIQA_TRANSFORMS))
    transforms: list[Transform] = []
    for name, arguments in augment.items():
        if name in PYIQA_TRANSFORMS:
            if any(isinstance(transform, tuple(OWN_TRANSFORMS.values())) for transform in transforms):
                raise InputError(f"augment: '{name}' is pyiqa's and works on PIL images; put it before our own.")
            transforms += transform_mapping(name, arguments)
        elif arguments is not False:
            transforms.append(_build(OWN_TRANSFORMS[name], arguments))
    return transforms


def _build(cls: type, arguments: Any) -> Transform:
    if isinstance(arguments, Mapping):
        return cls(**arguments)
    return cls() if arguments is True else cls(arguments)
