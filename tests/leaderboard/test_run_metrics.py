"""Whatever goes wrong with one metric, it is a row with its reason and harms no other."""

import time

import pyiqa
import pytest
import torch

from maagiqa_pyiqa.leaderboard.run import run_benchmark
from tests.helpers.benchmark_runs import N, participants_of, rows_of


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        ("ends-the-program", "ended the program"),
        ("lacks-a-package", "lacks the package 'no_such_package'; pip install it"),
        ("lacks-memory", "out of memory: the model needs 15 GiB"),
        ("never-works", "14 of 14 images have no score, mostly: index out of range"),
    ],
)
def test_a_broken_metric_is_a_row_with_its_reason(options, metric, reason):
    results = run_benchmark(options(metrics=[metric, "brightness"]))
    one = participants_of(results)[metric]
    assert one.status == "failed"
    assert reason in one.reason
    assert list(rows_of(results)) == ["brightness"]


def test_a_fault_of_the_machine_is_found_with_the_first_batch_and_tried_again_next_time(options, calls):
    run_benchmark(options(metrics=["lacks-memory"]))
    assert len(calls) <= 4
    calls.clear()
    run_benchmark(options(metrics=["never-works"]))
    first = len(calls)
    run_benchmark(options(metrics=["never-works"]))
    assert len(calls) == 2 * first


def test_nan_on_some_images_is_part_of_a_row(options, calls):
    results = run_benchmark(options(metrics=["brightness", "nan-in-the-dark"]))
    one = participants_of(results)["nan-in-the-dark"]
    assert one.status == "partial"
    assert set(one.failed_images.values()) == {"the metric gave nan"}
    assert rows_of(results)["nan-in-the-dark"].n == N - len(one.failed_images)
    assert 0 < rows_of(results)["nan-in-the-dark"].p_against_best <= 1
    calls.clear()
    run_benchmark(options(metrics=["nan-in-the-dark"]))
    assert not calls
    run_benchmark(options(metrics=["nan-in-the-dark"], retry_failed=True))
    assert len(calls) == len(one.failed_images)


def test_what_a_metric_cannot_take_in_batches_is_scored_one_by_one(options):
    results = run_benchmark(options(metrics=["batchless", "brightness"]))
    assert rows_of(results)["batchless"].figures["srcc"] == rows_of(results)["brightness"].figures["srcc"]


def test_an_unreadable_image_is_missing_in_every_metric(options, tmp_path):
    (tmp_path / "images" / "picture07.png").write_text("no image")
    results = run_benchmark(options(metrics=["brightness", "darkness"]))
    for one in results.participants:
        assert one.status == "partial"
        assert "not an image" in one.failed_images["picture07.png"]


def test_weights_out_of_reach_are_named_and_appear_once_they_are_there(options, no_hosts):
    start = time.monotonic()
    results = run_benchmark(options(metrics=["cnniqa", "brisque"]))
    assert time.monotonic() - start < 15
    reason = participants_of(results)["cnniqa"].reason
    assert "put CNNIQA_koniq10k-e6f14c91.pth (https://" in reason
    assert reason.endswith(f"into {no_hosts}")
    torch.manual_seed(0)
    net = pyiqa.archs.build_network({"type": "CNNIQA", "pretrained": None})
    torch.save({"params": net.state_dict()}, no_hosts / "CNNIQA_koniq10k-e6f14c91.pth")
    torch.save((torch.rand(5, 1), torch.rand(5, 36)), no_hosts / "brisque_svm_weights.pth")
    results = run_benchmark(options(metrics=["cnniqa", "brisque"]))
    assert [one.reason for one in results.participants] == [None, None]


def test_the_hub_is_not_asked_where_it_does_not_answer(options, no_hosts, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    start = time.monotonic()
    results = run_benchmark(options(metrics=["hyperiqa"]))
    assert time.monotonic() - start < 15
    assert "run 'hf download timm/resnet50.a1_in1k' where the hub answers" in results.participants[0].reason
