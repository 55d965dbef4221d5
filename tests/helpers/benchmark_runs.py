"""Pictures for a small benchmark, and its results by name."""

import numpy as np
from PIL import Image

N = 14  # pictures


def draw(path, brightness, seed, side=64):
    noise = np.random.default_rng(seed).integers(-20, 20, (side, side, 3))
    Image.fromarray((255 * brightness + noise).clip(0, 255).astype(np.uint8)).save(path)


def rows_of(results, split="all"):
    return {row.name: row for row in results.splits[split].rows}


def participants_of(results):
    return {one.name: one for one in results.participants}
