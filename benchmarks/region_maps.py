r"""Do maps of regions show where a picture is bad? One quadrant of real pictures is blurred, and has to score lower.

    python -m benchmarks.region_maps --data AGIQA-3K --images 50

prints how often the blurred quadrant loses against the three others, in comparison with the picture as it was, and how
often it is the lowest of the four.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyiqa
import torch
from PIL import Image, ImageFilter

from maagiqa_pyiqa.archs.region_map import map_regions
from maagiqa_pyiqa.data.agi_dataset import read_table
from maagiqa_pyiqa.data.splits import make_split
from maagiqa_pyiqa.images.decoding import decode
from maagiqa_pyiqa.support.progress import progress

RADIUS = 3.0  # of the blur, in pixels


def with_blurred_quadrant(picture: Image.Image, quadrant: int) -> Image.Image:
    """A copy with one of four quadrants blurred, numbered by rows."""
    width, height = picture.width // 2, picture.height // 2
    left, top = quadrant % 2 * width, quadrant // 2 * height
    box = (left, top, left + width, top + height)
    blurred = picture.copy()
    blurred.paste(picture.filter(ImageFilter.GaussianBlur(RADIUS)).crop(box), box)
    return blurred


def quadrants(scores: np.ndarray) -> np.ndarray:
    """Mean score of each quadrant from regions (rows, columns); those in the middle belong to none."""
    rows, columns = ((length - 1) // 2 for length in scores.shape)
    return np.array(
        [part.mean() for half in (scores[:rows], scores[-rows:]) for part in (half[:, :columns], half[:, -columns:])]
    )


def main() -> None:
    """Parse the command line, blur and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of AGIQA-3k")
    parser.add_argument("--images", type=int, default=50, help="of the official validation part (default 50)")
    parser.add_argument("--seed", type=int, default=0, help="of which images, and which quadrant of each (default 0)")
    arguments = parser.parse_args()
    table = read_table(arguments.data / "data.csv", ("name", "prompt"))
    rng = np.random.default_rng(arguments.seed)
    rows = rng.permutation(make_split("official", list(table["prompt"]), len(table), 0)["val"])[: arguments.images]
    net = pyiqa.create_metric("maagiqa-lite", device="cpu").net
    loses, lowest, missed = [], [], []
    for row in progress(rows, total=len(rows)):
        name, quadrant = str(table["name"].iloc[row]), int(rng.integers(4))
        picture = decode(arguments.data / "images" / name)
        before, after = (_quadrants_of(net, one) for one in (picture, with_blurred_quadrant(picture, quadrant)))
        change = after - before
        loses.append(change[quadrant] < np.delete(change, quadrant).min())
        lowest.append(after.argmin() == quadrant)
        missed += [] if loses[-1] else [f"{name} {change[quadrant] - np.delete(change, quadrant).mean():+.2f}"]
    print(f"{len(rows)} pictures, blur {RADIUS:g} px: the blurred quadrant loses most against the picture as it was in")
    print(f"{np.mean(loses):.0%}, and is the lowest of the four in {np.mean(lowest):.0%} (25% by chance)")
    print(f"where it does not, with its change against the others: {', '.join(missed)}")


def _quadrants_of(net: torch.nn.Module, picture: Image.Image) -> np.ndarray:
    x = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
    return quadrants(map_regions(net, x).scores.numpy())


if __name__ == "__main__":
    main()
