"""``maagiqa cache``: it says what a cache holds and what it did."""

import json

import pytest

from maagiqa_pyiqa.cli.main import main
from tests.helpers import extraction_runs
from tests.helpers.extraction_runs import assert_holds, extract
from tests.helpers.fake_extractor import FakeExtractor, spec

fake, images, cache, bad = extraction_runs.fake, extraction_runs.images, extraction_runs.cache, extraction_runs.bad


def test_info_tells_what_a_cache_holds(images, bad, cache, tmp_path, capsys):
    extract(tmp_path / "images", cache=cache)
    assert main(["cache", "info", str(cache), "--json", str(tmp_path / "info.json")]) == 0
    facts = json.loads((tmp_path / "info.json").read_text())
    assert (facts["images"], facts["rows"], facts["failures"], facts["parts"]) == (10, 10, 4, 3)
    assert facts["fingerprint"] == FakeExtractor().fingerprint
    assert facts["made by"]["extractor"] == "fake"
    shown = capsys.readouterr().out
    for value in (facts["fingerprint"], "semantic_content, coherence", "2 x 8 float16"):
        assert value in shown


def test_compact_and_merge_say_what_they_did(images, tmp_path, capsys):
    for index, share in enumerate((images[:6], images[4:])):
        extract(*share, cache=tmp_path / f"{index}", batch_size=2)
    capsys.readouterr()
    assert main(["cache", "merge", str(tmp_path / "0"), str(tmp_path / "1"), str(tmp_path / "1")]) == 0
    assert [line.rsplit(": ")[1] for line in capsys.readouterr().out.splitlines()] == [
        "4 images added",
        "0 images added",
    ]
    assert main(["cache", "compact", str(tmp_path / "0")]) == 0
    assert "5 parts became 1" in capsys.readouterr().out
    assert_holds(tmp_path / "0", images)


def test_merge_of_other_features_is_refused_with_both_shown(images, tmp_path, capsys):
    extract(*images, cache=tmp_path / "a", extractor=spec(parts={"weights": "a"}))
    extract(*images, cache=tmp_path / "b", extractor=spec(parts={"weights": "b"}))
    assert main(["cache", "merge", str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    error = capsys.readouterr().err
    prints = [FakeExtractor(parts={"weights": name}).fingerprint[:12] for name in "ab"]
    assert f"'{tmp_path / 'a'}' holds other features than cache '{tmp_path / 'b'}'" in error
    assert f"fingerprint {prints[0]} there, {prints[1]} here" in error
    assert 'weights: "a" there, "b" here' in error


@pytest.mark.parametrize("action", ["info", "verify", "compact"])
def test_a_folder_that_is_no_cache_is_one_line_and_wrong_usage(tmp_path, capsys, action):
    assert main(["cache", action, str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "is no feature cache" in error
    assert error.count("\n") == 1
