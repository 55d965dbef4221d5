"""Training in pyiqa's engine: a run from option file to tested checkpoint, and each thing we add to the engine."""

import copy
import itertools
import json
import logging
import os
import re
import subprocess
import sys

import pytest
import torch
import yaml

from maagiqa_pyiqa.archs.checkpoints.read import load_checkpoint
from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from maagiqa_pyiqa.leaderboard.training_data import TrainingData, training_data_of_file
from maagiqa_pyiqa.models import RESOLVED_OPTIONS
from maagiqa_pyiqa.models.maagiqa_model import MAAGIQAModel
from maagiqa_pyiqa.models.train_options import check_option_sections

RUN = "import sys; from pyiqa.train import train_pipeline; train_pipeline(sys.argv.pop(1))"
METRICS = {
    "srcc_plcc": {"type": "calculate_srcc_plcc"},
    "srcc": {"type": "calculate_srcc"},
    "plcc": {"type": "calculate_plcc"},
    "rmse": {"type": "calculate_rmse"},
    "plcc_fitted": {"type": "calculate_plcc_fitted"},
    "rmse_fitted": {"type": "calculate_rmse_fitted"},
}


def parsed_option(network):
    """An option file as pyiqa parses it."""
    return {
        "name": "tiny",
        "model_type": "MAAGIQAModel",
        "num_gpu": 0,
        "manual_seed": 0,
        "dist": False,
        "is_train": True,
        "datasets": {},
        "network": {"type": "MAAGIQA", **network},
        "path": {"pretrain_network": None},
        "train": {
            "total_iter": 6,
            "optim": {"type": "AdamW", "lr": 1e-3},
            "scheduler_step": "iteration",
            "scheduler": {"type": "CosineAnnealingLR", "T_max": "total_iter"},
            "mos_loss_opt": {"type": "MSELoss"},
        },
        "val": {"val_freq": 4, "save_img": False, "key_metric": "srcc_plcc", "metrics": METRICS},
        "logger": {"print_freq": 1, "save_checkpoint_freq": 5e9, "save_latest_freq": 5e9, "use_tb_logger": False},
    }


@pytest.fixture
def option(tiny_options, tmp_path):
    option = parsed_option(tiny_options)
    option["path"]["experiments_root"] = str(tmp_path)
    return option


@pytest.fixture
def batch(images, features):
    return {"img": images, "mos_label": torch.tensor([[1.0], [2.0], [3.0], [4.0]]), "semantic_features": features()}


# a whole run


def run_options(network, folder):
    """The option file of a whole run of two epochs, as a user would write it."""
    dataset = {
        "type": "AGIQA3kDataset",
        "dataroot_target": str(folder / "images"),
        "meta_info_file": str(folder / "data.csv"),
        "augment": {"squash": 64},
        "batch_size_per_gpu": 8,
        "num_worker_per_gpu": 0,
    }
    augment = {"squash": 64, "random_quarter_turns": 0.7, "random_height_flip": 0.7}
    option = parsed_option({**network, "semantics": "visual", "feature_dim": 1280})
    option["datasets"] = {
        "train": {"name": "some train", **dataset, "augment": augment},
        "val": {"name": "some validation", **dataset},
    }
    option["test"] = {"name": "some test", **dataset}
    option["train"] |= {"total_epoch": 2, "autocast": "bf16"}
    for set_by_pyiqa in ("dist", "is_train"):
        del option[set_by_pyiqa]
    del option["train"]["total_iter"]
    return option


def run(option, root):
    (root / "option.yml").write_text(yaml.safe_dump(option, sort_keys=False))
    return subprocess.run(
        [sys.executable, "-c", RUN, str(root), "-opt", str(root / "option.yml")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def finished(quarters, tiny_options, tmp_path_factory):
    """A finished run: its folder and its log."""
    root = tmp_path_factory.mktemp("run")
    result = run(run_options(tiny_options, quarters), root)
    assert result.returncode == 0, result.stderr[-1500:]
    (log,) = (root / "experiments" / "tiny").glob("train_*.log")
    return root / "experiments" / "tiny", log.read_text()


def figures_after(heading, log):
    """Name to value of the figures listed right after a heading of the log, the last time it stands there."""
    listed = log[log.rindex(heading) :].splitlines()[1:]
    figures = (re.match(r"\s*# (\w+): (-?[\d.]+|nan)", line) for line in listed)
    return {match[1]: float(match[2]) for match in itertools.takewhile(bool, figures)}


def test_run_learns_from_every_part_of_the_split(finished):
    log = finished[1]
    assert "Number of train images: 33" in log
    assert "Number of val images/folders in some validation: 5" in log
    losses = [float(value) for value in re.findall(r"l_mos: (\S+)", log)]
    assert len(losses) >= 8
    assert min(losses[4:]) < losses[0]


def test_run_logs_raw_and_fitted_figures_of_the_validation(finished):
    figures = figures_after("Validation some validation", finished[1])
    assert figures.keys() == METRICS.keys()
    assert figures["srcc_plcc"] == pytest.approx(figures["srcc"] + figures["plcc"], abs=2e-4)


def test_run_keeps_the_options_it_really_had(finished):
    kept = json.loads((finished[0] / RESOLVED_OPTIONS).read_text())
    assert kept["network"]["feature_dim"] == 1280
    assert kept["train"]["total_iter"] > 0  # worked out by pyiqa, in no option file
    assert training_data_of_file(str(finished[0] / "models" / "net_best.pth")) == TrainingData(dataset="agiqa-3k")
    assert training_data_of_file(str(finished[0] / "test_scores.csv")) == TrainingData(dataset="agiqa-3k")


def test_run_ends_with_a_test_of_every_image_with_the_best_weights(finished):
    log = finished[1]
    assert log.count("Test some test") == 1
    assert "Test some test (10 images, best weights)" in log
    figures = figures_after("Test some test", log)
    assert figures.keys() == {"srcc", "plcc", "krcc", "rmse", "plcc_fitted", "rmse_fitted"}


def test_best_weights_of_a_run_load(finished, tiny_options):
    net = MAAGIQA(**{**tiny_options, "feature_dim": 1280})
    before = net.fusion.regression.weight.clone()
    load_checkpoint(net, finished[0] / "models" / "net_best.pth")
    assert not torch.equal(net.fusion.regression.weight, before)


def test_learning_rate_of_a_run_anneals_over_its_iterations(finished):
    rates = [float(rate) for rate in re.findall(r"lr:\(([\d.e-]+),", finished[1])]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 5 * rates[-1]


# what is refused before anything is trained

SECTION_ERRORS = {
    "top": ((), "val_freq", "option file: unknown option 'val_freq'"),
    "top, misspelt": ((), "netwrok", "option file: unknown option 'netwrok'. Did you mean 'network'"),
    "path": (("path",), "pretrain_network_g", "path: unknown option .* Did you mean 'pretrain_network'"),
    "train": (("train",), "warmup_iters", "train: unknown option .* Did you mean 'warmup_iter'"),
    "val": (("val",), "key_metrics", "val: unknown option .* Did you mean 'key_metric'"),
    "logger": (("logger",), "print_frq", "logger: unknown option .* Did you mean 'print_freq'"),
    "network": (("network",), "embed_dims", "MAAGIQA: unknown option .* Did you mean 'embed_dim'"),
    "optim": (("train", "optim"), "lr_bakbone", "'lr_bakbone' names no part .* Did you mean 'backbone'"),
    "scheduler": (("train", "scheduler"), "T_maxx", "T_maxx"),
    "loss": (("train", "mos_loss_opt"), "loss_wieght", "loss_wieght"),
}


@pytest.mark.parametrize(("section", "key", "message"), SECTION_ERRORS.values(), ids=SECTION_ERRORS)
def test_misspelt_key_is_refused_with_the_nearest(option, section, key, message):
    place = option
    for name in section:
        place = place[name]
    place[key] = 1
    with pytest.raises((ValueError, TypeError), match=message):
        MAAGIQAModel(option)


@pytest.mark.parametrize("phase", ["train", "val", "test"])
def test_run_with_a_misspelt_dataset_key_fails_before_the_first_iteration(tiny_options, quarters, tmp_path, phase):
    option = run_options(tiny_options, quarters)
    section = option["test"] if phase == "test" else option["datasets"][phase]
    section["batchsize_per_gpu"] = 8
    result = run(option, tmp_path)
    assert result.returncode != 0
    complaint = result.stderr[-1500:]
    assert "unknown option 'batchsize_per_gpu'. Did you mean 'batch_size_per_gpu'" in complaint
    assert "iter:       1" not in result.stderr


VALUE_ERRORS = {
    "scheduler_step": ("iter", "scheduler_step must be one of .* got 'iter'. Did you mean 'iteration'"),
    "autocast": ("bf61", "autocast must be one of .* Did you mean 'bf16'"),
    "mos_loss_opt": (None, "name a loss in mos_loss_opt or metric_loss_opt"),
    "freeze": (
        ["quality_brunch"],
        "freeze 'quality_brunch' is the start of no parameter's name, such as quality_branch",
    ),
}


@pytest.mark.parametrize("key", VALUE_ERRORS)
def test_value_out_of_its_set_is_refused(option, key):
    option["train"][key], message = VALUE_ERRORS[key]
    with pytest.raises(ValueError, match=message):
        MAAGIQAModel(option)


@pytest.mark.parametrize("key", ["optim", "scheduler"])
def test_missing_section_of_train_is_named(option, key):
    del option["train"][key]
    with pytest.raises(ValueError, match=f"train: .*{key}"):
        MAAGIQAModel(option)


# what the model adds to pyiqa's


def test_semantic_features_of_the_dataset_reach_the_network(option, batch):
    model = MAAGIQAModel(option)
    model.net.eval()
    model.feed_data(batch)
    score = model.net_forward(model.net)
    assert torch.equal(score, model.net(batch["img"], batch["semantic_features"]))
    model.feed_data({**batch, "semantic_features": -batch["semantic_features"]})
    assert not torch.equal(score, model.net_forward(model.net))


def test_dataset_without_semantic_features_asks_the_extractor(option, batch):
    model = MAAGIQAModel(option)
    model.feed_data(batch)
    model.feed_data({key: value for key, value in batch.items() if key != "semantic_features"})
    with pytest.raises(ValueError, match="no semantic extractor"):  # not the features of the batch before
        model.net_forward(model.net)


def train(model, batch, iterations):
    """Train as pyiqa does; the learning rate before each iteration."""
    rates = []
    for iteration in range(1, iterations + 1):
        rates.append(model.get_current_learning_rate()[0])
        model.feed_data(batch)
        model.optimize_parameters(iteration)
    return rates


def test_scheduler_steps_every_iteration_over_the_whole_run(option, batch):
    model = MAAGIQAModel(option)
    rates = train(model, batch, 6)
    assert rates[0] == 1e-3
    assert rates == sorted(set(rates), reverse=True)
    assert model.get_current_learning_rate()[0] == pytest.approx(0, abs=1e-9)  # T_max is total_iter


def test_scheduler_that_steps_every_iteration_does_not_step_every_epoch_too(option, batch):
    model = MAAGIQAModel(option)
    train(model, batch, 2)
    rate = model.get_current_learning_rate()
    model.update_learning_rate(2)
    assert model.get_current_learning_rate() == rate


def test_scheduler_steps_every_epoch_unless_told(option, batch):
    del option["train"]["scheduler_step"]
    model = MAAGIQAModel(option)
    assert set(train(model, batch, 2)) == {1e-3}
    model.update_learning_rate(2)
    assert model.get_current_learning_rate()[0] < 1e-3


def test_authors_schedule_cycles_every_hundred_iterations(option, batch):
    option["train"]["scheduler"]["T_max"] = 50
    scheduler = MAAGIQAModel(option).schedulers[0]
    rates = []
    for _ in range(201):
        rates.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step()
    assert rates[::50] == pytest.approx([1e-3, 0, 1e-3, 0, 1e-3], abs=1e-9)


@pytest.mark.parametrize("prefix", ["quality_branch.backbone.model.layer1.", "*.layer1."])
def test_frozen_parts_stay_and_the_others_move(option, batch, prefix):
    frozen = "quality_branch.backbone.model.layer1."
    option["train"]["freeze"] = [prefix]
    model = MAAGIQAModel(option)
    before = {name: parameter.detach().clone() for name, parameter in model.net.named_parameters()}
    train(model, batch, 2)
    moved = {name for name, parameter in model.net.named_parameters() if not torch.equal(parameter, before[name])}
    assert not any(name.startswith(frozen) for name in moved)
    assert {"quality_branch.conv1.weight", "fusion.gate.weight"} <= moved


@pytest.mark.parametrize("autocast", ["none", "bf16"])
def test_training_on_one_batch_lowers_its_loss(option, batch, autocast):
    option["train"] |= {"autocast": autocast, "total_iter": 30}
    option["train"]["optim"]["lr"] = 1e-2
    option["network"]["drop"] = 0.0
    torch.manual_seed(0)
    model = MAAGIQAModel(option)
    train(model, batch, 1)
    first = model.get_current_log()["l_mos"]
    train(model, batch, 29)
    assert model.get_current_log()["l_mos"] < 0.5 * first
    assert model.output_score.dtype == torch.float32


@pytest.mark.parametrize(
    ("processor", "computed_in"),
    [("AVX2", torch.float32), ("DEFAULT", torch.float32), ("AVX512", torch.bfloat16)],  # as PyTorch names them
)
def test_bf16_is_left_to_processors_that_are_quick_in_it(option, batch, processor, computed_in, monkeypatch, caplog):
    monkeypatch.setattr("maagiqa_pyiqa.models.maagiqa_model.get_root_logger", logging.getLogger)
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: processor)
    option["train"]["autocast"] = "bf16"
    model = MAAGIQAModel(option)
    seen = []
    model.net.quality_branch.conv1.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    train(model, batch, 1)
    assert seen == [computed_in]
    assert ("Training in 32-bit floats" in caplog.text) == (computed_in == torch.float32)


def test_option_file_is_not_consumed_twice(option):
    kept = copy.deepcopy(option)
    check_option_sections(option)
    assert option == kept
