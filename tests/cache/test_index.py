"""The index of keys finds what a dictionary finds."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from maagiqa_pyiqa.cache.index import ABSENT, KeyIndex

few_beginnings = st.sampled_from([b"\0" * 8, b"\xff" * 8, b"12345678"])
keys = st.tuples(few_beginnings | st.binary(min_size=8, max_size=8), st.sampled_from([b"a" * 24, b"b" * 24]))


@given(st.lists(st.lists(keys.map(b"".join), max_size=8), max_size=5), st.integers(0, 5), st.lists(keys.map(b"".join)))
def test_index_finds_what_a_dictionary_finds(arrays, sorted_ones, others):
    flat = [item for array in arrays for item in array]
    expected = {item: row for row, item in reversed(list(enumerate(flat)))}
    index = KeyIndex([np.frombuffer(b"".join(array), np.uint8).reshape(-1, 32) for array in arrays[:sorted_ones]])
    for array in arrays[sorted_ones:]:
        index.add(np.frombuffer(b"".join(array), np.uint8).reshape(-1, 32))
    for item in flat + others:
        assert index.find(item) == expected.get(item, ABSENT)
    assert index.count_distinct() == len(expected)
