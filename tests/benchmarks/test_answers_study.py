"""The ablation on answers: rows are trained on the training part alone, and figures are by whole prompts."""

import numpy as np
import pytest
import torch

from benchmarks.ablation import ROWS
from benchmarks.answers.experts import COMPONENTS, Inputs, _components
from benchmarks.answers.figures import RESAMPLES, ScoredPart, resampled, table
from benchmarks.answers.study import ALL_ROWS
from benchmarks.answers.training import train

N = 300
NOISE = {"quality": 1.0, "all, MoE": 0.1, "all, concatenation": 0.6}  # of scores, by row
PARTS = {"train": range(180), "val": range(180, 240), "test": range(240, N)}


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    return Inputs(torch.randn(N, COMPONENTS), torch.randn(N, 3, COMPONENTS))


def test_the_study_has_tables_3_and_5_of_the_paper_and_the_text_prompt():
    """Seven combinations, the last by mixture of experts or concatenation."""
    used = {(row.use_quality, row.prompts) for row in ALL_ROWS.values()}
    assert {(quality, prompts) for quality in (True, False) for prompts in ((), (0,), (1,), (0, 1))} - used == {
        (False, ())
    }
    assert {row.fusion for row in ALL_ROWS.values() if row.prompts == (0, 1) and row.use_quality} == {"moe", "concat"}
    assert [row.prompts for row in ALL_ROWS.values() if 2 in row.prompts] == [(2,), (0, 1, 2)]


def test_a_row_sees_its_own_experts_alone(inputs):
    inputs.semantic_features[:, 1, 1:] *= 0.1
    mos = inputs.semantic_features[:, 1, 0].numpy() + 3.0
    blind, seeing = (train(ROWS[row], inputs, mos, PARTS, seed=0) for row in ("semantic", "coherence"))
    agreement = [np.corrcoef(scores, mos[PARTS["test"]])[0, 1] for scores in (blind, seeing)]
    assert agreement[1] > 0.4 > agreement[0]  # the ratings follow the answers to one question
    assert (seeing == train(ROWS["coherence"], inputs, mos, PARTS, seed=0)).all()


def test_components_are_fitted_on_the_training_part_alone():
    torch.manual_seed(0)
    x = torch.randn(50, 20)
    other = x.clone()
    other[40:] += 7
    first, second = (_components(values, range(40)) for values in (x, other))
    assert torch.equal(first[:40], second[:40])
    assert first.shape == (50, COMPONENTS)


def test_figures_are_means_over_seeds_and_splits_held_against_quality():
    generator = np.random.default_rng(0)
    parts = []
    for _ in range(2):
        mos = generator.normal(size=60)
        scores = {row: mos + noise * generator.normal(size=(3, 60)) for row, noise in NOISE.items()}
        parts.append(ScoredPart(mos, [f"prompt {i // 3}" for i in range(60)], scores))
    found = resampled(parts, [*NOISE])
    assert found["all, MoE"].shape == (1 + RESAMPLES,)
    assert found["all, MoE"][0] > 0.98 > found["quality"][0]
    lines = table(parts).splitlines()
    assert lines[3].startswith("| all, MoE | 0.99")
    assert lines[3].split(" | ")[6] == "0.001"
    assert 0.01 < float(lines[3].split(" | ")[7].rstrip(" |")) < 0.3
    assert lines[-1].startswith("all, MoE against all, concatenation: +0.")
    assert lines[-1].endswith(", p 0.001")
