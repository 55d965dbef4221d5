r"""From trainings of its two trunks to the weights of maagiqa-lite: the mean of their scores.

maagiqa train -opt maagiqa_lite_native_3k --data AGIQA-3K
maagiqa train -opt maagiqa_lite_glance_3k --data AGIQA-3K
python -m benchmarks.lite.build --close experiments/maagiqa_lite_native_3k/models/net_best.pth \
        --glance experiments/maagiqa_lite_glance_3k/models/net_best.pth --out maagiqa_pyiqa/weights/lite.safetensors
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch

from benchmarks.build_weights import halve
from maagiqa_pyiqa.archs.checkpoints.read import load_checkpoint, read_state_dict, save_checkpoint
from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA

RECIPES = "options/maagiqa_lite_native_3k.yml, options/maagiqa_lite_glance_3k.yml"


def combine(close: Mapping[str, torch.Tensor], glance: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of preset ``lite`` whose score is the mean of the scores of two trainings, one of each trunk."""
    branch, transform, last = "quality_branch.", "fusion.quality_transform.", "fusion.regression."
    own = {name: tensor for name, tensor in close.items() if name.startswith(branch)}
    small = {f"{branch}glance.{n.removeprefix(branch)}": t for n, t in glance.items() if n.startswith(branch)}
    return {
        **own,
        **small,
        f"{transform}weight": torch.block_diag(close[f"{transform}weight"], glance[f"{transform}weight"]),
        f"{transform}bias": torch.cat([close[f"{transform}bias"], glance[f"{transform}bias"]]),
        f"{last}weight": torch.cat([close[f"{last}weight"], glance[f"{last}weight"]], 1) / 2,
        f"{last}bias": (close[f"{last}bias"] + glance[f"{last}bias"]) / 2,
    }


def main() -> None:
    """Parse the command line and build the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--close", required=True, help="checkpoint of a training at native resolution")
    parser.add_argument("--glance", required=True, help="checkpoint of a training of the glance")
    parser.add_argument("--out", type=Path, required=True, help="weights file to write")
    arguments = parser.parse_args()
    weights = halve(combine(read_state_dict(arguments.close), read_state_dict(arguments.glance)))
    save_checkpoint(weights, arguments.out, {"source": RECIPES})
    load_checkpoint(MAAGIQA(preset="lite"), arguments.out)  # refuses trainings of other networks
    print(f"{arguments.out.name}: {arguments.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
