"""Predictions of a metric, made by hand."""

import numpy as np

from maagiqa_pyiqa.leaderboard.report.view import Predictions


def make_predictions(scores, mos, *, lower_better=False, logistic=(5.0, 0.0, 2.5, 1.0)):
    """One score an image; the usual logistic leaves scores between 0 and 5 roughly where they are."""
    scores, mos = np.array(scores, float), np.array(mos, float)
    return Predictions("metric", lower_better, np.arange(len(mos)), scores, mos, logistic)
