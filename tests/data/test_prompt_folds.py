"""The published prompt-grouped folds of AGIQA-3k: each split tests exactly the images that the assignment says."""

import itertools

import numpy as np
import pandas
import pytest

from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.data.known_images import FOLDER
from maagiqa_pyiqa.data.splits import FOLD_SPLITS, PARTS, make_split
from maagiqa_pyiqa.leaderboard.datasets import DatasetChoice, load_data
from tests.helpers.places import GOLDEN


@pytest.fixture(scope="module")
def published():
    """Fold of each row of AGIQA-3k's table, which is in the order of the names."""
    return pandas.read_csv(GOLDEN / "agiqa-folds" / "agiqa_3k_prompt_folds.csv").sort_values("name", ignore_index=True)


@pytest.fixture(scope="module")
def ranks():
    """Something in place of each row's prompt, in the order of the prompts."""
    with np.load(FOLDER / "agiqa-3k.npz", allow_pickle=False) as content:
        return [f"prompt {rank:05d}" for rank in content["prompt_ranks"]]


@pytest.mark.parametrize("fold", range(5))
def test_folds_are_the_published_assignment(published, ranks, fold):
    assert make_split(f"prompt-folds:{fold}", ranks, len(ranks))["test"] == [*np.flatnonzero(published["fold"] == fold)]


def test_folds_are_the_published_assignment_by_name_too(published, agiqa3k):
    table = pandas.read_csv(agiqa3k / "data.csv").sample(frac=1, random_state=0, ignore_index=True)
    for fold, split in enumerate(FOLD_SPLITS):
        tested = table["name"][make_split(split, list(table["prompt"]), len(table))["test"]]
        assert {*tested} == {*published["name"][published["fold"] == fold]}


@pytest.mark.parametrize("split", FOLD_SPLITS)
def test_no_prompt_of_a_fold_stands_in_two_parts_and_sizes_are_70_10_20(ranks, split):
    rows = make_split(split, ranks, len(ranks))
    assert sorted(row for part in rows.values() for row in part) == list(range(len(ranks)))
    prompts = [ranks[row] for part in PARTS for row in sorted(rows[part], key=ranks.__getitem__)]
    assert sum(left != right for left, right in itertools.pairwise(prompts)) == len(set(ranks)) - 1
    assert [len(rows[part]) / len(ranks) for part in PARTS] == pytest.approx([0.7, 0.1, 0.2], abs=0.01)


def test_the_seed_changes_the_validation_part_alone(ranks):
    first, second = (make_split("prompt-folds:1", ranks, len(ranks), seed) for seed in (0, 1))
    assert first["test"] == second["test"]
    assert first["val"] != second["val"]


def test_another_data_set_has_no_folds():
    with pytest.raises(ValueError, match="AGIQA-3k, which has 300 text prompts, and this table has 2; take"):
        make_split("prompt-folds:0", ["a cat", "A cat ", "a dog"], 3)
    with pytest.raises(ValueError, match="split 'prompt-folds:0' needs a prompt column"):
        make_split("prompt-folds:0", None, 3)


def test_the_command_line_knows_folds(tmp_path, published, ranks, capsys):
    published.assign(prompt=ranks).to_csv(tmp_path / "data.csv", index=False)
    out = tmp_path / "fold3.csv"
    assert main(["split", str(tmp_path / "data.csv"), "--split", "prompt-folds:3", "--csv", str(out)]) == 0
    assert " test:    596 images, 0 share their prompt" in capsys.readouterr().out
    parts = pandas.read_csv(out)
    assert ((parts["part"] == "test") == (parts["fold"] == 3)).all()


def test_prompt_folds_of_a_benchmark_are_all_five(agiqa3k):
    data = load_data(DatasetChoice(root=str(agiqa3k), split=("prompt-folds",)))
    assert data.splits == FOLD_SPLITS
    assert [len(data.positions(split)) for split in FOLD_SPLITS] == [598, 596, 598, 596, 594]
