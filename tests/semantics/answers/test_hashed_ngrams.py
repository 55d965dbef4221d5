"""Hashed n-grams with TF-IDF: as a direct computation has them, and the same wherever they are computed."""

import math
import subprocess
import sys
import zlib

import pytest
import torch

from maagiqa_pyiqa.semantics.answers.hashed_ngrams import HashedNgrams
from tests.helpers.places import ROOT

TEXTS = ["A cat, blurred.", "A dog and a cat", "", "Zwölf Boxkämpfer jagen Viktor", "模糊的猫 and no dog"]


def place(ngram, dim):
    return zlib.crc32(ngram.encode()) % dim


def test_vectors_are_those_of_a_direct_computation():
    dim = 509
    encoder = HashedNgrams.fit(TEXTS[:2], dim)
    counts = {"a": 2, "dog": 1, "and": 1, "cat": 1, "a dog": 1, "dog and": 1, "and a": 1, "a cat": 1}
    in_both = ("a", "cat", "a cat")
    expected = torch.zeros(dim)
    for ngram, count in counts.items():
        expected[place(ngram, dim)] += count * (math.log(3 / (3 if ngram in in_both else 2)) + 1)
    expected *= math.sqrt(dim) / expected.norm()
    torch.testing.assert_close(encoder.encode(TEXTS[1:2])[0], expected)


def test_case_width_and_punctuation_do_not_matter_and_unspaced_scripts_count_by_character():
    encoder = HashedNgrams.fit(TEXTS, 4096)
    same = encoder.encode(["A cat, blurred.", "a  CAT - blurred", "\uff21 cat blurred!"])
    assert torch.equal(same[0], same[1])
    assert torch.equal(same[0], same[2])
    one, other = encoder.encode(["模糊的猫", "猫"])
    assert torch.cosine_similarity(one, other, 0) > 0.2


def test_texts_without_words_are_zero_and_all_others_as_long_as_a_vector_of_ones():
    lengths = HashedNgrams.fit(TEXTS, 64).encode([*TEXTS, "!?"]).norm(dim=1)
    expected = torch.tensor([8.0, 8, 0, 8, 8, 0])
    torch.testing.assert_close(lengths, expected)


def test_rare_words_weigh_more_than_frequent_ones():
    encoder = HashedNgrams.fit(["blur one", "blur two", "blur three"])
    vector = encoder.encode(["blur one"])[0]
    assert vector[place("one", encoder.dim)] > vector[place("blur", encoder.dim)] > 0


def test_state_makes_the_same_encoder_again():
    encoder = HashedNgrams.fit(TEXTS)
    again = HashedNgrams.from_state(encoder.state())
    assert again.parts == encoder.parts
    assert torch.equal(again.encode(TEXTS), encoder.encode(TEXTS))


def test_another_process_with_another_hash_seed_computes_the_same():
    code = (
        "from maagiqa_pyiqa.semantics.answers.hashed_ngrams import HashedNgrams as H\n"
        f"texts = {TEXTS!r}\n"
        "import hashlib; e = H.fit(texts); print(e.parts['idf'], hashlib.sha256(e.encode(texts).numpy()).hexdigest())"
    )
    outcomes = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(outcomes) == 1


@pytest.mark.parametrize("change", ["one text more", "another width"])
def test_what_it_was_fitted_on_is_part_of_what_tells_it_apart(change):
    texts, dim = ([*TEXTS, "more"], 4096) if change == "one text more" else (TEXTS, 2048)
    assert HashedNgrams.fit(texts, dim).parts != HashedNgrams.fit(TEXTS).parts
