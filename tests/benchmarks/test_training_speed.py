"""The training benchmark: both sides do the same, and its table says so."""

import re

import pytest
import torch

from benchmarks.reference_training import PlainNetwork
from benchmarks.training_speed import SIDES, TINY, main, parse_arguments, prepare
from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA


@pytest.mark.parametrize(
    ("recipe", "block", "alive"),
    [("official", 0, 1e-3), ("lite-2026a", 2, 3e-4)],  # a block that is not frozen, and what its gradient reaches
)
def test_both_sides_have_the_same_scores_and_gradients_of_the_quality_branch(recipe, block, alive):
    _, trainings = prepare(parse_arguments(["--recipe", recipe, "--size", "tiny", "--device", "cpu"]), SIDES)
    images, features = torch.rand(2, 3, 64, 64), torch.randn(2, 2, TINY["feature_dim"])
    scores, gradients = [], []
    for training in trainings.values():
        torch.manual_seed(1)  # of the dropout
        scores.append(training.net(images, features))
        scores[-1].sum().backward()
        gradients.append(training.net.quality_branch.backbone.model.blocks[block].mlp.fc1.weight.grad)
    torch.testing.assert_close(*scores, rtol=1e-5, atol=1e-5)
    assert gradients[0].abs().max() > alive  # else the quality branch is dead and nothing is compared
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=3e-6)


def test_another_network_is_noticed():
    torch.manual_seed(0)
    ours = MAAGIQA(score_bias=1.0, **TINY).eval()
    plain = PlainNetwork(ours).eval()
    ours.quality_branch.backbone.model.blocks[0].mlp.fc1.weight.data.mul_(1.5)
    images, features = torch.rand(2, 3, 64, 64), torch.randn(2, 2, TINY["feature_dim"])
    assert not torch.allclose(plain(images, features), ours(images, features), rtol=1e-4)


def test_the_table_shows_equal_losses_and_a_peak_for_each_side(capsys):
    main(["--size", "tiny", "--batch-size", "2", "--steps", "2", "--device", "cpu"])
    table = capsys.readouterr().out
    for side in ("authors", "ours"):
        assert re.search(rf"^\| {side} \| \d+\.\d\d \| \d+\.\d\d \| 0*[1-9.][\d.]* GB \|$", table, re.MULTILINE)
    difference = re.search(r"of losses in 3 steps: (\S+)", table)
    assert float(difference[1]) < 1e-4
