"""A training teaches that damaged versions of an image are worse than it."""

import pytest
import torch
from torch.testing import assert_close

from maagiqa_pyiqa.models.damage_loss import DamageLoss
from maagiqa_pyiqa.models.maagiqa_model import MAAGIQAModel
from tests.models.test_training import parsed_option

LITE = {"preset": "lite", "glance_backbone": "", "rescale": [1.0, 2.5], "drop": 0.0}


@pytest.fixture
def option(tmp_path):
    option = parsed_option(LITE)
    option["path"]["experiments_root"] = str(tmp_path)
    option["train"]["damage_loss_opt"] = {"margin": 0.5}
    return option


@pytest.fixture
def batch(images):
    """Four images of 64 px, and their negatives in the place of damaged versions."""
    small = torch.nn.functional.interpolate(images, (64, 64))
    return {"img": small, "mos_label": torch.tensor([[1.0], [2.0], [3.0], [4.0]]), "damaged": 1 - small}


def test_the_loss_is_what_is_missing_to_the_margin_and_moves_damaged_versions_alone():
    scores = torch.tensor([[3.0], [2.0], [1.0]], requires_grad=True)
    damaged = torch.tensor([[2.9], [1.0], [1.5]], requires_grad=True)
    loss = DamageLoss(margin=0.5, loss_weight=2.0)(scores, damaged)
    assert_close(loss, torch.tensor(2 * (0.4 + 0.0 + 1.0) / 3))
    loss.backward()
    assert scores.grad is None
    assert_close(damaged.grad, torch.tensor([[2.0], [0.0], [2.0]]) / 3)


def test_training_puts_damaged_versions_below_their_images(option, batch):
    torch.manual_seed(0)
    model = MAAGIQAModel(option)
    for step in range(1, 31):
        model.feed_data(batch)
        model.optimize_parameters(step)
    net = model.net.eval()
    with torch.no_grad():
        assert (net(batch["damaged"]) < net(batch["img"])).all()
    assert set(model.log_dict) == {"l_mos", "l_damage"}
    assert model.output_score.shape == (8, 1)


def test_ratings_are_learnt_from_images_alone(option, batch):
    losses = MAAGIQAModel(option)._losses(torch.tensor([[1.0], [2.0], [3.0], [5.0], *[[9.0]] * 4]), batch["mos_label"])
    assert losses["l_mos"] == pytest.approx(0.25)
    assert losses["l_damage"] == pytest.approx((8.5 + 7.5 + 6.5 + 4.5) / 4)


def test_a_dataset_without_damaged_versions_is_named(option, batch):
    del batch["damaged"]
    model = MAAGIQAModel(option)
    model.feed_data(batch)
    with pytest.raises(ValueError, match="damage_loss_opt needs 'damaged: true' in datasets: train"):
        model.optimize_parameters(1)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"margin": 0}, "damage_loss_opt margin must be above 0, got 0"),
        ({"margin": 0.2, "loss_weight": -1.0}, "damage_loss_opt loss_weight must be above 0, got -1.0"),
        ({"margin": 0.2, "wieght": 1.0}, "wieght"),
        ({}, "margin"),
    ],
)
def test_bad_arguments_are_refused(option, section, message):
    option["train"]["damage_loss_opt"] = section
    with pytest.raises(ValueError, match=message):
        MAAGIQAModel(option)
