"""The store of scores: what is kept, for whom, and what becomes of damage."""

import sqlite3

import pytest
from PIL import Image

from maagiqa_pyiqa.metrics import score_store
from maagiqa_pyiqa.metrics.cost import Cost
from maagiqa_pyiqa.metrics.score_store import KeptScore, ScoreStore

KEYS = [bytes([i]) * 32 for i in range(4)]


@pytest.fixture
def store(tmp_path):
    with ScoreStore(tmp_path / "deep" / "scores.sqlite") as store:
        yield store


def test_keeps_scores_gates_and_reasons_by_participant(store):
    kept = {KEYS[0]: KeptScore(1.5, [0.1, 0.9]), KEYS[1]: KeptScore(None, error="the metric gave nan")}
    store.write("a", kept)
    store.write("b", {KEYS[0]: KeptScore(2.5)})
    with ScoreStore(store.path) as again:
        assert again.read("a", KEYS) == kept
        assert again.read("a", KEYS[1:]) == {KEYS[1]: kept[KEYS[1]]}
        assert again.read("b", KEYS)[KEYS[0]].score == 2.5
    store.forget_failures("a")
    assert store.read("a", KEYS).keys() == {KEYS[0]}


def test_costs_of_runs_on_one_device_add_up(store):
    assert store.cost("a") is None
    store.add_cost("a", Cost(10, 2.0, 5, 100, "cpu"))
    store.add_cost("a", Cost(10, 3.0, 5, 80, "cpu"))
    assert store.cost("a") == Cost(20, 5.0, 5, 100, "cpu")
    assert store.cost("a").images_per_second == 4
    store.add_cost("a", Cost(1, 1.0, 5, 7, "cuda:0"))
    assert store.cost("a") == Cost(1, 1.0, 5, 7, "cuda:0")


def test_files_are_decoded_once(store, tmp_path, monkeypatch):
    paths = [tmp_path / "a.png", tmp_path / "b.png", tmp_path / "bad.png", tmp_path / "none.png"]
    Image.new("RGB", (4, 4), "red").save(paths[0])
    Image.new("RGB", (4, 4), "red").save(paths[1])
    paths[2].write_text("no image")
    decoded = []
    decode = score_store.decode
    monkeypatch.setattr(score_store, "decode", lambda path: decoded.append(path) or decode(path))
    keys = store.pixel_keys(paths, workers=2)
    assert keys[0] == keys[1]
    assert "not an image" in keys[2]
    assert keys[3] == "no such file"
    decoded.clear()
    assert store.pixel_keys(paths) == keys
    assert decoded == [paths[2]]  # what cannot be read may be mended without a trace in size and time
    Image.new("RGB", (5, 4), "red").save(paths[0])
    assert store.pixel_keys(paths[:1]) != keys[:1]


def test_a_file_that_is_no_store_says_so(tmp_path):
    path = tmp_path / "scores.sqlite"
    path.write_text("certainly not a database, and long enough to be looked at")
    with pytest.raises(ValueError, match="cannot be used as a store of scores"):
        ScoreStore(path)


def test_a_store_of_a_later_version_says_so(store, tmp_path):
    with sqlite3.connect(store.path) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(ValueError, match="later version"):
        ScoreStore(store.path)
