"""Who takes part: every form of an entrant, and what makes no sense."""

import pyiqa
import pytest
import torch

from maagiqa_pyiqa.leaderboard import entrants
from maagiqa_pyiqa.leaderboard.entrants import parse_entrant, parse_entrants, parse_scorers
from maagiqa_pyiqa.leaderboard.run import run_benchmark
from maagiqa_pyiqa.support.errors import InputError


def test_forms_of_a_participant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("net.pth", "s.csv"):
        (tmp_path / name).touch()
    words = ["piqe", "maagiqa=net.pth", "ours=maagiqa=net.pth", "reward=csv:s.csv:r", "loss=csv:s.csv:-r"]
    found = parse_entrants(words)
    assert [one.name for one in found] == ["piqe", "maagiqa=net.pth", "ours", "reward", "loss"]
    assert [one.kind for one in found] == ["metric", "checkpoint", "checkpoint", "scores", "scores"]
    assert [one.lower_better for one in found] == [True, False, False, False, True]
    assert [one.source.checkpoint for one in found[1:3]] == ["net.pth", "net.pth"]
    assert (found[4].source.file, found[4].source.column) == ("s.csv", "r")


def test_a_checkpoint_of_any_network_takes_part(tmp_path):
    net = pyiqa.archs.build_network({"type": "LeaderboardTestNet", "sign": 3.0})
    torch.save({"params": net.state_dict()}, tmp_path / "net_best.pth")
    word = {"name": "mine", "network": {"type": "LeaderboardTestNet"}, "checkpoint": str(tmp_path / "net_best.pth")}
    metric = parse_entrant(word).source.create("cpu")
    assert metric(torch.ones(1, 3, 8, 8)).item() == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["maagiqa-lit"], "Did you mean 'maagiqa-lite'"),
        (["psnr"], "does not score an image by itself"),
        (["maniqua=net.pth"], "Did you mean 'maniqa'"),
        (["piqe", "piqe"], "'piqe' takes part twice"),
        (["x=csv:scores.csv"], "is not one of NAME, NAME=CHECKPOINT"),
        ([{"name": "x", "metrc": "piqe"}], "Did you mean 'metric'"),
        ([{"name": "x"}], "give either metric, or network, or file and column"),
    ],
)
def test_participants_that_make_no_sense(words, message):
    with pytest.raises(ValueError, match=message):
        parse_entrants(words)


def test_absent_files_of_participants():
    for word in ("piqe=none.pth", "x=csv:none.csv:score"):
        with pytest.raises(FileNotFoundError, match="does not exist"):
            parse_entrant(word)


def test_a_default_metric_that_this_pyiqa_lacks_is_a_row(options, monkeypatch):
    monkeypatch.setattr(entrants, "DEFAULT_METRICS", ("brightness", "no-such-metric"))
    results = run_benchmark(options(metrics=[]))
    assert [one.status for one in results.participants] == ["ok", "failed"]
    assert "pyiqa has no metric" in results.participants[1].reason


def test_semantic_features_go_to_the_metrics_that_take_them():
    scorers = parse_scorers(["piqe", "maagiqa"], "cache:features")
    assert scorers["maagiqa"].source.options == {"semantics": "cache:features"}
    assert scorers["piqe"] == parse_scorers(["piqe"])["piqe"]
    with pytest.raises(InputError, match="no semantic features go into piqe, so leave --semantics out"):
        parse_scorers(["piqe"], "cache:features")
