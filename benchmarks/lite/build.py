r"""From trainings of the trunks (options/maagiqa_lite_native_3k.yml, ..._glance_3k.yml) to maagiqa-lite.

    python -m benchmarks.lite.build --close CHECKPOINT --glance CHECKPOINT --data AGIQA-3K --seen seen/ \
        --out lite.safetensors

averages the scores of the trainings, looks at versions of the training part (half an hour of one core, kept in --seen
and gone on with), trains the experts and then the read-out, and reports figures of the validation part.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.build_weights import halve
from benchmarks.lite.experts import answers, train_experts
from benchmarks.lite.read_out import score, start, train_read_out
from benchmarks.lite.seen import Seen, look
from benchmarks.lite.versions import SIZE
from maagiqa_pyiqa.agreement.statistics import evaluate
from maagiqa_pyiqa.archs.checkpoints.read import read_state_dict, save_checkpoint
from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from maagiqa_pyiqa.data.agi_dataset import read_table
from maagiqa_pyiqa.data.splits import make_split
from maagiqa_pyiqa.images.decoding import decode

RECIPE = "options/maagiqa_lite_native_3k.yml, options/maagiqa_lite_glance_3k.yml"


def average(checkpoints: Sequence[str | Path]) -> dict[str, torch.Tensor]:
    """Mean of the weights of trainings that started from the same ones."""
    states = [read_state_dict(path) for path in checkpoints]
    return {
        name: torch.stack([state[name] for state in states]).mean(0) if tensor.is_floating_point() else tensor
        for name, tensor in states[0].items()
    }


def combine(close: Mapping[str, torch.Tensor], glance: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights whose score is the mean of the scores of two trainings, one of each trunk."""
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


def network_of(weights: Mapping[str, torch.Tensor], seed: int) -> Any:
    """Preset ``lite`` with the weights of two trainings, whose mean score it gives."""
    torch.manual_seed(seed)
    net = MAAGIQA(preset="lite")
    missing, unexpected = net.load_state_dict(dict(weights), strict=False)
    new = ("quality_branch.experts.", "fusion.gate.", "fusion.semantic_transforms.")
    if unexpected or not all(name.startswith(new) for name in missing):
        raise ValueError(f"not trainings of the trunks: unexpected {unexpected[:3]}, missing {missing[:3]}.")
    start(net)
    return net.eval()


class Part:
    """A part of AGIQA-3k as the trunk sees it."""

    def __init__(self, net: Any, data: Path, split: str, name: str, folder: Path, share: tuple[int, int]) -> None:
        table = read_table(data / "data.csv", ("name", "prompt", "mos_quality"))
        self.mos = table["mos_quality"].to_numpy(float)
        rows = make_split(split, list(table["prompt"]), len(table), 0)[name]
        paths = [data / "images" / str(image) for image in table["name"]]
        own = rows[share[0] :: share[1]]
        self.seen: Seen = look(net.quality_branch, own, lambda row: np.asarray(decode(paths[row])), folder)


def figures(scores: np.ndarray, seen: Seen, mos: np.ndarray) -> dict[str, float]:
    """Agreement with ratings, of other sizes with the originals, and the share of pairs in order by damage."""
    clean, resized = seen.where(damage="", size=SIZE), [i for i, v in enumerate(seen.versions) if v.resized]
    found = evaluate(scores[clean], mos[[seen.versions[i].image for i in clean]])
    of_image = {seen.versions[i].image: scores[i] for i in clean}
    originals = np.array([of_image[seen.versions[i].image] for i in resized])
    found["srcc_other_sizes"] = evaluate(scores[resized], originals)["srcc"]
    order: dict[str, list[bool]] = {}
    for better, worse in seen.pairs:
        order.setdefault(seen.versions[worse].damage, []).append(scores[better] > scores[worse])
    return {**found, **{f"in order: {name}": float(np.mean(values)) for name, values in order.items()}}


def main() -> None:
    """Parse the command line and build one file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--close", nargs="+", required=True, help="net_best.pth of trainings at native resolution")
    parser.add_argument("--glance", nargs="+", required=True, help="net_best.pth of trainings of the glance")
    parser.add_argument("--data", type=Path, required=True, help="folder of AGIQA-3k")
    parser.add_argument("--split", default="official")
    parser.add_argument("--seen", type=Path, required=True, help="folder to keep what the trunk saw in")
    parser.add_argument("--out", type=Path, required=True, help="weights file to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--look-only", type=int, nargs=2, metavar=("I", "N"), help="look at every N-th image, then end")
    arguments = parser.parse_args()
    net = network_of(combine(average(arguments.close), average(arguments.glance)), arguments.seed)
    share = tuple(arguments.look_only or (0, 1))
    train, val = (Part(net, arguments.data, arguments.split, part, arguments.seen, share) for part in ("train", "val"))
    if arguments.look_only:
        return
    train_experts(net.quality_branch.experts, train.seen, arguments.seed)
    vectors = [answers(net.quality_branch.experts, part.seen) for part in (train, val)]
    report = {"trunks alone": _figures(net, val, vectors[1])}
    train_read_out(net, train.seen, vectors[0], train.mos, seed=arguments.seed)
    report["read-out"] = _figures(net, val, vectors[1])
    save_checkpoint(halve(net.state_dict()), arguments.out, {"source": RECIPE, "split": arguments.split})
    print(json.dumps(report, indent=1))


def _figures(net: Any, part: Part, vectors: torch.Tensor) -> dict[str, float]:
    with torch.no_grad():
        return figures(score(net, part.seen, vectors).numpy(), part.seen, part.mos)


if __name__ == "__main__":
    main()
