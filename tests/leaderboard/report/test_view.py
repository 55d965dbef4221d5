"""What the report reads out of the results: predictions on the MOS scale, and the pair to compare."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from maagiqa_pyiqa.agreement.logistic import apply_logistic
from maagiqa_pyiqa.leaderboard.report import write_report
from maagiqa_pyiqa.leaderboard.report.view import choose_pair, predictions
from maagiqa_pyiqa.leaderboard.results_json import parse_results, to_json
from tests.helpers.synthetic_results import paths_of


def test_predictions_of_a_lower_better_metric_are_mapped_by_the_fit_of_the_negated_score(results):
    metric = predictions(results, "official", "worse_when_high")
    assert spearmanr(metric.scores, metric.mos)[0] < -0.5
    assert np.allclose(metric.on_mos_scale(metric.scores), apply_logistic(-metric.scores, metric.logistic))
    assert spearmanr(metric.on_mos_scale(metric.scores), metric.mos)[0] > 0.5


def test_baseline_is_the_one_asked_for_else_maniqa_else_the_second_best(results):
    assert choose_pair(results, "official", "worse_when_high") == ("worse_when_high", "good")
    assert choose_pair(results, "official", "good") == ("good", "fair|*")
    assert choose_pair(results, "official", None) == ("fair|*", "good")
    assert choose_pair(results, "official", "out-of-reach") == ("fair|*", "good")
    results = parse_results(to_json(results).replace("worse_when_high", "maniqa"))
    assert choose_pair(results, "official", None) == ("maniqa", "good")


def test_an_unknown_baseline_is_an_error_that_names_the_nearest(results, folder, tmp_path):
    with pytest.raises(ValueError, match="no metric 'god' to be the baseline"):
        write_report(results, tmp_path, paths_of(results, folder), baseline="god")
    assert not list(tmp_path.iterdir())
