"""The table of damages: what is done to an image, how strongly, and what a metric may have been trained on."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from maagiqa_pyiqa.images.damage import degradations, incoherence, nothing

Kind = Literal["degradation", "incoherence", "nothing"]


@dataclass(frozen=True, kw_only=True)
class Damage:
    """One way to make an image worse.

    Attributes:
        name: of the damage, also what its random numbers come from.
        kind: ``degradation`` takes quality, ``incoherence`` puts parts out of place, ``nothing`` leaves no content.
        function: image (H, W, 3) uint8, strength and generator of random numbers to a new image of the same size.
        strengths: in ascending order of damage, the first just visible; of ``nothing`` variants in no such order.
        meaning: of a strength, in words.
        held_out: never shown in training, so that it can be measured what a metric makes of the unknown.
    """

    name: str
    kind: Kind
    function: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
    strengths: tuple[float, ...]
    meaning: str
    held_out: bool = False

    def __call__(self, image: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
        """Make the worse version.

        Args:
            image: (H, W, 3), uint8, RGB; it is left as it is.
            strength: see ``meaning``; one of ``strengths``, or between them.
            seed: of what is random; the same at all strengths, so that a stronger version has more of the same.

        Returns:
            (H, W, 3), uint8.
        """
        rng = np.random.default_rng([seed, zlib.crc32(self.name.encode())])
        return self.function(image, strength, rng)


ROWS = (
    Damage(
        name="blur",
        kind="degradation",
        function=degradations.blur,
        strengths=(0.7, 1.2, 2.5, 5),
        meaning="standard deviation of a Gaussian in pixels at 512 x 512",
    ),
    Damage(
        name="jpeg",
        kind="degradation",
        function=degradations.compress,
        strengths=(50, 75, 88, 95),
        meaning="100 minus the JPEG quality",
    ),
    Damage(
        name="noise",
        kind="degradation",
        function=degradations.add_noise,
        strengths=(6, 12, 25, 50),
        meaning="standard deviation in levels of 255",
    ),
    Damage(
        name="resolution",
        kind="degradation",
        function=degradations.lose_resolution,
        strengths=(1.5, 2, 4, 8),
        meaning="factor by which it is reduced and enlarged again",
    ),
    Damage(
        name="shuffled",
        kind="incoherence",
        function=incoherence.shuffle,
        strengths=(2, 4, 8, 16),
        meaning="patches along a side",
    ),
    Damage(
        name="mirrored",
        kind="incoherence",
        function=incoherence.mirror,
        strengths=(0.25, 0.5),
        meaning="share of the width mirrored onto the other side",
    ),
    Damage(
        name="swapped",
        kind="incoherence",
        function=incoherence.swap_quadrants,
        strengths=(2, 4),
        meaning="quadrants out of place",
    ),
    Damage(
        name="melted",
        kind="incoherence",
        function=incoherence.melt,
        strengths=(0.015, 0.03, 0.06),
        meaning="displacement as a share of the shorter side, root mean square",
    ),
    Damage(
        name="duplicated",
        kind="incoherence",
        function=incoherence.duplicate,
        strengths=(1, 2, 4),
        meaning="copies of a patch",
    ),
    Damage(
        name="bands",
        kind="incoherence",
        function=incoherence.shift_bands,
        strengths=(0.05, 0.15),
        meaning="mean shift of bands as a share of the width",
        held_out=True,
    ),
    Damage(
        name="disc",
        kind="incoherence",
        function=incoherence.turn_disc,
        strengths=(0.45, 0.8),
        meaning="diameter of the disc upside down as a share of the shorter side",
        held_out=True,
    ),
    Damage(
        name="swirl",
        kind="incoherence",
        function=incoherence.swirl,
        strengths=(1.5, 4),
        meaning="turn at the middle in radians",
        held_out=True,
    ),
    Damage(
        name="magnified",
        kind="incoherence",
        function=incoherence.magnify,
        strengths=(1.6, 2.5),
        meaning="factor by which patches are enlarged",
        held_out=True,
    ),
    Damage(
        name="coloured noise",
        kind="nothing",
        function=nothing.noise,
        strengths=(0, 1 / 64, 1 / 16),
        meaning="side of a cell as a share of the shorter side; 0 is a pixel",
    ),
    Damage(
        name="clouds",
        kind="nothing",
        function=nothing.clouds,
        strengths=(0.4, 0.8, 1.4),
        meaning="how fast detail fades: halved so many times from octave to octave",
    ),
    Damage(
        name="gradient",
        kind="nothing",
        function=nothing.gradient,
        strengths=(2, 4),
        meaning="number of colours",
    ),
    Damage(
        name="stripes",
        kind="nothing",
        function=nothing.stripes,
        strengths=(1 / 64, 1 / 12),
        meaning="width as a share of the shorter side",
    ),
    Damage(
        name="checks",
        kind="nothing",
        function=nothing.checks,
        strengths=(1 / 64, 1 / 12),
        meaning="width as a share of the shorter side",
        held_out=True,
    ),
    Damage(
        name="texture",
        kind="nothing",
        function=nothing.texture,
        strengths=(1 / 16, 1 / 6),
        meaning="side of the patch that is repeated as a share of the shorter side",
    ),
)
DAMAGES = {row.name: row for row in ROWS}
