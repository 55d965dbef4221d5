"""Small pictures for galleries, also under names that were made to do harm."""

import os

import numpy as np
from PIL import Image

HOSTILE = [
    "<img src=x onerror=alert(1)>.png", "\"'><b>.png", "=cmd|x.png", "a\nb\r\x1b[2J.png", "\u202egnp.exe.png",
    "{{ 7*7 }}.png", "x" * 240 + ".png", "<!--.png", "<script>.png", os.fsdecode(b"\xff\xfe.png"), "50%25,\".png",
]  # fmt: skip


def draw(path, seed=0, side=16):
    """Write a picture of noise and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    with open(path, "wb") as file:
        Image.fromarray(pixels).save(file, "PNG")
    return path
