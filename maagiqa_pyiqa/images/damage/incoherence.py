"""The same pixels in the wrong places: what is in the picture no longer fits together.

Every function takes an image (H, W, 3), uint8, how much is out of place, and a generator of random numbers, and returns
as much. Of some images of each kind the seams are blended, so that a sharp edge is not what gives them away.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

SEAMS = (0, 1 / 64, 1 / 24)  # widths of blended seams, as shares of the shorter side
CELL = 16  # pixels at a side of the mesh by which pictures are bent

Box = tuple[int, int, int, int]  # left, top, right, bottom


def shuffle(image: np.ndarray, grid: float, rng: np.random.Generator) -> np.ndarray:
    """Cut into ``grid`` x ``grid`` patches, none of which stays in its place."""
    cells = _cells(image, int(grid))
    return _rearrange(image, cells, [cells[i] for i in _derangement(len(cells), rng)], rng)


def swap_quadrants(image: np.ndarray, count: float, rng: np.random.Generator) -> np.ndarray:
    """``count`` of the four quadrants (2, 3 or 4) change places."""
    places = _cells(image, 2)
    taken, moved = list(places), rng.permutation(4)[: int(count)]
    for here, there in zip(moved, np.roll(moved, 1), strict=True):
        taken[here] = places[there]
    return _rearrange(image, places, taken, rng)


def mirror(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """The left ``share`` of the width (up to 0.5) is mirrored onto the right."""
    height, width = image.shape[:2]
    place = width - max(1, round(share * width)), 0, width, height
    collage = _Collage(image, rng, source=image[:, ::-1])
    collage.paste(place, place)
    return np.asarray(collage.canvas)


def duplicate(image: np.ndarray, copies: float, rng: np.random.Generator) -> np.ndarray:
    """A patch of about a third of the sides is pasted at ``copies`` other places."""
    height, width = image.shape[:2]
    size = np.array([width, height]) * rng.uniform(0.28, 0.38, 2)
    collage = _Collage(image, rng)
    taken, *places = (_box(rng.uniform(0, 1, 2) * ((width, height) - size), size) for _ in range(1 + int(copies)))
    for place in places:
        collage.paste(taken, place)
    return np.asarray(collage.canvas)


def shift_bands(image: np.ndarray, offset: float, rng: np.random.Generator) -> np.ndarray:
    """Horizontal bands slide sideways, by ``offset`` of the width on average, the rest coming in at the other side."""
    height, width = image.shape[:2]
    count = int(rng.integers(5, 12))
    edges = np.linspace(0, height, count + 1).round().astype(int)
    signs = np.where(np.arange(count) % 2, 1, -1)
    offsets = (signs * offset * width * rng.uniform(0.5, 1.5, count)).round().astype(int)
    bands = [np.roll(image[top:bottom], by, axis=1) for top, bottom, by in zip(edges, edges[1:], offsets, strict=False)]
    return np.concatenate(bands)


def turn_disc(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """A disc of ``share`` of the shorter side, near the middle, stands upside down."""
    height, width = image.shape[:2]
    side = max(2, round(share * min(height, width)))
    left, top = (round((length - side) * rng.uniform(0.35, 0.65)) for length in (width, height))
    canvas = Image.fromarray(image)
    disc = canvas.crop((left, top, left + side, top + side)).transpose(Image.Transpose.ROTATE_180)
    seam = max(1.0, _draw_seam(image, rng))
    radius = np.hypot(*np.mgrid[: 2 * side - 1 : 2, : 2 * side - 1 : 2] - (side - 1)) / 2
    mask = ((side / 2 - radius) / seam).clip(0, 1) * 255
    canvas.paste(disc, (left, top), Image.fromarray(mask.astype(np.uint8)))
    return np.asarray(canvas)


def magnify(image: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
    """Three patches are shown ``factor`` times as large, over what was around them."""
    height, width = image.shape[:2]
    size = np.array([width, height]) * 0.34
    collage = _Collage(image, rng)
    for _ in range(3):
        corner = rng.uniform(0, 1, 2) * ((width, height) - size)
        collage.paste(_box(corner + size * (1 - 1 / factor) / 2, size / factor), _box(corner, size))
    return np.asarray(collage.canvas)


def melt(image: np.ndarray, amplitude: float, rng: np.random.Generator) -> np.ndarray:
    """Bent by a smooth random field of displacements, of ``amplitude`` of the shorter side in root mean square."""
    height, width = image.shape[:2]
    waves = int(rng.integers(4, 9))  # bends across the picture
    coarse = rng.standard_normal((2, waves, waves)).astype(np.float32)
    length = amplitude * min(height, width)

    def displaced(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        shape = x.shape[::-1]
        fields = [np.asarray(Image.fromarray(field).resize(shape, Image.Resampling.BICUBIC)) for field in coarse]
        dx, dy = (field * (length / max(field.std(), 1e-6)) for field in fields)
        return x + dx, y + dy

    return _bend(image, displaced)


def swirl(image: np.ndarray, turn: float, rng: np.random.Generator) -> np.ndarray:
    """Turned about a point near the middle, by ``turn`` radians there and less farther out."""
    height, width = image.shape[:2]
    centre_x, centre_y = rng.uniform(0.4, 0.6, 2) * (width, height)
    sense = rng.choice((-1, 1))

    def turned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y = x - centre_x, y - centre_y
        angle = sense * turn * np.exp(-np.hypot(x, y) / (0.25 * min(height, width)))
        cosine, sine = np.cos(angle), np.sin(angle)
        return centre_x + cosine * x - sine * y, centre_y + sine * x + cosine * y

    return _bend(image, turned)


def _derangement(count: int, rng: np.random.Generator) -> np.ndarray:
    """A random order in which nothing stays in its place: a single cycle."""
    cycle = rng.permutation(count)
    order = np.empty(count, int)
    order[cycle] = np.roll(cycle, 1)
    return order


def _cells(image: np.ndarray, grid: int) -> list[Box]:
    """Boxes of a grid, of one size; pixels left over at the right and at the bottom belong to none."""
    height, width = (max(1, length // grid) for length in image.shape[:2])
    return [(x * width, y * height, (x + 1) * width, (y + 1) * height) for y in range(grid) for x in range(grid)]


def _box(place: np.ndarray, size: np.ndarray) -> Box:
    left, top = (int(value) for value in place)
    width, height = (max(1, int(value)) for value in size)
    return left, top, left + width, top + height


def _draw_seam(image: np.ndarray, rng: np.random.Generator) -> float:
    """Width of a seam in pixels."""
    return float(rng.choice(SEAMS)) * min(image.shape[:2])


def _rearrange(image: np.ndarray, places: list[Box], taken: list[Box], rng: np.random.Generator) -> np.ndarray:
    """Fill all places of a grid, row by row, with what is taken from others of the same size."""
    collage = _Collage(image, rng)
    for box, place in zip(taken, places, strict=True):
        collage.paste(box, place, tiled=True)
    return np.asarray(collage.canvas)


class _Collage:
    """A copy of a picture, on which parts of itself or of another one are pasted with seams of a random width."""

    def __init__(self, image: np.ndarray, rng: np.random.Generator, source: np.ndarray | None = None) -> None:
        self.canvas = Image.fromarray(image)
        self.margin = round(_draw_seam(image, rng) / 2)
        around = (self.margin, self.margin)
        self.source = Image.fromarray(
            np.pad(image if source is None else source, (around, around, (0, 0)), mode="symmetric")
        )

    def paste(self, taken: Box, place: Box, tiled: bool = False) -> None:
        """Fill a place with a box of the source; both are widened by a margin, in which they blend.

        Of tiles, the next ones blend over the right and lower margins of those before.
        """
        left, top, right, bottom = place
        margin = min(self.margin, (right - left) // 2, (bottom - top) // 2)
        scale = (right - left) / (taken[2] - taken[0])
        around = np.array([-1, -1, 1, 1]) * (margin / scale)
        patch = self.source.transform(
            (right - left + 2 * margin, bottom - top + 2 * margin),
            Image.Transform.EXTENT,
            tuple(np.array(taken) + around + self.margin),
            Image.Resampling.NEAREST if scale == 1 else Image.Resampling.BICUBIC,
        )
        columns = _ramp(patch.width, margin, left > 0, right < self.canvas.width and not tiled)
        rows = _ramp(patch.height, margin, top > 0, bottom < self.canvas.height and not tiled)
        mask = Image.fromarray(np.outer(rows * 255, columns).round().astype(np.uint8)) if margin else None
        self.canvas.paste(patch, (left - margin, top - margin), mask)


def _ramp(length: int, margin: int, rises: bool, falls: bool) -> np.ndarray:
    """How much of a patch is seen along a side: more and more of it within two margins, where it does not end."""
    ramp = np.ones(length)
    slope = (np.arange(2 * margin) + 0.5) / max(1, 2 * margin)
    if rises:
        ramp[: 2 * margin] = slope
    if falls:
        ramp[length - 2 * margin :] *= slope[::-1]
    return ramp


def _bend(image: np.ndarray, source: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Draw a picture whose pixel at (x, y) is that of the image at ``source(x, y)``, exact at the nodes of a mesh."""
    height, width = image.shape[:2]
    nodes_x, nodes_y = np.append(np.arange(0, width, CELL), width), np.append(np.arange(0, height, CELL), height)
    x, y = source(*(nodes.astype(float) for nodes in np.meshgrid(nodes_x, nodes_y)))
    nodes = np.stack([x.clip(0, width - 1), y.clip(0, height - 1)], axis=-1)
    mesh = [
        (
            (int(nodes_x[j]), int(nodes_y[i]), int(nodes_x[j + 1]), int(nodes_y[i + 1])),
            tuple(nodes[[i, i + 1, i + 1, i], [j, j, j + 1, j + 1]].ravel()),
        )
        for i in range(len(nodes_y) - 1)
        for j in range(len(nodes_x) - 1)
    ]
    bent = Image.fromarray(image).transform((width, height), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
    return np.asarray(bent)
