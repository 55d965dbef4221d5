"""An interrupted training goes on as if nothing had happened: same weights to the bit, same history, same scores."""

import itertools
import os
import random
import re

import numpy as np
import pytest
import torch

from maagiqa_pyiqa.models.sampling import SeededDataset, SeededSampler
from maagiqa_pyiqa.models.training_state import (
    random_states,
    read_last_state,
    restore_random_states,
    state_files,
    write_state,
)
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


def test_told_to_stop_it_saves_its_state_and_says_how_to_go_on(tmp_path, quarters, tiny_options, uninterrupted):
    write_option(tmp_path, quarters, tiny_options)
    training = TrainingProcess(tmp_path)
    assert training.stop_at(5)
    assert training.wait() == 130
    said = training.errors.read_text()
    step = int(re.search(r"stopped at step (\d+) of 22; the same command with --resume goes on from there", said)[1])
    assert state_files(tmp_path / STATES)[0].stem == str(step)
    assert TrainingProcess(tmp_path, "--resume").wait() == 0
    assert_same_results(results(tmp_path), uninterrupted)


@pytest.fixture
def killed(tmp_path, quarters, tiny_options):
    """A folder of a run that was killed after its second validation."""
    write_option(tmp_path, quarters, tiny_options)
    assert TrainingProcess(tmp_path).kill_at(2 * VAL_FREQ + 1)
    return tmp_path


def test_damaged_state_is_passed_over_for_the_one_before(killed, uninterrupted):
    last, before = state_files(killed / STATES)
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    training = TrainingProcess(killed, "--resume")
    assert training.wait() == 0
    assert f"training state '{last.absolute()}' is damaged and passed over" in training.errors.read_text()
    assert f"Going on from the training state of step {before.stem}." in training.errors.read_text()
    assert_same_results(results(killed), uninterrupted)


def test_state_of_other_options_is_refused_with_each_difference(killed):
    kept = (killed / "experiments/tiny/resolved_options.json").read_bytes()
    changes = ("train:optim:lr=0.01", "datasets:train:batch_size_per_gpu=4", "logger:print_freq=2")
    training = TrainingProcess(killed, "--resume", "--force_yml", *changes)
    assert training.wait() == 2
    said = training.errors.read_text()
    assert "train: optim: lr: 0.001 in the state, 0.01 now" in said
    assert "datasets: train: batch_size_per_gpu: 8 in the state, 4 now" in said
    assert "print_freq:" not in said.split("is of other options")[1]  # changes no figure
    assert "Traceback" not in said
    assert (killed / "experiments/tiny/resolved_options.json").read_bytes() == kept


def test_full_disk_leaves_the_state_before_and_says_so(killed, uninterrupted):
    states = [path.name for path in state_files(killed / STATES)]
    training = TrainingProcess(killed, "--resume", largest_file=100_000)
    assert training.wait() == 2
    said = training.errors.read_text()
    assert "could not be written" in said
    assert "Traceback" not in said
    assert [path.name for path in state_files(killed / STATES)] == states
    assert TrainingProcess(killed, "--resume").wait() == 0
    assert_same_results(results(killed), uninterrupted)


def test_finished_run_that_is_resumed_only_repeats_its_test(tmp_path, quarters, tiny_options, uninterrupted):
    write_option(tmp_path, quarters, tiny_options)
    assert TrainingProcess(tmp_path).wait() == 0
    (tmp_path / "experiments/tiny/test_scores.csv").unlink()
    assert TrainingProcess(tmp_path, "--resume").wait() == 0
    assert_same_results(results(tmp_path), uninterrupted)


# state files


def small_state(step):
    return {"iter": step, "weights": torch.full((1000,), float(step))}


def test_the_last_two_states_are_kept(tmp_path):
    for step in (9, 10, 100):
        write_state(tmp_path, small_state(step))
    assert [path.stem for path in state_files(tmp_path)] == ["100", "10"]


DAMAGES = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "one flipped bit": lambda content: content[:2000] + bytes([content[2000] ^ 4]) + content[2001:],
    "no state": lambda content: b"weights of something else",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_state_is_checked_on_reading(tmp_path, damage):
    write_state(tmp_path, small_state(1))
    last = write_state(tmp_path, small_state(2))
    last.write_bytes(DAMAGES[damage](last.read_bytes()))
    state, remarks = read_last_state(tmp_path)
    assert state["iter"] == 1
    assert len(remarks) == 1
    assert str(last) in remarks[0]


def test_state_of_a_newer_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("maagiqa_pyiqa.models.training_state.FORMAT", 7)
    write_state(tmp_path, small_state(1))
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"in format 7; this is .*, which reads format 1\. Update it"):
        read_last_state(tmp_path)


def test_random_states_of_every_generator_come_back():
    states = random_states()
    drawn = [random.random(), np.random.rand(), torch.rand(1).item()]
    restore_random_states(states)
    assert [random.random(), np.random.rand(), torch.rand(1).item()] == drawn


# the order of images


class Indices(list):
    """A dataset of its own indices."""

    def __getitem__(self, index):
        return index, random.random(), float(np.random.rand()), torch.rand(1).item()


def epoch(seed, number, first=0):
    sampler = SeededSampler(Indices(range(30)), seed)
    sampler.start_at(number, first)
    return list(sampler)


def test_order_follows_from_seed_and_epoch():
    assert epoch(1, 0) == epoch(1, 0)
    assert epoch(1, 0) != epoch(2, 0)  # pyiqa's own sampler gives every seed the same order
    assert epoch(1, 0) != epoch(1, 1)
    assert sorted(index for index, _ in epoch(1, 0)) == list(range(30))


def test_an_epoch_is_taken_up_where_it_was_left():
    assert epoch(1, 2, first=8) == epoch(1, 2)[8:]


def test_what_is_random_in_an_image_follows_from_its_seed_alone():
    images = SeededDataset(Indices(range(30)))
    before = random_states()
    assert images[3, 7] == images[3, 7]
    assert images[3, 7][1:] != images[3, 8][1:]
    assert random_states()["python"] == before["python"]
    assert torch.equal(random_states()["torch"], before["torch"])
