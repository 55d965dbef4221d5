"""Agreement with MOS and speed of one metric on one part of a dataset.

    python benchmarks/evaluate.py --root AGIQA-3K [--split official] [--part test] [-m maagiqa-lite] [--weights FILE]

Prints SRCC, PLCC, KRCC, RMSE, raw and after the 4-parameter fit, and images per second from files to scores.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pyiqa
import torch
from tqdm import tqdm

from maagiqa_pyiqa.data.agi_dataset import AGIQA3kDataset
from maagiqa_pyiqa.evaluation import evaluate
from maagiqa_pyiqa.scoring import is_lower_better, score_images


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder with data.csv and images/")
    parser.add_argument("--split", default="official")
    parser.add_argument("--part", default="test")
    parser.add_argument("-m", "--metric", default="maagiqa-lite")
    parser.add_argument("--weights", help="checkpoint instead of the metric's own")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Score the part and print the figures."""
    arguments = parse_arguments()
    options = {"pretrained_model_path": arguments.weights} if arguments.weights else {}
    metric = pyiqa.create_metric(arguments.metric, device=torch.device(arguments.device), **options)
    section = {"type": "AGIQA3kDataset", "name": "AGIQA-3k", "split": arguments.split, "part": arguments.part}
    paths = {"dataroot_target": str(arguments.root / "images"), "meta_info_file": str(arguments.root / "data.csv")}
    mos = {Path(path): score for path, score in AGIQA3kDataset({**section, **paths}).paths_mos}
    start = time.perf_counter()
    stream = score_images(
        list(mos), {arguments.metric: metric}, batch_size=arguments.batch_size, workers=arguments.workers
    )
    results = list(tqdm(stream, total=len(mos), unit="image", disable=None))
    seconds = time.perf_counter() - start
    sign = -1 if is_lower_better(arguments.metric) else 1
    scores = np.array([sign * result.scores[arguments.metric] for result in results])
    figures = evaluate(scores, np.array([mos[result.path] for result in results]))
    print(f"{arguments.metric} on AGIQA-3k, split {arguments.split}, part {arguments.part}: {len(results)} images")
    print("  ".join(f"{name} {value:.4f}" for name, value in figures.items()))
    print(f"{len(results) / seconds:.1f} images/s on {arguments.device}, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
