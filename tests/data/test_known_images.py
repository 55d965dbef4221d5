"""Images of a public dataset are known by content, for every split."""

import numpy as np
import pandas
import pytest

from maagiqa_pyiqa.cache.keys import pixel_key
from maagiqa_pyiqa.data.known_images import FOLDER, is_known, training_keys
from maagiqa_pyiqa.data.public_datasets import PUBLIC_DATASETS
from maagiqa_pyiqa.data.splits import make_split
from maagiqa_pyiqa.images.decoding import decode


def test_every_row_of_the_dataset_has_a_key_and_nothing_else_is_kept():
    with np.load(FOLDER / "agiqa-3k.npz", allow_pickle=False) as content:
        assert {name: array.shape for name, array in content.items()} == {
            "pixel_keys": (PUBLIC_DATASETS["agiqa-3k"].rows, 8),
            "prompt_ranks": (PUBLIC_DATASETS["agiqa-3k"].rows,),
        }


def test_of_other_datasets_nothing_is_known():
    assert training_keys("aigcqa-20k", "official") == frozenset()


@pytest.mark.parametrize(("split", "seed"), [("official", 0), ("prompt-disjoint", 0), ("prompt-disjoint", 5)])
def test_training_images_are_known_and_those_of_the_test_part_are_not(agiqa3k, split, seed):
    table = pandas.read_csv(agiqa3k / "data.csv")
    parts = make_split(split, list(table["prompt"]), len(table), seed)
    known, with_val = training_keys("agiqa-3k", split, seed), training_keys("agiqa-3k", split, seed, with_val=True)

    def count(rows, known=known):
        return sum(is_known(pixel_key(decode(agiqa3k / "images" / table["name"][row])), known) for row in rows)

    assert count(parts["train"][:100]) == 100
    assert count(parts["val"][:100]) <= 2
    assert count(parts["test"][:100]) <= 2  # a few images stand in the dataset twice
    assert count(parts["val"][:100], with_val) == 100
    assert count(parts["test"][:100], with_val) <= 2
