"""Agreement of scores with MOS as the field reports it: SRCC, PLCC, KRCC, RMSE, raw and after the 4-parameter fit.

All from pyiqa; here only the names, the sum that chooses checkpoints (paper, section 4.1), and what happens where
the logistic cannot be fitted.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from pyiqa.metrics.correlation_coefficient import calculate_krcc, calculate_plcc, calculate_rmse, calculate_srcc
from scipy.optimize import OptimizeWarning

FIT = "logistic_4params"


def calculate_srcc_plcc(scores: np.ndarray, mos: np.ndarray) -> float:
    """SRCC + raw PLCC, by which the authors choose the checkpoint; higher is better."""
    return float(calculate_srcc(scores, mos) + calculate_plcc(scores, mos))


def calculate_plcc_fitted(scores: np.ndarray, mos: np.ndarray) -> float:
    """PLCC after the 4-parameter logistic is fitted to these very MOS; NaN where the fit does not converge."""
    return _fitted(calculate_plcc, scores, mos)


def calculate_rmse_fitted(scores: np.ndarray, mos: np.ndarray) -> float:
    """RMSE after the same fit, on the MOS scale, lower is better; NaN where the fit does not converge."""
    return _fitted(calculate_rmse, scores, mos)


def _fitted(metric: Callable[..., float], scores: np.ndarray, mos: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)
        warnings.simplefilter("ignore", RuntimeWarning)  # overflow of exp while searching
        try:
            return float(metric(np.asarray(scores, float), np.asarray(mos, float), fit_scale=FIT))
        except RuntimeError:
            return float("nan")


def evaluate(scores: np.ndarray, mos: np.ndarray) -> dict[str, float]:
    """All figures the field reports.

    Args:
        scores: predictions (N,).
        mos: mean opinion scores (N,).

    Returns:
        ``srcc``, ``plcc``, ``krcc``, ``rmse``, ``plcc_fitted``, ``rmse_fitted``.
    """
    return {
        "srcc": float(calculate_srcc(scores, mos)),
        "plcc": float(calculate_plcc(scores, mos)),
        "krcc": float(calculate_krcc(scores, mos)),
        "rmse": float(calculate_rmse(scores, mos)),
        "plcc_fitted": calculate_plcc_fitted(scores, mos),
        "rmse_fitted": calculate_rmse_fitted(scores, mos),
    }
