"""The authors' arithmetic on AGIQA-3k: steps, validations, and the learning rate that each validation sees."""

import math

import pytest
import torch

from maagiqa_pyiqa.data.splits import official_split
from maagiqa_pyiqa.models.engine import TrainingImages
from maagiqa_pyiqa.models.maagiqa_model import MAAGIQAModel
from maagiqa_pyiqa.support.option_files import read_option_file

STEPS, EPOCH = 7800, 260
# 1e-5 (1 + cos(pi k / 50)) / 2 after k steps, which is what the authors' scheduler gives; in millionths
RATES = (0.9549, 6.5451, 6.5451, 0.9549, 10.0) * 6


@pytest.fixture(scope="module")
def option():
    return read_option_file("maagiqa_3k")


def test_an_epoch_is_260_whole_batches(option, monkeypatch):
    rows = official_split(2982)["train"]
    assert len(rows) == 2087
    monkeypatch.setattr("maagiqa_pyiqa.models.engine.build_dataset", lambda section: rows)
    section = {**option["datasets"]["train"], "phase": "train", "num_worker_per_gpu": 0}
    images = TrainingImages.of({"datasets": {"train": section}, "manual_seed": 0, "num_gpu": 0, "dist": False})
    assert len(images) == EPOCH


def test_run_is_thirty_epochs_validated_after_each(option):
    assert option["train"]["total_iter"] == STEPS == 30 * EPOCH
    assert "total_epoch" not in option["train"]
    assert option["val"]["val_freq"] == EPOCH


def test_learning_rate_at_each_validation_is_the_authors(option):
    train = option["train"]
    model = object.__new__(MAAGIQAModel)  # the scheduler alone, as the option file names it
    model.opt, model.schedulers = {"train": {**train, "scheduler": dict(train["scheduler"])}}, []
    model.optimizers = [torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=train["optim"]["lr"])]
    model.setup_schedulers()
    seen = []
    for step in range(1, STEPS + 1):
        model.optimizers[0].step()
        model.schedulers[0].step()
        if step % option["val"]["val_freq"] == 0:
            seen.append(model.get_current_learning_rate()[0])
            assert seen[-1] == pytest.approx(1e-5 * (1 + math.cos(math.pi * step / 50)) / 2, abs=1e-11)
    assert [1e6 * rate for rate in seen] == pytest.approx(RATES, abs=1e-4)
