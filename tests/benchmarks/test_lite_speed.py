"""Benchmarks of maagiqa-lite run, and their figures belong to what they are called."""

import sys
import time
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from benchmarks import lite_speed, onnx_agreement
from benchmarks.lite_speed import Job, main, make_images, measure
from tests.helpers.native_networks import native_network
from tests.helpers.places import ROOT

PICTURES = sorted((ROOT / "tests" / "data" / "agiqa_3k" / "images").glob("*"))


SECONDS = 0.02  # an image


class _Slow(torch.nn.Module):
    """A metric that takes its time, and can do with one size alone."""

    def forward(self, x):
        if x.shape[-1] != 64:
            raise ValueError("no score of this one")
        time.sleep(SECONDS * len(x))
        return x.new_zeros(len(x), 1)


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Makes a job for a slow metric."""
    entrant = SimpleNamespace(source=SimpleNamespace(create=lambda device: _Slow()))
    monkeypatch.setattr(lite_speed, "parse_scorers", lambda words: {"slow": entrant})

    def make(size):
        paths = make_images(tmp_path, PICTURES, size, 3)
        return Job(metric="slow", paths=paths, batch_size=2, workers=1, threads=torch.get_num_threads())

    return make


def test_table_has_a_row_for_each_size_and_metric(capsys):
    main(["-m", "entropy", "--sizes", "64x64", "--images", "3", "--batch-size", "2"])
    header, row = (line.split() for line in capsys.readouterr().out.splitlines())
    assert " ".join(header) == "size metric from pixels, ms from files, ms peak memory, MB"
    assert row[:2] == ["64x64", "entropy"]
    assert all(float(value) > 0 for value in row[2:4])


def test_figures_are_milliseconds_of_one_image(job):
    figures = measure(job("64x64"))
    for milliseconds in (figures.from_pixels, figures.from_files):
        assert milliseconds >= 1e3 * SECONDS


def test_metric_that_fails_ends_the_measurement_with_the_reason(job):
    with pytest.raises(ValueError, match="no score of this one"):
        measure(job("80x64"))


def test_images_are_of_the_size_that_is_asked_for_and_all_differ(tmp_path):
    paths = make_images(tmp_path, PICTURES[:1], "80x48", 3)
    assert {Image.open(path).size for path in paths} == {(80, 48)}
    assert len({path.read_bytes() for path in paths}) == 3


def test_agreement_is_that_of_both_ways(monkeypatch, capsys, tmp_path):
    make_images(tmp_path, PICTURES, "64x48", 5)
    monkeypatch.setattr(onnx_agreement, "net_of", lambda metric: native_network())
    onnx_agreement.main([str(tmp_path), "-m", "entropy", "--images", "3"])
    words = capsys.readouterr().out.split()
    assert words[:2] == ["3", "images:"]
    assert float(words[4].strip(",")) < 1e-4
    monkeypatch.delitem(sys.modules, "onnxruntime")
    monkeypatch.setattr(onnx_agreement, "net_of", lambda metric: native_network(taps=(2, 3)))
    with pytest.raises(SystemExit, match="entropy does not run through ONNX Runtime"):
        onnx_agreement.main([str(tmp_path), "-m", "entropy"])
