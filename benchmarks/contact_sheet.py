"""A contact sheet: a row a picture, a column a version, each with its score on the colour of its quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

SIDE = 184  # of a thumbnail, in pixels
BAR = 30  # height of what is under it
GAP = 10
MARGIN = 28
LABELS = 128  # width of the names at the left
HEADER = 118
LEGEND = (236, 14)
COLOURS = "viridis"  # lightness rises evenly with the score
INK, GREY, ALARM = "#1b1b1b", "#6b6b6b", "#d0312d"


@dataclass(frozen=True)
class Cell:
    """A version of a picture and its score; one that is ``wrong`` gets a red frame."""

    image: Path
    score: float
    wrong: bool = False


@dataclass(frozen=True)
class Row:
    """A picture: what it is called, where it is from, and its versions."""

    name: str
    origin: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Texts:
    """What is written above: a title, a line or two of explanation, and a name for each column."""

    title: str
    explanation: str
    columns: Sequence[str]


def draw_contact_sheet(rows: Sequence[Row], texts: Texts, lower_better: bool = False) -> Image.Image:
    """Draw the sheet; rows come in the order given.

    Args:
        rows: with as many cells each as there are columns.
        texts: what is written above.
        lower_better: whether low scores get the colours of good quality.
    """
    width = 2 * MARGIN + LABELS + len(texts.columns) * (SIDE + GAP) - GAP
    height = MARGIN + HEADER + len(rows) * (SIDE + BAR + GAP) + MARGIN - GAP
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    scale = _Scale([cell.score for row in rows for cell in row.cells], lower_better)
    _draw_header(sheet, draw, texts, scale)
    for place, row in enumerate(rows):
        top = MARGIN + HEADER + place * (SIDE + BAR + GAP)
        draw.text((MARGIN, top + SIDE / 2 - 4), row.name, INK, _font(17, bold=True), anchor="ls")
        draw.text((MARGIN, top + SIDE / 2 + 4), row.origin, GREY, _font(13), anchor="la")
        for column, cell in enumerate(row.cells):
            _draw_cell(sheet, draw, cell, (_left(column), top), scale)
    return sheet


class _Scale:
    """Colours of scores, from the worst to the best there is."""

    def __init__(self, scores: Sequence[float], lower_better: bool) -> None:
        self.worst, self.best = (max(scores), min(scores)) if lower_better else (min(scores), max(scores))
        self._map = matplotlib.colormaps[COLOURS]

    def colour_at(self, share: float) -> tuple[int, int, int]:
        """Colour from 0, the worst, to 1."""
        red, green, blue, _ = self._map(share, bytes=True)
        return int(red), int(green), int(blue)

    def colour_of(self, score: float) -> tuple[int, int, int]:
        """Colour of a score."""
        return self.colour_at((score - self.worst) / ((self.best - self.worst) or 1.0))


def _left(column: int) -> int:
    return MARGIN + LABELS + column * (SIDE + GAP)


def _draw_header(sheet: Image.Image, draw: ImageDraw.ImageDraw, texts: Texts, scale: _Scale) -> None:
    draw.text((MARGIN, MARGIN), texts.title, INK, _font(27, bold=True), anchor="lt")
    draw.multiline_text((MARGIN, MARGIN + 38), texts.explanation, GREY, _font(15), spacing=5)
    for column, name in enumerate(texts.columns):
        draw.text((_left(column) + SIDE / 2, MARGIN + HEADER - 9), name, INK, _font(16, bold=True), anchor="ms")
    left, top = sheet.width - MARGIN - LEGEND[0], MARGIN + 2
    for x in range(LEGEND[0]):
        draw.line([(left + x, top), (left + x, top + LEGEND[1])], scale.colour_at(x / (LEGEND[0] - 1)))
    below = top + LEGEND[1] + 5
    draw.text((left, below), f"worst {scale.worst:.2f}", GREY, _font(13), anchor="lt")
    draw.text((left + LEGEND[0], below), f"best {scale.best:.2f}", GREY, _font(13), anchor="rt")


def _draw_cell(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, cell: Cell, place: tuple[int, int], scale: _Scale
) -> None:
    """A thumbnail, cut to a square, on a bar in the colour of its score."""
    left, top = place
    with Image.open(cell.image) as image:
        sheet.paste(_square(image.convert("RGB")), place)
    colour = scale.colour_of(cell.score)
    draw.rectangle([left, top + SIDE, left + SIDE - 1, top + SIDE + BAR - 1], colour)
    ink = "white" if sum(w * c for w, c in zip((0.3, 0.59, 0.11), colour, strict=True)) < 140 else INK
    draw.text((left + SIDE / 2, top + SIDE + BAR / 2), f"{cell.score:.2f}", ink, _font(15, bold=True), anchor="mm")
    if cell.wrong:
        draw.rectangle([left - 2, top - 2, left + SIDE + 1, top + SIDE + BAR + 1], outline=ALARM, width=4)


def _square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box)


def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The font that comes with matplotlib, so that sheets look the same everywhere."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)
