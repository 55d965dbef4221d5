"""Figures of agreement are those of the authors' evaluation code."""

import json
import warnings

import numpy as np
import pytest

from maagiqa_pyiqa.agreement.statistics import (
    calculate_plcc_fitted,
    calculate_rmse_fitted,
    calculate_srcc_plcc,
    evaluate,
)
from tests.helpers.places import GOLDEN


def sample(seed, n, noise):
    """MOS and predictions by the recipe that official-metrics.json states."""
    generator = np.random.default_rng(seed)
    mos = generator.uniform(0, 4.5, n)
    return 3 / (1 + np.exp(-(mos - 2.2))) + generator.normal(0, noise, n), mos


@pytest.mark.parametrize("case", range(3))
def test_figures_are_those_of_the_authors_evaluation_code(case):
    # recorded from the authors' code, see the file
    recorded = json.loads((GOLDEN / "official-metrics.json").read_text())["cases"][case]
    figures = evaluate(*sample(recorded["seed"], recorded["n"], recorded["noise"]))
    ours = [figures[name] for name in ("srcc", "plcc_fitted", "krcc", "rmse_fitted")]
    np.testing.assert_allclose(ours, recorded["metrics"], rtol=0, atol=1e-4)


def test_raw_figures_follow_their_definitions():
    scores, mos = sample(seed=0, n=50, noise=0.5)
    figures = evaluate(scores, mos)
    assert figures["plcc"] == pytest.approx(np.corrcoef(scores, mos)[0, 1])
    assert figures["rmse"] == pytest.approx(np.sqrt(np.mean((scores - mos) ** 2)))


def test_checkpoints_are_chosen_by_the_sum_of_srcc_and_raw_plcc():
    scores, mos = sample(seed=0, n=50, noise=0.5)
    figures = evaluate(scores, mos)
    assert calculate_srcc_plcc(scores, mos) == pytest.approx(figures["srcc"] + figures["plcc"])


def test_the_fit_undoes_a_change_of_scale_and_the_raw_error_does_not():
    scores, mos = sample(seed=0, n=200, noise=0.5)
    figures, rescaled = evaluate(scores, mos), evaluate(10 * scores - 3, mos)
    assert rescaled["rmse_fitted"] == pytest.approx(figures["rmse_fitted"], abs=1e-3)
    assert rescaled["rmse"] > 2 * figures["rmse"]


def test_scores_as_float32_are_accepted():
    scores, mos = sample(seed=0, n=200, noise=0.5)
    assert calculate_plcc_fitted(scores.astype(np.float32), mos.astype(np.float32)) == pytest.approx(
        calculate_plcc_fitted(scores, mos), abs=1e-4
    )


@pytest.mark.parametrize("calculate", [calculate_plcc_fitted, calculate_rmse_fitted])
def test_constant_scores_give_nan_where_a_fit_is_asked_for(calculate):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isnan(calculate(np.full(20, 2.0), np.linspace(0, 4, 20)))


@pytest.mark.parametrize("calculate", [calculate_plcc_fitted, calculate_rmse_fitted])
def test_too_few_images_for_the_fit_give_nan(calculate):
    assert np.isnan(calculate(np.array([1.0, 2.0]), np.array([1.0, 3.0])))
