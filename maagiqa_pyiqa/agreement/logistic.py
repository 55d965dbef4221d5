"""The 4-parameter logistic that VQEG suggests, from scores to the MOS scale.

The formula and its start are pyiqa's. The fit is ours: pyiqa's gives up after a thousand steps, which is too few for
some real cases, and with an exception.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from scipy.optimize import OptimizeWarning, curve_fit

FIT_STEPS = 20_000


def fit_logistic(scores: np.ndarray, mos: np.ndarray) -> np.ndarray:
    """Map scores to the MOS scale by the 4-parameter logistic that VQEG suggests, fitted to the same MOS.

    Args:
        scores: predictions (N,).
        mos: mean opinion scores (N,).

    Returns:
        Mapped scores (N,); all NaN where the fit does not converge, as for constant scores or fewer than 4 images.
    """
    return apply_logistic(scores, fit_logistic_parameters(scores, mos))


def fit_logistic_parameters(scores: np.ndarray, mos: np.ndarray) -> tuple[float, ...] | None:
    """Fit the logistic of ``fit_logistic``: top, bottom, middle, width; None where the fit does not converge."""
    scores, mos = np.asarray(scores, float), np.asarray(mos, float)
    start = [mos.max(), mos.min(), scores.mean(), scores.std() / 4]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OptimizeWarning)
        warnings.simplefilter("ignore", RuntimeWarning)  # overflow of exp while searching
        try:
            parameters, _ = curve_fit(_logistic, scores, mos, p0=start, jac=_logistic_slopes, maxfev=FIT_STEPS)
        except (RuntimeError, TypeError, ValueError):  # no convergence; fewer points than parameters; not finite
            return None
        found = np.isfinite(_logistic(scores, *parameters)).all()  # of constant scores it has no width
    return tuple(map(float, parameters)) if found else None


def apply_logistic(scores: np.ndarray, parameters: Sequence[float] | None) -> np.ndarray:
    """Map scores (N,) by a fitted logistic; all NaN where there is none, because the fit did not converge."""
    if parameters is None:
        return np.full(len(scores), np.nan)
    with np.errstate(over="ignore"):  # far below the middle exp is infinite and the value the bottom
        return _logistic(np.asarray(scores, float), *parameters)


def _logistic(x: np.ndarray, top: float, bottom: float, middle: float, width: float) -> np.ndarray:
    return (top - bottom) / (1 + np.exp(-(x - middle) / width)) + bottom


def _logistic_slopes(x: np.ndarray, top: float, bottom: float, middle: float, width: float) -> np.ndarray:
    """Derivatives (N, 4). Found by steps instead, they vanish for scores whose mean is all but 0, and the fit stops."""
    rise = 1 / (1 + np.exp(-(x - middle) / width))
    steepness = (top - bottom) * rise * (1 - rise) / width
    return np.stack([rise, 1 - rise, -steepness, -steepness * (x - middle) / width], axis=1)
