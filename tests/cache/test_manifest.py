"""A cache of other features, or of a newer format, is refused, showing what differs."""

import hashlib
import json
import shutil

import pytest
import torch

from maagiqa_pyiqa.cache.manifest import CacheMismatchError, DamagedCacheError
from maagiqa_pyiqa.cache.reader import CacheReader
from maagiqa_pyiqa.cache.verify import verify
from maagiqa_pyiqa.cache.writer import CacheWriter
from maagiqa_pyiqa.semantics.mplug_owl2.extractor import MplugOwl2Extractor
from maagiqa_pyiqa.semantics.prompts import QUESTIONS
from tests.helpers import cache_contents
from tests.helpers.cache_contents import assert_holds, put
from tests.helpers.fake_extractor import FakeExtractor
from tests.helpers.places import TINY_MPLUG_OWL2

cache, folder = cache_contents.cache, cache_contents.folder


def test_an_unknown_dtype_is_refused(folder):
    with pytest.raises(ValueError, match=r"keeps float16 or float32, got dtype 'bfloat16'"):
        CacheWriter.create(folder, FakeExtractor(), "bfloat16")
    assert not folder.exists()


def test_a_newer_format_is_refused_and_not_called_damage(cache, folder):
    content = json.loads((folder / "manifest.json").read_text())
    del content["checksum"]
    content["format"] = 7
    checksum = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({**content, "checksum": checksum}))
    for read in (CacheReader.open, verify, lambda place: CacheWriter.create(place, FakeExtractor())):
        with pytest.raises(ValueError, match=r"manifest\.json'? has format 7; this version reads up to 1") as error:
            read(folder)
        assert not isinstance(error.value, DamagedCacheError)


OTHERS = {
    "model": ({"parts": {"weights": "b"}}, '  weights: "a" there, "b" here'),
    "width": ({"dim": 9}, "  dim: 8 there, 9 here"),
    "prompt": ({"prompts": ("semantic_content", "beauty")}, '"beauty"'),
    "order of prompts": ({"prompts": ("coherence", "semantic_content")}, "names of prompts: "),
    "one prompt": ({"prompts": ("coherence",)}, "names of prompts: "),
}


@pytest.mark.parametrize(("other", "shown"), OTHERS.values(), ids=OTHERS)
def test_another_extractor_is_refused_with_what_differs(folder, other, shown):
    mine = FakeExtractor(parts={"weights": "a"})
    put(CacheWriter.create(folder, mine), range(2))
    other = FakeExtractor(**{"parts": {"weights": "a"}, **other})
    with pytest.raises(CacheMismatchError) as error:
        CacheWriter.create(folder, other)
    assert str(folder) in str(error.value)
    assert mine.fingerprint[:12] in str(error.value)
    assert other.fingerprint[:12] in str(error.value)
    assert shown in str(error.value)
    assert_holds(CacheWriter.create(folder, mine), range(2))


def test_prompts_in_another_order_are_other_features_whatever_the_fingerprint_says(folder):
    CacheWriter.create(folder, FakeExtractor())
    other = FakeExtractor(prompts=("coherence", "semantic_content"))
    other.fingerprint = FakeExtractor().fingerprint
    with pytest.raises(CacheMismatchError, match=r"names of prompts: "):
        CacheWriter.create(folder, other)


def test_the_place_where_long_values_differ_is_shown(folder):
    tokens = list(range(100))
    CacheWriter.create(folder, FakeExtractor(parts={"tokens": tokens}))
    other = FakeExtractor(parts={"tokens": [*tokens[:60], "other", *tokens[61:]]})
    with pytest.raises(CacheMismatchError, match=r'tokens: \.\.\..* 59, 60, .* there, \.\.\..* 59, "other", .* here'):
        CacheWriter.create(folder, other)


@pytest.fixture
def tiny(tmp_path):
    """Makes the recorded tiny mPLUG-Owl2, from a copy of its files that may be changed first."""

    def make(change=lambda folder: None, **options):
        folder = tmp_path / f"model-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(TINY_MPLUG_OWL2, folder)
        change(folder)
        return MplugOwl2Extractor(folder, **options)

    return make


def change_a_weight(folder):
    weights = torch.load(folder / "pytorch_model.bin", weights_only=True)
    weights["model.layers.0.mlp.gate_proj.weight"][0, 0] += 0.5
    torch.save(weights, folder / "pytorch_model.bin")


def change_the_preprocessing(folder):
    path = folder / "preprocessor_config.json"
    path.write_text(path.read_text().replace("0.26862954", "0.25"))


CHANGES = {
    "order of prompts": ({"questions": dict(reversed(QUESTIONS.items()))}, "names of prompts: "),
    "prompt": ({"questions": {**QUESTIONS, "coherence": "Is it coherent?"}}, "prompts"),
    "dtype": ({"dtype": "bf16"}, 'dtype: "float32" there, "bfloat16" here'),
    "weights": ({"change": change_a_weight}, "weights"),
    "preprocessing": ({"change": change_the_preprocessing}, "preprocessing: .*0.268.* there, .*0.25"),
}


@pytest.mark.parametrize(("change", "shown"), CHANGES.values(), ids=CHANGES)
def test_a_cache_of_the_real_model_refuses_another_prompt_dtype_weights_or_preprocessing(tiny, folder, change, shown):
    CacheWriter.create(folder, tiny())
    CacheWriter.create(folder, tiny())  # its like is welcome
    with pytest.raises(CacheMismatchError, match=rf"holds other features than the extractor's: .*\n  {shown}"):
        CacheWriter.create(folder, tiny(**change))
