"""Public datasets in their published layout, of noise."""

import numpy as np
import pandas
from PIL import Image

from maagiqa_pyiqa.data.public_datasets import IMAGES

ROWS = 30  # 21 for training, 3 for validation, 6 for the test


def write_dataset(root, public):
    """A folder as the dataset's authors publish it: 30 small images and their table."""
    (root / IMAGES).mkdir(parents=True)
    names = [f"gan_{row:04d}.png" for row in range(ROWS)]
    for row, name in enumerate(names):
        pixels = np.random.default_rng(row).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / IMAGES / name)
    columns = {
        public.name_column: names,
        public.prompt_column: [f"prompt {row // 3}" for row in range(ROWS)],
        public.mos_column: [public.mos_range[1] * row / ROWS for row in range(ROWS)],
    }
    others = {column: "a" for column in public.group_columns if column != "generator"}
    pandas.DataFrame(columns).assign(**others).to_csv(root / public.csv, index=False)
    return root
