"""Whole trainings of a small network, each in a process of its own that can be killed."""

import multiprocessing
import os
import re
import resource
import signal
import sys
import time
from pathlib import Path

import torch
import yaml

STEPS = 22  # in epochs of 4: 33 training images in batches of 8
VAL_FREQ = 3


def write_option(folder, data, network, *, workers=0, batch=8, **changes):
    """An option file of a network without semantic features, with all that is random in a training switched on.

    Args:
        folder: of the run.
        data: a folder as AGIQA-3k lies on disk, see the fixture ``quarters``.
        network: options of the network.
        workers: that load images.
        batch: images at once in each process.
        **changes: in place of a top section, or of values in it.
    """
    dataset = {
        "type": "AGIQA3kDataset",
        "root": str(data),
        "augment": {"squash": 64},
        "batch_size_per_gpu": batch,
        "num_worker_per_gpu": workers,
    }
    augment = {"squash": 64, "random_quarter_turns": 0.7, "random_height_flip": 0.7}
    option = {
        "name": "tiny",
        "model_type": "MAAGIQAModel",
        "num_gpu": 0,
        "manual_seed": 3,
        "datasets": {
            "train": {"name": "some train", **dataset, "augment": augment},
            "val": {"name": "some validation", **dataset},
        },
        "test": {"name": "some test", **dataset},
        "network": {"type": "MAAGIQA", **network, "num_prompts": 0},
        "path": {},
        "train": {
            "total_iter": STEPS,
            "optim": {"type": "AdamW", "lr": 1e-3},
            "scheduler_step": "iteration",
            "scheduler": {"type": "CosineAnnealingLR", "T_max": 5},
            "mos_loss_opt": {"type": "MSELoss"},
            "metric_loss_opt": {"type": "PLCCLoss"},
        },
        "val": {"val_freq": VAL_FREQ, "save_img": False},
        "logger": {"print_freq": 1, "save_checkpoint_freq": 5e9, "save_latest_freq": 5e9, "use_tb_logger": False},
    }
    for key, value in changes.items():
        option[key] = {**option[key], **value} if isinstance(value, dict) else value
    path = Path(folder) / "option.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(option, sort_keys=False))
    return path


class TrainingProcess:
    """``maagiqa train ...`` in ``folder``, started from a process that has imported everything."""

    def __init__(self, folder, *words, largest_file=None):
        self.folder = Path(folder)
        self.errors = self.folder / "stderr.txt"
        start = _context().Process(target=_train, args=(str(folder), words, largest_file))
        start.start()
        self.process = start

    def kill_at(self, step):
        """SIGKILL it once its log has come to a step; False where it ended before."""
        return self._signal_at(step, signal.SIGKILL)

    def stop_at(self, step):
        """SIGTERM it there, and wait for its end."""
        return self._signal_at(step, signal.SIGTERM)

    def _signal_at(self, step, number):
        while self.process.is_alive():
            if logged_step(self.folder) >= step:
                os.kill(self.process.pid, number)
                break
            time.sleep(0.005)
        code = self.wait()
        assert code in (0, -number, 130), self.errors.read_text()[-2000:]
        return code != 0

    def wait(self):
        """Its exit code."""
        self.process.join(300)
        assert self.process.exitcode is not None, "still running"
        return self.process.exitcode


def _context():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["maagiqa_pyiqa.models.training", "maagiqa_pyiqa.data.agi_dataset"])
    return context


def _train(folder, words, largest_file):
    # as in a process of its own: workers of the start server would outlive a training that is killed
    multiprocessing.set_start_method("fork", force=True)
    os.chdir(folder)
    if largest_file is not None:  # files come to an end as on a full disk
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    torch.set_num_threads(1)
    from maagiqa_pyiqa.cli.main import main

    errors = os.open("stderr.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(errors, 2)
    output = os.open("stdout.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    sys.exit(main(["train", "-opt", "option.yml", *words]))


def logged_step(folder):
    """The last step in the newest log of a run."""
    logs = sorted(Path(folder).glob("experiments/tiny/train_*.log"), key=lambda path: path.stat().st_mtime)
    steps = re.findall(r"iter: *(\d+),", logs[-1].read_text()) if logs else []
    return int(steps[-1]) if steps else 0


def results(folder):
    """What a run leaves that has to be the same: weights, history, scores of the test."""
    experiment = Path(folder) / "experiments" / "tiny"
    weights = {}
    for name in ("net_latest", "net_best"):
        content = torch.load(experiment / "models" / f"{name}.pth", weights_only=True)["params"]
        weights |= {f"{name} {key}": tensor for key, tensor in content.items()}
    return weights, (experiment / "history.csv").read_text(), (experiment / "test_scores.csv").read_text()


def assert_same_results(one, other):
    """Fail unless two runs are the same to the bit."""
    assert one[0].keys() == other[0].keys()
    assert [key for key, tensor in one[0].items() if not torch.equal(tensor, other[0][key])] == []
    assert one[1:] == other[1:]
