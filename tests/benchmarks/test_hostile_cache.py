"""A few of the bit flips and mutations of ``benchmarks.hostile_cache``."""

import sys

import pytest

from benchmarks.hostile_cache import MUTATIONS, flip_bits, make_cache, mutate_files

BAD = ("wrong features", "not found", "crash", "hang", "out of memory")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return make_cache(tmp_path_factory.mktemp("hostile") / "cache")


def test_no_flipped_bit_returns_a_wrong_feature_and_each_is_found(original):
    outcome = flip_bits(original, 60, seed=1)
    assert outcome["found by a read"] + outcome["found by verify alone"] == 60
    assert not any(outcome[bad] for bad in BAD)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits a process as Linux does")
def test_mutated_files_are_read_or_refused_clearly(original):
    count = 3 * len(MUTATIONS)
    outcome = mutate_files(original, count, seed=1)
    assert outcome["read"] + outcome["refused clearly"] == count, outcome
