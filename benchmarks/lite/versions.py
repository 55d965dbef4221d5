"""Versions of AGIQA-3k's images that a read-out is trained on: other sizes, and worse ones on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from maagiqa_pyiqa.images.damage.at_random import trainable
from maagiqa_pyiqa.images.damage.table import DAMAGES, Damage

SIZE = 512  # of AGIQA-3k's images
OTHER_SIZES = (256, 320, 384, 640, 768, 1024)
OFTEN = (0.22, 0.18, 0.18, 0.18, 0.12, 0.12)  # of each, large ones being slow
LARGEST_DAMAGED = 768


@dataclass(frozen=True)
class Version:
    """One image to look at.

    Attributes:
        image: row of the dataset's table.
        size: side in pixels that it is rendered at, before damage.
        damage: name of a damage; empty for none.
        strength: of the damage.
        seed: of the damage.
    """

    image: int
    size: int = SIZE
    damage: str = ""
    strength: float = 0.0
    seed: int = 0

    @property
    def kind(self) -> str:
        """Of the damage; empty for none."""
        return DAMAGES[self.damage].kind if self.damage else ""

    @property
    def resized(self) -> bool:
        """Whether it is undamaged, at another size."""
        return not self.damage and self.size != SIZE

    def render(self, pixels: np.ndarray) -> np.ndarray:
        """The image's pixels (512, 512, 3), uint8, to this version of it."""
        if self.size != SIZE:
            pixels = np.asarray(Image.fromarray(pixels).resize((self.size, self.size), Image.Resampling.BICUBIC))
        return DAMAGES[self.damage](pixels, self.strength, self.seed) if self.damage else pixels


@dataclass(frozen=True)
class Pair:
    """Two versions of which the first is better."""

    better: Version
    worse: Version


def versions_of(image: int, seed: int = 0) -> tuple[list[Version], list[Pair]]:
    """All versions of an image, and the pairs among them, drawn by the image's own random numbers."""
    rng = np.random.default_rng([seed, image])
    clean = Version(image)
    sizes = [int(size) for size in rng.choice(OTHER_SIZES, 2, replace=False, p=OFTEN)]
    others = [Version(image, size) for size in sizes]
    smaller = min(others, key=lambda version: version.size)
    pairs = [*_chains(clean, rng, 1), *_incoherent(clean, rng, 2)]
    if smaller.size <= LARGEST_DAMAGED:
        pairs += [*_chains(smaller, rng, 1), *_incoherent(smaller, rng, 1)]
    pairs += [Pair(clean, _damaged(clean, damage, rng)) for damage in _choose(trainable("nothing"), 1, rng)]
    found = dict.fromkeys([clean, *others, *(pair.worse for pair in pairs)])
    return list(found), pairs


def _chains(base: Version, rng: np.random.Generator, count: int) -> Iterator[Pair]:
    """Degraded, and degraded more, of some kinds."""
    for damage in _choose(trainable("degradation"), count, rng):
        weak, strong = sorted(rng.choice(len(damage.strengths), 2, replace=False))
        seed = int(rng.integers(1 << 30))
        worse, worst = (
            Version(base.image, base.size, damage.name, damage.strengths[place], seed) for place in (weak, strong)
        )
        yield from (Pair(base, worse), Pair(worse, worst))


def _incoherent(base: Version, rng: np.random.Generator, count: int) -> Iterator[Pair]:
    for damage in _choose(trainable("incoherence"), count, rng):
        yield Pair(base, _damaged(base, damage, rng))


def _damaged(base: Version, damage: Damage, rng: np.random.Generator) -> Version:
    strength = float(rng.choice(damage.strengths))
    return Version(base.image, base.size, damage.name, strength, int(rng.integers(1 << 30)))


def _choose(damages: list[Damage], count: int, rng: np.random.Generator) -> list[Damage]:
    return [damages[i] for i in rng.choice(len(damages), count, replace=False)]
