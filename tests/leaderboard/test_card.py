"""The card of a metric: what is known, and what is found on this machine."""

import dataclasses
import hashlib
import json

import pytest
import torch

import maagiqa_pyiqa
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.metrics.measurement import measure
from maagiqa_pyiqa.weights import packaged_weights


def test_what_is_claimed_of_the_packaged_metric_is_what_is_measured():
    card = maagiqa_pyiqa.card("maagiqa-lite", measure_it=True, device="cpu")
    found = card.measurement
    for fact in ("deterministic", "batch_invariant", "differentiable"):
        assert getattr(card, fact) is True
        assert getattr(found, fact) is True
    assert found.images_per_second > 0
    assert found.peak_memory_bytes > 50_000_000  # also of ONNX Runtime, which keeps what the first image took
    assert found.parameters > 1e6
    assert card.weights_sha256 == hashlib.sha256(packaged_weights("lite").read_bytes()).hexdigest()
    assert card.direction == "higher"
    assert -1 < card.observed.low < card.observed.mean < card.observed.high < 5


@pytest.mark.parametrize(
    ("metric", "training_data", "zero_shot"),
    [
        ("maagiqa-lite", ("agiqa-3k",), False),
        ("maagiqa", ("agiqa-3k",), False),
        ("piqe", (), True),
        ("musiq-spaq", ("spaq",), True),
        ("maniqa-kadid", ("kadid-10k",), True),
        ("arniqa-tid", ("tid2013",), True),
        ("liqe_mix", None, None),
        ("qrealign-mini", None, None),
    ],
)
def test_zero_shot_follows_from_what_was_trained_on(metric, training_data, zero_shot):
    card = maagiqa_pyiqa.card(metric)
    assert card.training_data == training_data
    assert card.is_zero_shot("agiqa-3k") is zero_shot


def test_what_is_not_known_of_a_metric_is_none():
    card = maagiqa_pyiqa.card("nrqm")
    unknown = {name for name, value in dataclasses.asdict(card).items() if value is None}
    assert unknown >= {"observed", "input_sizes", "deterministic", "batch_invariant", "licence_of_weights"}
    assert card.licence_of_code == "PolyForm-Noncommercial-1.0.0"
    assert json.loads(json.dumps(card.as_record())) == card.as_record()


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="Did you mean 'maagiqa-lite'"):
        maagiqa_pyiqa.card("maagiqa-lit")


def test_other_weights_than_the_published_ones_have_no_card():
    with pytest.raises(ValueError, match="not of 'mine=maagiqa-lite="):
        maagiqa_pyiqa.card(f"mine=maagiqa-lite={packaged_weights('lite')}")


class Fickle(torch.nn.Module):
    """Scores by what else is in the batch, by its calls, and by steps."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return torch.full((len(x), 1), float(len(x) + self.calls))


def test_a_metric_that_keeps_no_promise_is_found_out():
    found = measure("fickle", Fickle(), "cpu")
    assert (found.deterministic, found.batch_invariant, found.differentiable) == (False, False, False)


def test_doctor_shows_the_card(capsys):
    assert main(["doctor", "piqe", "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["name"] == "piqe"
    assert record["status"] == "runs"
    assert record["training_data"] == []
    assert record["measurement"]["images_per_second"] > 0


def test_doctor_shows_what_is_known_of_a_metric_that_cannot_run_here(tmp_path, monkeypatch):
    monkeypatch.setattr("pyiqa.utils.download_util.DEFAULT_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("maagiqa_pyiqa.support.reachability.is_reachable", lambda *_: False)
    assert main(["doctor", "cnniqa", "--json", str(tmp_path / "card.json")]) == 1
    (record,) = json.loads((tmp_path / "card.json").read_text())
    assert record["training_data"] == ["koniq-10k"]
    assert record["measurement"] is None
    assert "cannot be fetched from here" in record["status"]
