"""Optimising pictures against the reward, a few steps of it."""

import pandas
import pytest

from benchmarks import reward_optimisation
from benchmarks.reward_optimisation import GRADIENT, REINFORCE
from tests.helpers.places import SAMPLE


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = tmp_path_factory.mktemp("optimised")
    picture = next((SAMPLE / "images").glob("xl2*"))
    reward_optimisation.main([str(picture), "--out", str(folder), "--steps", "6", "12"])
    return folder


def test_both_runs_raise_the_reward_and_tell_the_distance(outcome):
    data = pandas.read_csv(outcome / "optimisation.csv").set_index("run")
    assert data.loc[GRADIENT, "step"].tolist() == list(range(7))
    assert data.loc[REINFORCE, "step"].tolist() == list(range(13))
    for run in (GRADIENT, REINFORCE):
        rewards = data.loc[run, "reward"]
        assert rewards.iloc[-1] > rewards.iloc[0]
        assert data.loc[run, "distance"].between(0, 20).all()
    assert data.loc[GRADIENT, "reward"].iloc[-1] > data.loc[GRADIENT, "reward"].iloc[0] + 0.3


def test_a_picture_of_the_curves_is_drawn(outcome):
    assert (outcome / "optimisation.png").stat().st_size > 10_000
