"""What a trunk sees of many versions of images, kept on disk: looking takes minutes, training on it seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from benchmarks.lite.versions import Version, versions_of
from maagiqa_pyiqa.archs.native_branch import NativeBranch
from maagiqa_pyiqa.support.files import written_whole


@dataclass(frozen=True)
class Seen:
    """Versions of images as a trunk sees them.

    Attributes:
        versions: V of them.
        pairs: (P, 2) places of a version and of a worse one.
        close: statistics (V, width) at native resolution.
        glance: statistics (V, width) of the small whole.
        maps: of the last stage of the glance, each (C, h, w), half precision.
    """

    versions: list[Version]
    pairs: np.ndarray
    close: torch.Tensor
    glance: torch.Tensor
    maps: list[torch.Tensor]

    def where(self, **values: object) -> np.ndarray:
        """Places of versions that have these values."""
        found = [all(getattr(v, name) == value for name, value in values.items()) for v in self.versions]
        return np.flatnonzero(found)


def look(branch: NativeBranch, images: Sequence[int], read: Callable[[int], np.ndarray], folder: Path) -> Seen:
    """Look at all versions of images; those that are in ``folder`` already are read from there.

    Args:
        branch: with the trunk.
        images: rows of the dataset's table.
        read: row to pixels (H, W, 3), uint8.
        folder: of this trunk alone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    versions: list[Version] = []
    pairs, seen = [], []
    for image in tqdm(images, unit="image", desc=f"looking ({folder.name})"):
        own, own_pairs = versions_of(image)
        place = {version: len(versions) + i for i, version in enumerate(own)}
        versions += own
        pairs += [(place[pair.better], place[pair.worse]) for pair in own_pairs]
        seen += _seen_of(branch, own, partial(read, image), folder / f"{image}.safetensors")
    close, glance, maps = zip(*seen, strict=True)
    return Seen(versions, np.array(pairs), torch.stack(close), torch.stack(glance), list(maps))


def _seen_of(
    branch: NativeBranch, versions: list[Version], read: Callable[[], np.ndarray], file: Path
) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    if not file.exists():
        pixels, tensors = read(), {}
        for i, version in enumerate(versions):
            x = torch.from_numpy(version.render(pixels).copy()).permute(2, 0, 1)[None].float() / 255
            with torch.no_grad():
                close, glance = branch.look(x)
            if glance is None:
                raise ValueError("the network has no glance; take preset lite.")
            tensors[f"close {i}"], tensors[f"glance {i}"] = close.statistics[0], glance.statistics[0]
            tensors[f"map {i}"] = glance.last_map[0].half().contiguous()
        with written_whole(file) as part:
            save_file(tensors, part)
    kept = load_file(file)
    return [(kept[f"close {i}"], kept[f"glance {i}"], kept[f"map {i}"]) for i in range(len(versions))]
