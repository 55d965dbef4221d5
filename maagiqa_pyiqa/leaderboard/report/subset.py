"""Figures on a part of the images (the paper's Figure 2): 'generator=SDXL', 'mos<1.5', 'style=anime & prompt~cat'."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from maagiqa_pyiqa.agreement.bootstrap import draw_resamples, estimate
from maagiqa_pyiqa.agreement.statistics import Judged
from maagiqa_pyiqa.leaderboard.datasets import FEWEST
from maagiqa_pyiqa.leaderboard.report.view import Figure, Predictions, Results
from maagiqa_pyiqa.support.options import nearest

MEASURED = ("srcc", "plcc_fitted", "krcc", "rmse_fitted")
CONDITION = re.compile(r"\s*(?P<column>[^<>=!~]+?)\s*(?P<sign><=|>=|!=|==|=|<|>|~)\s*(?P<value>.*?)\s*", re.DOTALL)
ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Condition:
    """``column sign value``; sign is one of = != ~ (contains) < <= > >=."""

    column: str
    sign: str
    value: str

    def holds(self, cell: Any) -> bool:
        """Whether a cell fulfils it; an empty cell fulfils only ``!=``."""
        if self.sign == "~":
            return self.value.casefold() in _written(cell).casefold()
        if self.sign in ORDER:
            found = _as_number(cell)
            return found is not None and ORDER[self.sign](found, float(self.value))
        return self._equals(cell) is (self.sign != "!=")

    def _equals(self, cell: Any) -> bool:
        numbers = _as_number(cell), _as_number(self.value)
        return numbers[0] == numbers[1] if None not in numbers else _written(cell) == self.value


@dataclass(frozen=True)
class Subset:
    """Images that fulfil all conditions, as the user wrote them."""

    text: str
    conditions: tuple[Condition, ...]

    def positions(self, results: Results) -> np.ndarray:
        """Places in ``results["images"]``."""
        images = enumerate(results["images"])
        return np.array(
            [i for i, image in images if all(c.holds(_cell(image, c.column)) for c in self.conditions)], int
        )


def parse_subset(text: str, results: Results) -> Subset:
    """Read a filter such as ``generator=SDXL`` or ``prompt~digital & mos<1.5``.

    Args:
        text: conditions joined by ``&``; ``mos``, ``name`` and every column of the data set can be asked for.
        results: what it will be applied to, for the names of the columns.

    Raises:
        ValueError: no condition, an unknown column (nearest named), or a comparison with what is no number.
    """
    conditions = tuple(_parse_condition(part, text) for part in text.split("&"))
    known = dict.fromkeys(["mos", "name", *(column for image in results["images"] for column in image["columns"])])
    for condition in conditions:
        if condition.column not in known:
            hint = nearest(condition.column, known)
            raise ValueError(f"filter '{text}': no column '{condition.column}'.{hint} All: {', '.join(known)}")
    return Subset(text, conditions)


def _parse_condition(part: str, text: str) -> Condition:
    match = CONDITION.fullmatch(part)
    if match is None:
        raise ValueError(
            f"filter '{text}': '{part.strip()}' is no condition; write COLUMN=VALUE or one of != ~ < <= > >="
        )
    sign = "=" if match["sign"] == "==" else match["sign"]
    if sign in ORDER and _as_number(match["value"]) is None:
        raise ValueError(f"filter '{text}': '{match['value']}' after {sign} is no number.")
    return Condition(match["column"], sign, match["value"])


def _cell(image: Mapping[str, Any], column: str) -> Any:
    return image["columns"][column] if column in image["columns"] else image.get(column)


def _written(cell: Any) -> str:
    return "" if cell is None else str(cell)


def _as_number(cell: Any) -> float | None:
    try:
        value = float(cell)
    except (TypeError, ValueError):
        return None
    return None if np.isnan(value) else value


def measure(shown: Predictions, seed: int, resamples: int) -> dict[str, Figure | None]:
    """Agreement with MOS on these images, by the fit of the whole split; None for fewer than 5 images."""
    if len(shown) < FEWEST:
        return dict.fromkeys(MEASURED)
    judged = Judged(shown.oriented, shown.mos, shown.on_mos_scale(shown.scores))
    found = estimate(judged, draw_resamples(len(shown), resamples, seed), MEASURED)
    return {name: Figure(values.value, values.low, values.high) if values else None for name, values in found.items()}
