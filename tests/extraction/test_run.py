"""``maagiqa extract``: every image once, wherever it comes from, and no failure hidden."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import termios
import time

import pytest
import torch
from PIL import Image

from maagiqa_pyiqa.cache.reader import CacheReader
from maagiqa_pyiqa.cache.verify import verify
from maagiqa_pyiqa.cache.writer import CacheWriter
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.extraction.run import Extraction
from maagiqa_pyiqa.images.sources import find_sources
from tests.helpers import extraction_runs
from tests.helpers.extraction_runs import assert_holds, contents, extract, features_by_name
from tests.helpers.fake_extractor import FakeExtractor, run_maagiqa, spec, start, wait_until, write_pictures
from tests.helpers.input_files import make_tar, write_table

fake, images, cache, bad = extraction_runs.fake, extraction_runs.images, extraction_runs.cache, extraction_runs.bad


@pytest.mark.parametrize("shard", ["2/2", "0/0", "1", "1/", "/2", "a/b", "0/2/3", "", "1.0/2", "²/3"])
def test_a_shard_that_is_none_is_wrong_usage(images, cache, capsys, shard):
    assert extract(*images, cache=cache, shard=shard) == 2
    error = capsys.readouterr().err
    assert f"a shard is written I/N with 0 <= I < N, such as 0/2 and 1/2; got '{shard}'" in error
    assert not cache.exists()


def test_features_are_those_of_the_extractor_and_a_second_run_does_nothing(images, cache, tmp_path, capsys):
    assert extract(tmp_path / "images", cache=cache, json=tmp_path / "report.json") == 0
    assert "10 extracted, 0 cached before, 0 failed, 0 failed before, 0 left of 10 images" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    assert report == {"extracted": 10, "cached before": 0, "failed": 0, "failed before": 0, "left": 0, "failures": []}
    assert_holds(cache, images)
    parts = sorted(cache.iterdir())
    assert extract(tmp_path / "images", cache=cache) == 0
    assert "0 extracted, 10 cached before" in capsys.readouterr().out
    assert sorted(cache.iterdir()) == parts


def test_a_model_sees_every_image_once_and_cached_ones_never(images, cache):
    class Counting(FakeExtractor):
        seen = 0

        def _encode(self, batch):
            self.seen += len(batch)
            return super()._encode(batch)

    model = Counting()
    twice = find_sources([*images, *write_pictures(images[0].parent / "copies", 10)])
    for expected in (10, 10):
        Extraction(model, CacheWriter.create(cache, model)).run(twice)
        assert model.seen == expected
    assert_holds(cache, images)


def test_the_cache_does_not_depend_on_batch_size_workers_or_way_of_input(images, tmp_path):
    extract(tmp_path / "images", cache=tmp_path / "plain")
    extract(tmp_path / "images", cache=tmp_path / "batches", batch_size=3, workers=1)
    extract(make_tar(tmp_path / "0.tar", images), cache=tmp_path / "tar")
    rows = [["name"], *([f"images/{path.name}"] for path in images)]
    extract(write_table(tmp_path / "data.csv", rows), cache=tmp_path / "csv")
    plain = contents(tmp_path / "plain")
    assert len(plain) == 10
    for name in ("batches", "tar", "csv"):
        assert contents(tmp_path / name) == plain


def test_shards_give_what_one_run_gives(images, tmp_path, capsys):
    extract(tmp_path / "images", cache=tmp_path / "whole")
    for index in range(2):
        assert extract(tmp_path / "images", cache=tmp_path / f"shard{index}", shard=f"{index}/2") == 0
        assert extract(tmp_path / "images", cache=tmp_path / "together", shard=f"{index}/2") == 0
    assert main(["cache", "merge", str(tmp_path / "shard0"), str(tmp_path / "shard1")]) == 0
    assert "shard1: 5 images added" in capsys.readouterr().out
    assert contents(tmp_path / "shard0") == contents(tmp_path / "together") == contents(tmp_path / "whole")
    assert_holds(tmp_path / "shard0", images)


def test_single_precision_is_kept_where_it_is_asked_for(images, cache):
    extract(*images, cache=cache, cache_dtype="float32")
    features = features_by_name(cache)
    assert torch.equal(torch.stack([features[str(path)] for path in images]), FakeExtractor().extract(images))


def test_another_extractor_is_refused_in_one_line_with_what_differs(images, cache, capsys):
    extract(*images, cache=cache)
    assert extract(*images, cache=cache, extractor=spec(parts={"weights": "b"})) == 2
    assert 'weights: null there, "b" here' in capsys.readouterr().err
    assert_holds(cache, images)


def test_values_beyond_half_precision_end_the_run_with_advice(images, cache, tmp_path, capsys):
    large = spec(scale=1e6)
    assert extract(*images, cache=cache, extractor=large) == 2
    assert "not finite in float16; a cache of dtype float32 holds values beyond 65504" in capsys.readouterr().err
    assert extract(*images, cache=tmp_path / "float32", extractor=large, cache_dtype="float32") == 0


def test_a_name_that_is_not_unicode_is_no_obstacle(images, cache, tmp_path):
    os.rename(images[0], os.fsencode(tmp_path / "images") + b"/caf\xe9.png")
    assert extract(tmp_path / "images", cache=cache) == 0
    assert CacheReader.open(cache).rows == 10
    assert str(tmp_path / "images" / r"caf\udce9.png") in features_by_name(cache)


def test_progress_shows_images_a_second_and_the_time_left(images, cache, tmp_path):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    command = ["extract", str(tmp_path / "images"), "--cache", str(cache), "--extractor", spec(delay=0.2)]
    process = start(run_maagiqa, command, os.ttyname(theirs))
    process.join(60)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    os.close(theirs)
    assert process.exitcode == 0
    assert re.search(r" 4/10 \[00:0\d<00:0\d, .*image/s\]", shown)
    assert re.search(r"100%.* 10/10 \[00:0\d<00:00, .*image/s\]", shown)


def test_bad_images_are_noted_with_the_reason_and_do_no_harm_to_others(images, bad, cache, tmp_path, capsys):
    assert extract(tmp_path / "images", cache=cache, json=tmp_path / "report.json") == 1
    shown = capsys.readouterr()
    assert "10 extracted, 0 cached before, 4 failed, 0 failed before, 0 left of 14 images" in shown.out
    report = json.loads((tmp_path / "report.json").read_text())
    noted = {failure.source: failure.reason for failure in CacheReader.open(cache).failures.read()}
    assert {failure["image"]: failure["reason"] for failure in report["failures"]} == noted
    assert noted.keys() == bad.keys()
    for name, reason in bad.items():
        assert reason in noted[name]
        assert f"{name}: {noted[name]}" in shown.err
    assert_holds(cache, images)


def test_bad_images_are_not_tried_again_unless_asked(images, bad, cache, tmp_path, capsys):
    extract(tmp_path / "images", cache=cache)
    assert extract(tmp_path / "images", cache=cache) == 1
    shown = capsys.readouterr()
    assert "0 extracted, 10 cached before, 0 failed, 4 failed before" in shown.out
    assert "4 failed in an earlier run; --retry-failed tries again" in shown.err
    assert extract(tmp_path / "images", cache=cache, retry_failed=True) == 1
    assert "0 extracted, 10 cached before, 4 failed, 0 failed before" in capsys.readouterr().out
    assert len(CacheReader.open(cache).failures.read()) == 4


def test_a_bad_image_that_was_mended_is_tried_by_itself(images, bad, cache, tmp_path, capsys):
    extract(tmp_path / "images", cache=cache)
    for index, name in enumerate(bad):
        Image.new("RGB", (5, 5), (index, 0, 0)).save(name)
    assert extract(tmp_path / "images", cache=cache) == 0
    assert "4 extracted, 10 cached before, 0 failed, 0 failed before" in capsys.readouterr().out


def test_an_image_that_vanishes_is_a_failure_and_is_tried_again(images, cache, capsys):
    sources = find_sources(images)
    content = images[3].read_bytes()
    images[3].unlink()
    summary = Extraction(FakeExtractor(), CacheWriter.create(cache, FakeExtractor())).run(sources)
    assert (summary.extracted, [name for name, _ in summary.failures]) == (9, [str(images[3])])
    images[3].write_bytes(content)
    assert extract(*images, cache=cache) == 0
    assert "1 extracted, 9 cached before" in capsys.readouterr().out


def test_a_decoder_that_fails_in_its_own_way_costs_one_image(images, cache, monkeypatch):
    whole = images[5].read_bytes()
    decode = Image.open

    def fail(file, *arguments, **options):
        if file.getvalue() == whole:
            raise ZeroDivisionError("a bug of the decoder")
        return decode(file, *arguments, **options)

    monkeypatch.setattr(Image, "open", fail)
    summary = Extraction(FakeExtractor(), CacheWriter.create(cache, FakeExtractor())).run(find_sources(images))
    assert summary.extracted == 9
    assert summary.failures == [(str(images[5]), "a bug of the decoder")]


def test_features_that_are_not_finite_are_a_failure_of_their_image(images, cache):
    class Broken(FakeExtractor):
        def _encode(self, batch):
            features = super()._encode(batch)
            features[1:2] = torch.nan
            return features

    summary = Extraction(Broken(), CacheWriter.create(cache, Broken())).run(find_sources(images[:4]))
    assert summary.extracted == 3
    assert [name for name, _ in summary.failures] == [str(images[1])]
    assert "not finite" in CacheReader.open(cache).failures.read()[0].reason


def test_damage_is_not_taken_for_a_failure_of_an_image(images, cache, capsys):
    extract(*images, cache=cache)
    part = next(cache.glob("part-*"))
    part.write_bytes(part.read_bytes()[:-30])
    assert extract(*images, cache=cache) == 2
    assert f"part '{part.name}'" in capsys.readouterr().err
    assert main(["cache", "verify", str(cache), "--repair"]) == 0
    assert extract(*images, cache=cache) == 0
    assert_holds(cache, images)


def started(images, cache, tmp_path, delay):
    """A running extraction that has begun its first batch of four."""
    command = ["extract", str(images[0].parent), "--cache", str(cache), "--extractor"]
    process = start(run_maagiqa, [*command, spec(delay=delay, mark=str(tmp_path / "mark"))], tmp_path / "log")
    wait_until((tmp_path / "mark").exists)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_after_the_current_batch(images, cache, tmp_path, number, capsys):
    process = started(images, cache, tmp_path, delay=0.5)
    os.kill(process.pid, number)
    process.join(60)
    log = (tmp_path / "log").read_text()
    assert process.exitcode == 130, log
    assert "stopping after this batch; once more to stop now" in log
    assert "4 extracted, 0 cached before, 0 failed, 0 failed before, 6 left of 10 images" in log
    assert "Traceback" not in log
    assert_holds(cache, images[:4])
    assert verify(cache).damage == {}
    assert not list(cache.glob(".*"))
    assert extract(*images, cache=cache) == 0
    assert "6 extracted, 4 cached before" in capsys.readouterr().out
    assert_holds(cache, images)


def test_a_second_signal_ends_it_at_once(images, cache, tmp_path):
    process = started(images, cache, tmp_path, delay=30)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGINT)
    process.join(20)
    assert process.exitcode == 130
    assert CacheReader.open(cache).rows == 0
    assert not list(cache.glob("[.p]*"))
