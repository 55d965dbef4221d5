"""The frame of a chart in SVG: scales, round ticks, labelled axes. Colours come from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from maagiqa_pyiqa.leaderboard.report.svg import element, join, number

WIDTH, HEIGHT = 300, 230
LEFT, RIGHT, TOP, BOTTOM = 48, 10, 10, 36


@dataclass(frozen=True)
class Scale:
    """A straight map from values to coordinates."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Coordinate of a value."""
        return self.start + (value - self.low) / ((self.high - self.low) or 1.0) * (self.end - self.start)


@dataclass(frozen=True)
class Axes:
    """A pair of scales with their names; draws itself."""

    x: Scale
    y: Scale
    x_name: str
    y_name: str
    percent: bool = False  # whether y counts shares

    @classmethod
    def spanning(
        cls, x: tuple[float, float], y: tuple[float, float], x_name: str, y_name: str, *, percent: bool = False
    ) -> Axes:
        """Axes of the usual panel, from and to these values."""
        across, up = Scale(*x, LEFT, WIDTH - RIGHT), Scale(*y, HEIGHT - BOTTOM, TOP)
        return cls(across, up, x_name, y_name, percent)

    def draw(self) -> Markup:
        """Grid, ticks and names."""
        bottom, left, right = self.y.start, self.x.start, self.x.end
        parts = [element("line", x1=left, x2=right, y1=bottom, y2=bottom, class_="axis")]
        for tick in ticks(self.x.low, self.x.high):
            parts.append(text(self.x(tick), bottom + 14, number(tick, 4), "middle"))
        for tick in ticks(self.y.low, self.y.high):
            y = self.y(tick)
            parts.append(element("line", x1=left, x2=right, y1=y, y2=y, class_="grid"))
            label = f"{number(100 * tick)}%" if self.percent else number(tick, 4)
            parts.append(text(left - 5, y + 4, label, "end"))
        parts.append(text((left + right) / 2, HEIGHT - 4, self.x_name, "middle", class_="name"))
        middle = (self.y.start + self.y.end) / 2
        turn = f"rotate(-90 10 {number(middle)})"
        parts.append(text(10, middle, self.y_name, "middle", class_="name", transform=turn))
        return join(*parts)

    def line(self, xs: Sequence[float] | np.ndarray, ys: Sequence[float] | np.ndarray) -> str:
        """Path through points; what is not finite is left out."""
        points = [f"{number(self.x(x))} {number(self.y(y))}" for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]
        return "M" + "L".join(points) if points else ""

    def dots(self, xs: np.ndarray, ys: np.ndarray) -> str:
        """Path of lines without length, which round line ends turn into dots: far shorter than circles."""
        return "".join(f"M{number(self.x(x))} {number(self.y(y))}h0" for x, y in zip(xs, ys, strict=True))


def svg(
    description: str, *children: str, width: float = WIDTH, height: float = HEIGHT, class_: str = "chart"
) -> Markup:
    """A drawing with a description for those who cannot see it."""
    box = f"0 0 {number(width)} {number(height)}"
    return element("svg", *children, viewBox=box, role="img", aria_label=description, class_=class_)


def text(x: float, y: float, content: str, anchor: str = "start", **attributes: str) -> Markup:
    """Words at a place."""
    return element("text", content, x=float(x), y=float(y), text_anchor=anchor, **attributes)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from low to high, about so many."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]
