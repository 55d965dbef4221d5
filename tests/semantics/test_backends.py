"""A backend is one class and one row of BACKENDS: every verb and every message knows it from there."""

import json
import subprocess
import sys

import pyiqa
import pytest
import torch

from maagiqa_pyiqa.cache.reader import CacheReader
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.metrics.identity import identify
from maagiqa_pyiqa.semantics import extractor
from maagiqa_pyiqa.semantics.extractor import (
    BACKENDS,
    Backend,
    create_describer,
    create_extractor,
    extractor_fingerprint,
    feature_dim_of,
)
from maagiqa_pyiqa.semantics.protocol import DescribingExtractor, SemanticExtractor
from tests.helpers.fake_extractor import FakeExtractorOfSpec, write_pictures

SPEC = 'talking:{"dim": 6}'


class TalkingExtractor(FakeExtractorOfSpec):
    """A new backend that describes."""

    def __init__(self, source, device=None, dtype="auto", *, batch_size=None, words=False):
        super().__init__(source, device, dtype, batch_size=batch_size)

    def describe(self, image, prompt, limit=128):
        yield from (prompt, " is fine")


@pytest.fixture
def add_backend(monkeypatch):
    def add(**options):
        row = Backend("talking", f"{__name__}:TalkingExtractor", "required", "JSON", **options)
        monkeypatch.setattr(extractor, "BACKENDS", {**BACKENDS, row.name: row})

    return add


@pytest.fixture
def picture(tmp_path):
    return write_pictures(tmp_path / "pictures", 1)[0]


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    """Help is not broken within a spec."""
    monkeypatch.setenv("COLUMNS", "300")


def help_of(verb, capsys):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    return " ".join(capsys.readouterr().out.split())


def test_a_new_backend_extracts_and_its_features_are_found_again(add_backend, picture, tmp_path):
    add_backend()
    cache = tmp_path / "cache"
    command = ["extract", str(picture), "--cache", str(cache), "--extractor", SPEC, "--cache-dtype", "float32"]
    assert main(command) == 0
    expected = create_extractor(SPEC).extract([picture])
    torch.testing.assert_close(create_extractor(f"cache:{cache}").extract([picture]), expected)
    assert CacheReader.open(cache).manifest.fingerprint == extractor_fingerprint(SPEC)


def test_a_new_backend_scores(add_backend, picture):
    add_backend()
    options = {"preset": "lite-2026a", "pretrained": None, "semantics": SPEC}
    metric = pyiqa.create_metric("maagiqa", device="cpu", **options)
    assert metric.net.options.feature_dim == feature_dim_of(SPEC) == 6
    assert metric(str(picture)).shape == (1, 1)
    assert identify(metric, "maagiqa", options).large_model == extractor_fingerprint(SPEC)


def test_a_new_backend_follows_the_protocol_and_tells_sources_apart(add_backend):
    add_backend(describes=True)
    assert isinstance(create_extractor(SPEC), SemanticExtractor)
    assert isinstance(create_describer(SPEC), DescribingExtractor)
    assert extractor_fingerprint(SPEC) != extractor_fingerprint('talking:{"dim": 7}')


def test_a_new_backend_that_describes_is_asked_both_questions(add_backend, picture, tmp_path, capsys):
    add_backend(describes=True)
    out = tmp_path / "words.json"
    assert main(["describe", str(picture), "--semantics", SPEC, "--json", str(out)]) == 0
    answers = {"semantic_content": "semantic_content is fine", "coherence": "coherence is fine"}
    assert json.loads(out.read_text())[0]["answers"] == answers
    assert "talking:JSON" in help_of("describe", capsys)


def test_a_new_backend_that_does_not_describe_says_so(add_backend, picture, capsys):
    add_backend()
    assert main(["describe", str(picture), "--semantics", SPEC]) == 2
    message = capsys.readouterr().err
    assert "the extractor 'talking' has no words" in message
    assert "talking:JSON" not in message
    assert "talking:JSON" not in help_of("describe", capsys)


def test_lists_and_help_name_a_new_backend(add_backend, capsys):
    add_backend()
    with pytest.raises(ValueError, match=r"Did you mean 'talking'\? Known: .*, talking:JSON\."):
        create_extractor("talkin")
    with pytest.raises(ValueError, match=r"semantic extractor 'talking' is not one of: .*, talking:JSON\."):
        create_extractor("talking")
    assert "talking:JSON" in help_of("extract", capsys)


def test_help_of_extract_names_what_computes_features_and_no_cache(capsys):
    shown = help_of("extract", capsys)
    assert (
        "mplug-owl2, mplug-owl2:DIR_OR_HUB_ID, transformers:DIR_OR_HUB_ID, answers:DIR, visual (default mplug-owl2)"
        in shown
    )


@pytest.mark.parametrize("spec", ["visual", "cache:DIR"])
def test_backends_without_words_are_refused_before_anything_is_loaded(spec):
    with pytest.raises(ValueError, match="has no words; use one of: mplug-owl2, mplug-owl2:DIR_OR_HUB_ID, transf"):
        create_describer(spec)


def test_every_row_names_a_class_that_knows_width_and_fingerprint():
    for backend in BACKENDS.values():
        backend_class = backend.load_class()
        assert callable(backend_class.feature_dim_of)
        assert callable(backend_class.fingerprint_of_source)
        assert hasattr(backend_class, "describe") == backend.describes


def test_the_table_loads_neither_torch_nor_an_extractor():
    code = "import sys, maagiqa_pyiqa.semantics.extractor; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
