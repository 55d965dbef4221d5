"""What the field reports of scores and MOS, in one table: SRCC, PLCC, KRCC, RMSE, raw and after the logistic fit.

To add a statistic: a row of STATISTICS. Results, tables, terminal and files know it from there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from pyiqa.metrics.correlation_coefficient import calculate_plcc, calculate_rmse, calculate_srcc

from maagiqa_pyiqa.agreement.logistic import apply_logistic, fit_logistic, fit_logistic_parameters
from maagiqa_pyiqa.agreement.weighted import weighted_kendall, weighted_pearson, weighted_rmse, weighted_spearman


class Judged(NamedTuple):
    """Scores, MOS and scores mapped to the MOS scale by the fitted logistic, each (N,)."""

    scores: np.ndarray
    mos: np.ndarray
    mapped: np.ndarray

    def only(self, chosen: np.ndarray) -> Judged:
        """Those of some images, by mask or position."""
        return Judged(*(values[chosen] for values in self))


def judge(
    scores: Sequence[float] | np.ndarray, mos: Sequence[float] | np.ndarray
) -> tuple[Judged, tuple[float, ...] | None]:
    """Fit the 4-parameter logistic once, to all images.

    Returns:
        Scores, MOS and mapped scores (NaN where the fit does not converge), and the logistic's parameters or None.
    """
    scores, mos = np.asarray(scores, float), np.asarray(mos, float)
    parameters = fit_logistic_parameters(scores, mos)
    return Judged(scores, mos, apply_logistic(scores, parameters)), parameters


@dataclass(frozen=True, kw_only=True)
class Statistic:
    """One figure of agreement.

    ``function`` takes N judged images and weights (R, N) and gives (R,) figures. ``published_key`` is the figure's name
    in published tables, which give PLCC and RMSE after the fit; None for a figure that nobody publishes.
    ``needs_mos_scale`` is a figure that means nothing for scores of another scale.
    """

    key: str
    title: str
    higher_is_better: bool
    function: Callable[[Judged, np.ndarray], np.ndarray]
    meaning: str
    published_key: str | None = None
    needs_mos_scale: bool = False


ROWS = (
    Statistic(
        key="srcc",
        title="SRCC",
        higher_is_better=True,
        function=lambda judged, weights: weighted_spearman(judged.scores, judged.mos, weights),
        meaning="Spearman's rank correlation with MOS; 1 is the order people give",
        published_key="srcc",
    ),
    Statistic(
        key="plcc",
        title="raw PLCC",
        higher_is_better=True,
        function=lambda judged, weights: weighted_pearson(judged.scores, judged.mos, weights),
        meaning="Pearson's correlation of the scores as they are",
    ),
    Statistic(
        key="krcc",
        title="KRCC",
        higher_is_better=True,
        function=lambda judged, weights: weighted_kendall(judged.scores, judged.mos, weights),
        meaning="Kendall's rank correlation with MOS",
        published_key="krcc",
    ),
    Statistic(
        key="rmse",
        title="raw RMSE",
        higher_is_better=False,
        function=lambda judged, weights: weighted_rmse(judged.scores, judged.mos, weights),
        meaning="difference of the scores as they are to MOS; not shown for a metric of another scale",
        needs_mos_scale=True,
    ),
    Statistic(
        key="plcc_fitted",
        title="fitted PLCC",
        higher_is_better=True,
        function=lambda judged, weights: weighted_pearson(judged.mapped, judged.mos, weights),
        meaning="Pearson's correlation with MOS, after a 4-parameter logistic fitted to these MOS",
        published_key="plcc",
    ),
    Statistic(
        key="rmse_fitted",
        title="fitted RMSE",
        higher_is_better=False,
        function=lambda judged, weights: weighted_rmse(judged.mapped, judged.mos, weights),
        meaning="root mean square difference to MOS after the same fit, on the MOS scale; lower is better",
        published_key="rmse",
    ),
)
STATISTICS: dict[str, Statistic] = {statistic.key: statistic for statistic in ROWS}


def evaluate(scores: np.ndarray, mos: np.ndarray) -> dict[str, float]:
    """Every statistic of one set of scores, by its key; NaN where it is not defined.

    Args:
        scores: predictions (N,), higher is better.
        mos: mean opinion scores (N,).
    """
    judged, _ = judge(scores, mos)
    once = np.ones((1, len(judged.mos)))
    return {key: float(statistic.function(judged, once)[0]) for key, statistic in STATISTICS.items()}


# ------------------------------------------------------------------------------------ as pyiqa's option files name them


def calculate_srcc_plcc(scores: np.ndarray, mos: np.ndarray) -> float:
    """SRCC + raw PLCC, by which the authors choose the checkpoint; higher is better."""
    return float(calculate_srcc(scores, mos) + calculate_plcc(scores, mos))


def calculate_plcc_fitted(scores: np.ndarray, mos: np.ndarray) -> float:
    """PLCC after the 4-parameter logistic is fitted to these very MOS; NaN where the fit does not converge."""
    fitted = fit_logistic(scores, mos)
    return float(calculate_plcc(fitted, mos)) if np.isfinite(fitted).all() else float("nan")


def calculate_rmse_fitted(scores: np.ndarray, mos: np.ndarray) -> float:
    """RMSE after the same fit, on the MOS scale, lower is better; NaN where the fit does not converge."""
    return float(calculate_rmse(fit_logistic(scores, mos), mos))
