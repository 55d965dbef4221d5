r"""What semantic experts bring: agreement with people, and the order of coherent and incoherent pictures.

    python -m benchmarks.lite.semantic_study --close CHECKPOINT --glance CHECKPOINT --data AGIQA-3K --seen seen/ \
        --out study.json

looks at versions of the training and the validation part (half an hour of one core, kept in --seen and gone on with),
trains the experts on the training part, gate and fusion on one half of the validation part, and reports figures of the
other half without and with them. No rating is looked at but for the figures.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.lite.build import combine
from benchmarks.lite.experts import answers, train_experts
from benchmarks.lite.read_out import score, start, train_read_out
from benchmarks.lite.seen import Seen, look
from benchmarks.lite.versions import SIZE
from maagiqa_pyiqa.agreement.statistics import evaluate
from maagiqa_pyiqa.archs.checkpoints.read import read_state_dict
from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from maagiqa_pyiqa.data.agi_dataset import read_table
from maagiqa_pyiqa.data.splits import make_split
from maagiqa_pyiqa.images.decoding import decode

WITH_EXPERTS: dict[str, Any] = {"semantic_experts": True, "num_prompts": 2, "feature_dim": 64, "fusion": "moe"}


class Images:
    """AGIQA-3k's images and ratings."""

    def __init__(self, data: Path) -> None:
        table = read_table(data / "data.csv", ("name", "prompt", "mos_quality"))
        self.mos = table["mos_quality"].to_numpy(float)
        self.parts = make_split("official", list(table["prompt"]), len(table), 0)
        self._paths = [data / "images" / str(name) for name in table["name"]]

    def read(self, row: int) -> np.ndarray:
        """Pixels (H, W, 3), uint8."""
        return np.asarray(decode(self._paths[row]))


def network_of(close: str, glance: str, seed: int) -> Any:
    """Preset ``lite`` with untrained experts, which gives the mean score of two trainings."""
    torch.manual_seed(seed)
    net = MAAGIQA(preset="lite", **WITH_EXPERTS)
    missing, unexpected = net.load_state_dict(combine(read_state_dict(close), read_state_dict(glance)), strict=False)
    new = ("quality_branch.experts.", "fusion.gate.", "fusion.semantic_transforms.")
    if unexpected or not all(name.startswith(new) for name in missing):
        raise ValueError(f"not trainings of the trunks: unexpected {unexpected[:3]}, missing {missing[:3]}.")
    start(net)
    return net.eval()


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


def study(net: Any, images: Images, folder: Path, seed: int) -> dict[str, dict[str, float]]:
    """Figures of the second half of the validation part without and with experts."""
    val = images.parts["val"]
    train, taught, told = (look(net.quality_branch, p, images.read, folder) for p in _parts(images.parts["train"], val))
    experts = net.quality_branch.experts
    train_experts(experts, train, seed)

    def judged() -> dict[str, float]:
        with torch.no_grad():
            return figures(score(net, told, answers(experts, told)).numpy(), told, images.mos)

    without = judged()
    train_read_out(net, (train, answers(experts, train)), (taught, answers(experts, taught)), seed=seed)
    return {"without experts": without, "with experts": judged()}


def _parts(train: Sequence[int], val: Sequence[int]) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    return train, val[::2], val[1::2]


def main() -> None:
    """Parse the command line, study and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--close", required=True, help="checkpoint of a training at native resolution")
    parser.add_argument("--glance", required=True, help="checkpoint of a training of the glance")
    parser.add_argument("--data", type=Path, required=True, help="folder of AGIQA-3k")
    parser.add_argument("--seen", type=Path, required=True, help="folder to keep what the trunks saw in")
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    images = Images(arguments.data)
    found = [
        study(network_of(arguments.close, arguments.glance, seed), images, arguments.seen, seed)
        for seed in range(arguments.seeds)
    ]
    arguments.out.write_text(json.dumps(found, indent=1))
    for which in found[0]:
        for name in found[0][which]:
            values = [one[which][name] for one in found]
            print(f"{which:16} {name:28} {np.mean(values):.4f} +- {np.std(values):.4f}")


if __name__ == "__main__":
    main()
