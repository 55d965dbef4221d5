"""Largest difference between scores through ONNX Runtime and PyTorch's, over the images of a folder.

python -m benchmarks.onnx_agreement DIR [-m maagiqa-lite] [--images 200]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import torch
from tqdm import tqdm

from maagiqa_pyiqa.images.decoding import read_image
from maagiqa_pyiqa.images.sources import find_files
from maagiqa_pyiqa.leaderboard.entrants import parse_scorers
from maagiqa_pyiqa.metrics.identity import net_of


def main(arguments: Sequence[str] | None = None) -> None:
    """Score both ways and print the largest difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("-m", "--metric", default="maagiqa-lite", help="NAME, NAME=CHECKPOINT or LABEL=NAME=CHECKPOINT")
    parser.add_argument("--images", type=int, default=200, help="at most so many, evenly from all (default 200)")
    parsed = parser.parse_args(arguments)
    ((_, entrant),) = parse_scorers([parsed.metric]).items()
    net = net_of(entrant.source.create("cpu"))
    found = find_files([parsed.folder])
    count = min(parsed.images, len(found))
    paths = [found[place * len(found) // count] for place in range(count)]
    pairs = []
    for path in tqdm(paths):
        x = read_image(path)[None].float() / 255
        with torch.no_grad():
            score = float(net(x))
        pairs.append((score, float(net(x.requires_grad_()).detach())))  # where gradients are wanted, PyTorch computes
    if "onnxruntime" not in sys.modules:
        sys.exit(f"{parsed.metric} does not run through ONNX Runtime")
    differences = torch.tensor(pairs, dtype=torch.float64).diff().abs()
    print(f"{len(paths)} images: largest difference {differences.max():.1e}, mean {differences.mean():.1e}")


if __name__ == "__main__":
    main()
