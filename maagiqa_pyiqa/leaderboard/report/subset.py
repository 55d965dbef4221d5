"""Figures on a part of the images (the paper's Figure 2): 'generator=SDXL', 'mos<1.5', 'style=anime & prompt~cat'."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from maagiqa_pyiqa.agreement.bootstrap import Estimate, draw_resamples, estimate
from maagiqa_pyiqa.agreement.statistics import Judged
from maagiqa_pyiqa.leaderboard.datasets import MIN_IMAGES, clusters_of
from maagiqa_pyiqa.leaderboard.report.tables import headline_statistics
from maagiqa_pyiqa.leaderboard.report.view import Predictions
from maagiqa_pyiqa.leaderboard.results import Results, ScoredImage
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import nearest

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
            return self.value.casefold() in _as_text(cell).casefold()
        if self.sign in ORDER:
            number = _as_number(cell)
            return number is not None and ORDER[self.sign](number, float(self.value))
        return self._equals(cell) is (self.sign != "!=")

    def _equals(self, cell: Any) -> bool:
        numbers = _as_number(cell), _as_number(self.value)
        return numbers[0] == numbers[1] if None not in numbers else _as_text(cell) == self.value


@dataclass(frozen=True)
class Subset:
    """Images that fulfil all conditions, as the user wrote them."""

    text: str
    conditions: tuple[Condition, ...]

    def positions(self, results: Results) -> np.ndarray:
        """Places in ``Results.images``."""
        return np.array([i for i, image in enumerate(results.images) if self._holds(image)], int)

    def _holds(self, image: ScoredImage) -> bool:
        return all(condition.holds(_cell(image, condition.column)) for condition in self.conditions)


def parse_subset(text: str, columns: Iterable[str]) -> Subset:
    """Read a filter such as ``generator=SDXL`` or ``prompt~digital & mos<1.5``.

    Args:
        text: conditions joined by ``&``.
        columns: of the data set; they, ``mos`` and ``name`` can be asked for.

    Raises:
        ValueError: no condition, an unknown column (nearest named), or a comparison with what is no number.
    """
    conditions = tuple(_parse_condition(part, text) for part in text.split("&"))
    known = dict.fromkeys(["mos", "name", *columns])
    for condition in conditions:
        if condition.column not in known:
            hint = nearest(condition.column, known)
            raise InputError(f"filter '{text}': no column '{condition.column}'.{hint} All: {', '.join(known)}")
    return Subset(text, conditions)


def _parse_condition(part: str, text: str) -> Condition:
    match = CONDITION.fullmatch(part)
    if match is None:
        raise InputError(
            f"filter '{text}': '{part.strip()}' is no condition; write COLUMN=VALUE or one of != ~ < <= > >="
        )
    sign = "=" if match["sign"] == "==" else match["sign"]
    if sign in ORDER and _as_number(match["value"]) is None:
        raise InputError(f"filter '{text}': '{match['value']}' after {sign} is no number.")
    return Condition(match["column"], sign, match["value"])


def _cell(image: ScoredImage, column: str) -> Any:
    return {"mos": image.mos, "name": image.name, **image.columns}.get(column)


def _as_text(cell: Any) -> str:
    return "" if cell is None else str(cell)


def _as_number(cell: Any) -> float | None:
    try:
        value = float(cell)
    except (TypeError, ValueError):
        return None
    return None if np.isnan(value) else value


def measure(results: Results, part: Predictions) -> dict[str, Estimate | None]:
    """Agreement with MOS on these images, by the fit of the whole split; None for fewer than 5 images."""
    keys = headline_statistics()
    if len(part) < MIN_IMAGES:
        return dict.fromkeys(keys)
    judged = Judged(part.oriented, part.mos, part.on_mos_scale(part.scores))
    columns = [results.images[int(place)].columns for place in part.positions]
    clusters = clusters_of(columns, results.dataset.resampled_by)
    return estimate(judged, draw_resamples(len(part), results.resamples, results.seed, clusters), keys)
