"""Images as mPLUG-Owl2 takes them: padded to a square with the mean colour, resized by Pillow, normalised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from maagiqa_pyiqa.semantics.model_files import read_config
from maagiqa_pyiqa.support.errors import InputError


@dataclass(frozen=True)
class ClipPixels:
    """Preprocessing, from the checkpoint's ``preprocessor_config.json``."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def from_folder(cls, folder: Path) -> ClipPixels:
        """Read the published file.

        Raises:
            FileNotFoundError: it is not there.
            ValueError: another way of preprocessing than bicubic to a square.
        """
        raw = read_config(folder, "preprocessor_config.json")
        size, crop = _side(raw["size"]), _side(raw["crop_size"])
        if raw.get("resample", 3) != 3 or size != crop:
            raise InputError(
                f"'{folder}/preprocessor_config.json': expected bicubic (resample 3) and one size for resizing and "
                f"cropping, got resample {raw.get('resample')}, sizes {size} and {crop}."
            )
        return cls(size, tuple(raw["image_mean"]), tuple(raw["image_std"]))

    def prepare(self, image: Image.Image) -> torch.Tensor:
        """8-bit RGB image to its padded and resized pixels, uint8 (3, S, S)."""
        side = max(image.size)
        if image.size != (side, side):
            square = Image.new("RGB", (side, side), tuple(int(channel * 255) for channel in self.mean))
            square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
            image = square
        pixels = np.array(image.resize((self.size, self.size), Image.Resampling.BICUBIC))
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()

    def normalise(self, pixels: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Pixels uint8 (N, 3, S, S) to what the vision encoder takes, computed in fp32."""
        mean, std = (torch.tensor(x, device=pixels.device).view(3, 1, 1) for x in (self.mean, self.std))
        return ((pixels.float() / 255 - mean) / std).to(dtype)


def _side(size: int | Mapping[str, Any]) -> int:
    return size if isinstance(size, int) else int(next(iter(size.values())))
