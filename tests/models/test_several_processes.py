"""Two processes train as one does with the same batches, and share out what is to be scored."""

import csv
import json
import os
import subprocess
import sys

import pytest
import torch

from maagiqa_pyiqa.models.sampling import SharedBatches
from tests.helpers.places import ROOT
from tests.helpers.training_runs import write_option

# Dropout draws for the images that a process has, so it cannot be the same in one process and in two; and in float32,
# sums taken in another order part two trainings after some steps, as any two machines do.
EXACTLY = """
import sys, torch
torch.set_default_dtype(torch.float64)
torch.nn.Dropout.forward = lambda self, x: x
from maagiqa_pyiqa.cli.main import main
sys.exit(main(["train", "-opt", "option.yml", *sys.argv[1:]]))
"""
UNDER_PYIQA = """
import sys, torch
from types import SimpleNamespace
from maagiqa_pyiqa.models.processes import joined_processes, rank, world_size
from maagiqa_pyiqa.models.run_options import Run, read_run_options
from pyiqa.train import train_pipeline
opt = read_run_options(Run(option_file="option.yml"))
opt["auto_resume"] = False
with joined_processes("pytorch", 0):  # pyiqa's launcher takes GPUs alone
    train_pipeline(opt["root_path"], opt | {"dist": True, "rank": rank(), "world_size": world_size()},
                   SimpleNamespace(opt="option.yml"))
"""
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


def run(folder, code, processes, *words):
    """Run a script in ``folder``; its finished process."""
    (folder / "run.py").write_text(code)
    done = subprocess.run(
        [sys.executable, *(TWO if processes == 2 else ()), "run.py", *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def trained(tmp_path_factory, data, network, learning_rate):
    """Folders of a training in one process and in two, with the same eight images in each batch."""
    folders = {}
    for processes in (1, 2):
        folders[processes] = folder = tmp_path_factory.mktemp(f"processes{processes}")
        still = {**network, "depths": [1], "num_heads": [2], "score_bias": 2.0}  # one block has no stochastic depth
        option = write_option(
            folder,
            data,
            still,
            batch=8 // processes,
            train={"optim": {"type": "SGD", "lr": learning_rate}, "freeze_norm_statistics": True},
        )
        assert option.is_file()
        run(folder, EXACTLY, processes)
    return {processes: folder / "experiments" / "tiny" for processes, folder in folders.items()}


@pytest.fixture(scope="module")
def learning(tmp_path_factory, quarters, tiny_options):
    return trained(tmp_path_factory, quarters, tiny_options, learning_rate=1e-2)


@pytest.fixture(scope="module")
def standing_still(tmp_path_factory, quarters, tiny_options):
    """Runs whose weights stay as they are, so that figures must be equal to the bit."""
    return trained(tmp_path_factory, quarters, tiny_options, learning_rate=0.0)


def column(folder, name):
    with (folder / "history.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row[name]]


@pytest.mark.parametrize("loss", ["l_mos", "l_metric"])
def test_losses_of_the_first_twenty_steps_are_those_of_one_process(learning, loss):
    one, two = (column(learning[processes], loss)[:20] for processes in (1, 2))
    assert len(one) == 20
    assert two == pytest.approx(one, rel=1e-5)


def test_figures_after_training_are_those_of_one_process(learning):
    one, two = (json.loads((learning[processes] / "test_figures.json").read_text()) for processes in (1, 2))
    assert two == pytest.approx(one, rel=1e-4)


def test_every_image_is_scored_once_and_as_in_one_process(standing_still):
    one, two = standing_still[1], standing_still[2]
    for name in ("test_scores.csv", "test_figures.json"):
        assert (two / name).read_text() == (one / name).read_text()
    assert column(two, "some validation srcc_plcc") == column(one, "some validation srcc_plcc")
    assert len((two / "test_scores.csv").read_text().splitlines()) == 1 + 10


def test_one_process_writes_for_all(learning):
    one, two = ({path.name for path in folder.iterdir() if path.suffix != ".log"} for folder in learning.values())
    assert two == one
    assert len(list(learning[2].glob("train_*.log"))) == 1


def test_pyiqas_engine_in_two_processes_comes_to_its_end(tmp_path, quarters, tiny_options):
    write_option(tmp_path, quarters, tiny_options, batch=4, train={"total_iter": 4})
    run(tmp_path, UNDER_PYIQA, 2)
    assert len((tmp_path / "experiments/tiny/test_scores.csv").read_text().splitlines()) == 1 + 10


def test_launcher_without_torchrun_says_how_to_start(tmp_path, quarters, tiny_options):
    write_option(tmp_path, quarters, tiny_options)
    done = subprocess.run(
        [sys.executable, "-m", "maagiqa_pyiqa.cli.main", "train", "-opt", "option.yml", "--launcher", "pytorch"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "not started by torchrun; say: torchrun --nproc_per_node=2" in done.stderr


@pytest.mark.parametrize("length", [0, 1, 7, 8, 30])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_shares_of_a_dataset_are_disjoint_and_complete(length, processes, monkeypatch):
    batches = []
    for rank in range(processes):
        monkeypatch.setattr("maagiqa_pyiqa.models.sampling.rank", lambda rank=rank: rank)
        monkeypatch.setattr("maagiqa_pyiqa.models.sampling.world_size", lambda: processes)
        share = SharedBatches(length, 4)
        assert len(list(share)) == len(share)
        batches += share
    assert sorted(batches) == [list(part.numpy()) for part in torch.arange(length).split(4)] if length else not batches
