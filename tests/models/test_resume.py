"""An interrupted training goes on as if nothing had happened: same weights to the bit, same history, same scores."""

import itertools
import os
import random

import pytest

from maagiqa_pyiqa.models.training_state import state_files
from tests.helpers.training_runs import (
    STEPS,
    VAL_FREQ,
    TrainingProcess,
    assert_same_results,
    results,
    write_option,
)

STATES = "experiments/tiny/training_states"
KILLS = int(os.environ.get("MAAGIQA_KILLS", "2"))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, quarters, tiny_options):
    """What a run in one go leaves."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    write_option(folder, quarters, tiny_options)
    assert TrainingProcess(folder).wait() == 0, (folder / "stderr.txt").read_text()[-2000:]
    return results(folder)


def train_with_kills(folder, draw, most):
    """Train to the end, killed at random steps on the way at most so often; how often it was."""
    kills = 0
    while kills < most:
        kept = max((int(path.stem) for path in state_files(folder / STATES)), default=0)
        if not TrainingProcess(folder, "--resume").kill_at(draw.randint(kept + 1, min(kept + 2 * VAL_FREQ, STEPS - 1))):
            return kills  # the last steps went by before the signal came
        kills += 1
    assert TrainingProcess(folder, "--resume").wait() == 0, (folder / "stderr.txt").read_text()[-2000:]
    return kills


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_again_and_again_it_ends_as_in_one_go(tmp_path, quarters, tiny_options, uninterrupted, workers):
    draw = random.Random(workers)
    kills = 0
    for run in itertools.count():
        write_option(tmp_path / str(run), quarters, tiny_options, workers=workers)
        kills += train_with_kills(tmp_path / str(run), draw, KILLS - kills)
        assert_same_results(results(tmp_path / str(run)), uninterrupted)
        if kills == KILLS:
            break
