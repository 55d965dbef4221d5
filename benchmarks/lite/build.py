r"""From trainings of its two trunks, the mean of whose scores is taken, and of both together to maagiqa-lite's weights.

python -m benchmarks.lite.smoothed --data AGIQA-3K --with-val --out experiments/agiqa_3k_smoothed.csv
maagiqa train -opt maagiqa_lite_native_3k --data AGIQA-3K \
        --force_yml datasets:train:meta_info_file=experiments/agiqa_3k_smoothed.csv datasets:train:with_val=true
maagiqa train -opt maagiqa_lite_glance_3k --data AGIQA-3K \
        --force_yml datasets:train:meta_info_file=experiments/agiqa_3k_smoothed.csv datasets:train:with_val=true
python -m benchmarks.lite.build trunks --close experiments/maagiqa_lite_native_3k/models/net_latest.pth \
        --glance experiments/maagiqa_lite_glance_3k/models/net_latest.pth \
        --out experiments/maagiqa_lite_3k_trunks.safetensors
maagiqa train -opt maagiqa_lite_robust_3k --data AGIQA-3K \
        --force_yml datasets:train:meta_info_file=experiments/agiqa_3k_smoothed.csv datasets:train:with_val=true
python -m benchmarks.lite.build weights experiments/maagiqa_lite_robust_3k/models/net_latest.pth \
        --trunks experiments/maagiqa_lite_3k_trunks.safetensors --out maagiqa_pyiqa/weights/lite.safetensors
python -m benchmarks.lite.distribution --data AGIQA-3K
python -m benchmarks.lite.features --data AGIQA-3K
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch

from benchmarks.build_weights import halve
from maagiqa_pyiqa.archs.checkpoints.read import load_checkpoint, read_state_dict, save_checkpoint
from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA

RECIPES = (
    "options/maagiqa_lite_native_3k.yml",
    "options/maagiqa_lite_glance_3k.yml",
    "options/maagiqa_lite_robust_3k.yml",
)

LAST = 0.75  # of the last training is kept


def unbalance(trained: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same function without weights of stages, by which the first layer of its head is multiplied."""
    weights, first = "quality_branch.stage_weights", "quality_branch.head.1.weight"
    plain = {name: tensor for name, tensor in trained.items() if name != weights}
    return {**plain, first: trained[first] * trained[weights]} if weights in trained else plain


def combine(close: Mapping[str, torch.Tensor], glance: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of preset ``lite`` whose score is the mean of the scores of two trainings, one of each trunk."""
    close, glance = unbalance(close), unbalance(glance)
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


def join_trunks(close: str, glance: str, out: Path) -> None:
    """Write what the last training starts from."""
    save_checkpoint(combine(read_state_dict(close), read_state_dict(glance)), out, {"source": ", ".join(RECIPES[:2])})


def average(before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights between those before the last training and those after it, LAST of the way.

    What the last training costs in agreement with people falls faster on the way back than what it gains.
    """

    def between(name: str, end: torch.Tensor) -> torch.Tensor:
        return torch.lerp(before[name].to(end.dtype), end, LAST) if end.is_floating_point() else end

    return {name: between(name, end) for name, end in after.items()}


def build_weights(trunks: str, checkpoint: str, out: Path) -> None:
    """Write the weights that ship, matrices in half precision."""
    weights = average(read_state_dict(trunks), read_state_dict(checkpoint))
    save_checkpoint(halve(weights), out, {"source": ", ".join(RECIPES)})


def main() -> None:
    """Parse the command line and build the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    trunks = steps.add_parser("trunks", help="join trainings of the two trunks")
    trunks.add_argument("--close", required=True, help="checkpoint of a training at native resolution")
    trunks.add_argument("--glance", required=True, help="checkpoint of a training of the glance")
    weights = steps.add_parser("weights", help="make the file that ships, between start and end of the last training")
    weights.add_argument("--trunks", required=True, help="what that training started from")
    weights.add_argument("checkpoint", help="of the last training")
    for step in (trunks, weights):
        step.add_argument("--out", type=Path, required=True, help="file to write")
    arguments = parser.parse_args()
    if arguments.step == "trunks":
        join_trunks(arguments.close, arguments.glance, arguments.out)
    else:
        build_weights(arguments.trunks, arguments.checkpoint, arguments.out)
    load_checkpoint(MAAGIQA(preset="lite"), arguments.out)  # refuses trainings of other networks
    print(f"{arguments.out.name}: {arguments.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
