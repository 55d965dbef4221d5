"""The course of a training, as ``history.csv`` and ``history.png`` beside its checkpoints.

A row of the CSV: the step, the learning rate of each group of parameters, the mean of each loss over the steps since
the row before, and, at a validation, each of its figures as ``DATASET FIGURE``.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas

STEP, RATE = "step", "learning_rate"
CORRELATIONS = ("srcc", "plcc", "krcc", "plcc_fitted")
LOSS = "l_"  # what the names of losses begin with, as pyiqa has them


class History:
    """What a run came through so far.

    Args:
        state: of an earlier part of it, by ``state``.
    """

    def __init__(self, state: Mapping[str, Any] = MappingProxyType({})) -> None:
        self.rows: list[dict[str, Any]] = list(state.get("rows", ()))
        self._open: dict[str, Any] | None = state.get("open")
        self._losses: list[dict[str, float]] = list(state.get("losses", ()))

    def state(self) -> dict[str, Any]:
        """All of it, also the row that is not complete."""
        return {"rows": self.rows, "open": self._open, "losses": self._losses}

    def add_step(self, step: int, rates: Sequence[float], losses: Mapping[str, float]) -> None:
        """Count a step into the next row."""
        names = [RATE, *(f"{RATE}_{number}" for number in range(2, len(rates) + 1))]
        self._open = {STEP: step, **dict(zip(names, map(float, rates), strict=True))}
        self._losses.append(dict(losses))

    def close_row(self) -> None:
        """Make a row of the steps since the last one."""
        if self._open is not None:
            means = {key: sum(losses[key] for losses in self._losses) / len(self._losses) for key in self._losses[0]}
            self.rows.append({**self._open, **means})
            self._open, self._losses = None, []

    def add_figures(self, dataset: str, figures: Mapping[str, float]) -> None:
        """Add the figures of a validation after the last step."""
        self.close_row()
        if self.rows:
            self.rows[-1] |= {f"{dataset} {key}": float(value) for key, value in figures.items()}

    def table(self) -> pandas.DataFrame:
        """The complete rows."""
        return pandas.DataFrame(self.rows, columns=None if self.rows else [STEP])


def draw_history(table: pandas.DataFrame, title: str) -> bytes:
    """PNG of losses, correlations with MOS in validations, and learning rates over the steps."""
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False}):  # a name may hold a dollar
        return _draw(table, title)


def _draw(table: pandas.DataFrame, title: str) -> bytes:
    from matplotlib.figure import Figure

    correlations = [name for name in table.columns if name.split()[-1] in CORRELATIONS and " " in name]
    panels = {
        "loss": [name for name in table.columns if name.startswith(LOSS)],
        "validation": correlations,
        "learning rate": [name for name in table.columns if name.startswith(RATE)],
    }
    figure = Figure(figsize=(8, 8), layout="constrained")
    figure.suptitle(title)
    for axes, (name, columns) in zip(figure.subplots(len(panels), sharex=True), panels.items(), strict=True):
        for column in columns:
            known = table[[STEP, column]].dropna()
            axes.plot(known[STEP], known[column], label=column, marker="o" if len(known) < 40 else None, markersize=3)
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
        if columns:
            axes.legend(fontsize="small")
    axes.set_xlabel(STEP)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    return content.getvalue()
