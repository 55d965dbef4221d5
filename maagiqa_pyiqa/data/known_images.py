"""The images of a public dataset by content, so that they are recognised under any name and in any other table.

``KEY.npz`` beside this file holds, in the order of the dataset's CSV, the first bytes of each image's pixel key (see
``cache/keys.py``) and the rank of its prompt, which is all that a split needs. No image can be made from it. Keys are
those of the copies this package was trained on: an image that was encoded anew has others.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from maagiqa_pyiqa.data.splits import make_split, training_rows

FOLDER = Path(__file__).parent
KEY_START = 8  # bytes of a pixel key that are kept: two of 3,000 images agree in them by chance once in 10^12


@cache
def training_keys(dataset: str, split: str, split_seed: int = 0, with_val: bool = False) -> frozenset[bytes]:
    """Beginnings of the pixel keys of a split's part ``train``, and ``val`` if asked; none of datasets not known."""
    path = FOLDER / f"{dataset}.npz"
    if not path.is_file():
        return frozenset()
    with np.load(path, allow_pickle=False) as content:
        keys, ranks = content["pixel_keys"], content["prompt_ranks"]
    prompts = [f"{rank:05d}" for rank in ranks]  # in the order of the prompts themselves
    parts = make_split(split, prompts, len(keys), split_seed)
    return frozenset(keys[row].tobytes() for row in training_rows(parts, with_val))


def is_known(pixel_key: bytes, known: frozenset[bytes]) -> bool:
    """Whether an image is one of those of ``training_keys``."""
    return pixel_key[:KEY_START] in known
