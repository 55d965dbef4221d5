"""``maagiqa extract --engine ray``: what a cluster of actors writes and reports is what one process does."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from maagiqa_pyiqa.cache.reader import CacheReader
from maagiqa_pyiqa.cache.verify import verify
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.extraction import on_ray
from maagiqa_pyiqa.extraction.run import Summary
from maagiqa_pyiqa.images.decoding import FORMATS
from maagiqa_pyiqa.images.sources import find_sources
from maagiqa_pyiqa.support import ray_pool
from tests.helpers import ray_cluster
from tests.helpers.ray_cluster import GOOD

pytest.importorskip("ray", reason="Ray is not installed; it comes with the extra [ray]")

cluster, environment, folder = ray_cluster.cluster, ray_cluster.environment, ray_cluster.folder

OPTIONS = {"spec": "visual", "device": "cpu", "dtype": "auto", "batch_size": 2}


@pytest.fixture(scope="module")
def s3(environment):
    """URL of a bucket on a real S3 server on this machine."""
    server = pytest.importorskip("moto.server", reason="moto is not installed").ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    environment.setenv("AWS_ACCESS_KEY_ID", "nobody")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    yield "s3://pictures"
    server.stop()


@pytest.fixture(scope="module")
def local(folder, tmp_path_factory) -> dict:
    """Features by name, as one process extracts them."""
    location = str(tmp_path_factory.mktemp("local"))
    assert extract_locally(folder, location) == 1
    return features_by_name(location)


@pytest.fixture(scope="module")
def extracted(cluster, folder, tmp_path_factory) -> tuple[str, Summary]:
    """A cache that actors have filled, and what they reported."""
    location = str(tmp_path_factory.mktemp("ray"))
    return location, extract(folder, location, actors=2)


def extract_locally(folder, location, *arguments) -> int:
    options = ["--extractor", "visual", "--device", "cpu", "--batch-size", "2", "--cache-dtype", "float32"]
    return main(["extract", str(folder), "--cache", str(location), *options, *arguments])


@pytest.fixture
def in_process(monkeypatch):
    """What an actor would do is done here, without Ray."""

    def run_tasks(make, tasks, actors, device):
        return map(make(), tasks)

    monkeypatch.setattr(on_ray, "run_tasks", run_tasks)


def extract(folder, location, **options) -> Summary:
    return on_ray.extract_with_ray(find_sources([folder]), OPTIONS, location, cache_dtype="float32", **options)


def features_by_name(location) -> dict:
    cache = CacheReader.open(location)
    return {Path(entry.source).name: cache.get([row])[0] for row, entry in enumerate(cache.entries())}


def assert_same(features, expected):
    assert features.keys() == expected.keys()
    for name, row in features.items():
        torch.testing.assert_close(row, expected[name], rtol=0, atol=1e-5)


def test_features_are_those_of_one_process_and_of_shards(extracted, local, folder, tmp_path):
    location, _ = extracted
    assert len(local) == GOOD
    assert_same(features_by_name(location), local)
    for shard in ("0/2", "1/2"):
        extract_locally(folder, tmp_path / "shards", "--shard", shard)
    assert_same(features_by_name(tmp_path / "shards"), local)


def test_failures_are_recorded_and_reported(extracted):
    location, summary = extracted
    assert (summary.extracted, summary.cached, summary.skipped_failures, summary.interrupted) == (GOOD, 0, 0, False)
    assert {(Path(name).name, reason) for name, reason in summary.failures} == {
        ("empty.png", "empty file (0 bytes)"),
        ("text.jpg", f"not an image of a format that is read here ({', '.join(FORMATS)})"),
    }
    assert {(failure.source, failure.reason) for failure in CacheReader.open(location).failures.read()} == set(
        summary.failures
    )


def test_a_second_run_extracts_nothing(extracted, folder, capsys, in_process):
    location, _ = extracted
    before = sorted(os.listdir(location))
    arguments = ["--extractor", "visual", "--device", "cpu", "--engine", "ray"]
    assert main(["extract", str(folder), "--cache", location, *arguments]) == 1
    out, err = capsys.readouterr()
    assert f"0 extracted, {GOOD} cached before, 0 failed, 2 failed before, 0 left of {GOOD + 2} images" in out
    assert err == "  2 failed in an earlier run; --retry-failed tries again\n"
    assert sorted(os.listdir(location)) == before


def test_failures_are_forgotten_before_actors_start_and_only_if_told(extracted, folder, tmp_path, monkeypatch):
    location = str(shutil.copytree(extracted[0], tmp_path / "copy"))
    known = []

    def run_tasks(*_):
        known.append(len(CacheReader.open(location).failures.read()))
        return iter(())

    monkeypatch.setattr(on_ray, "run_tasks", run_tasks)
    for retry_failed in (False, True):
        extract(folder, location, retry_failed=retry_failed)
    assert known == [2, 0]
    extract(folder, str(tmp_path / "new"), retry_failed=True)  # no cache yet is no error


def test_other_features_are_refused_in_the_words_of_the_local_engine(extracted, folder, capsys):
    location, _ = extracted
    messages = []
    for engine in ("local", "ray"):
        arguments = ["--extractor", "visual", "--device", "cpu", "--dtype", "bf16", "--engine", engine]
        assert main(["extract", str(folder), "--cache", location, *arguments]) == 2
        messages.append(capsys.readouterr().err)
    assert messages[0] == messages[1]
    assert messages[1].startswith(f"maagiqa extract: cache '{location}' holds other features than the extractor's")
    assert "Traceback" not in messages[1]


def test_a_wrong_spec_is_refused_before_ray_starts(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ray_pool, "_session", lambda needs_gpu: pytest.fail("Ray was started"))
    assert main(["extract", str(folder), "--cache", str(tmp_path), "--extractor", "visaul", "--engine", "ray"]) == 2
    assert "Did you mean 'visual'" in capsys.readouterr().err


def test_without_ray_the_message_says_how_to_install_it(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["extract", str(folder), "--cache", "nowhere", "--extractor", "visual", "--engine", "ray"]) == 2
    assert capsys.readouterr().err.endswith("'--engine ray' needs Ray: pip install 'maagiqa_pyiqa[ray]'\n")


def test_nothing_to_do_starts_no_ray(monkeypatch, tmp_path):
    monkeypatch.setattr(ray_pool, "_session", lambda needs_gpu: pytest.fail("Ray was started"))
    assert on_ray.extract_with_ray([], OPTIONS, str(tmp_path)) == Summary()


def test_images_and_cache_may_be_in_object_storage(s3, folder, local, in_process):
    import fsspec

    filesystem = fsspec.filesystem("s3")
    filesystem.mkdir("pictures")
    filesystem.put(str(folder), "pictures/images", recursive=True)
    summary = extract(f"{s3}/images", f"{s3}/features", actors=2)
    assert (summary.extracted, len(summary.failures)) == (GOOD, 2)
    assert_same(features_by_name(f"{s3}/features"), local)


# ---------------------------------------------------------------------------------------------------- interruption


def wait_for_parts(location, count=1, seconds=120.0):
    end = time.monotonic() + seconds
    while len(list(location.glob("part-*.arrow"))) < count:
        assert time.monotonic() < end, "nothing was written"
        time.sleep(0.01)


def test_sigterm_ends_a_run_and_the_next_goes_on(cluster, folder, local, tmp_path, capsys):
    handler = signal.getsignal(signal.SIGTERM)

    def interrupt():
        wait_for_parts(tmp_path)
        if signal.getsignal(signal.SIGTERM) is ray_pool._interrupt:  # else it would end the tests
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    summary = extract(folder, str(tmp_path))
    thread.join()
    assert summary.interrupted
    assert "the cache also holds" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is handler
    assert 2 <= len(features_by_name(tmp_path)) < GOOD
    assert extract_locally(folder, tmp_path) == 1
    assert not verify(tmp_path).damage
    assert_same(features_by_name(tmp_path), local)


def test_a_killed_driver_leaves_a_whole_cache_and_the_next_goes_on(cluster, folder, local, tmp_path):
    command = [sys.executable, "-m", "maagiqa_pyiqa.cli.main", "extract", str(folder), "--cache", str(tmp_path)]
    options = ["--extractor", "visual", "--device", "cpu", "--batch-size", "2", "--cache-dtype", "float32"]
    driver = subprocess.Popen(
        [*command, *options, "--engine", "ray"],
        env={**os.environ, "RAY_ADDRESS": cluster},
        stdout=subprocess.DEVNULL,
    )
    wait_for_parts(tmp_path, 2)
    driver.kill()
    driver.wait()
    assert len(features_by_name(tmp_path)) >= 4
    assert extract_locally(folder, tmp_path) == 1
    assert not verify(tmp_path).damage
    assert_same(features_by_name(tmp_path), local)


def test_an_actor_on_cuda_takes_a_gpu_and_sees_it_as_the_first(monkeypatch):
    asked = []

    def run_tasks(make, tasks, actors, device):
        asked.append((make.args[0]["device"], device))
        return iter(())

    monkeypatch.setattr(on_ray, "run_tasks", run_tasks)
    for device in ("cuda:3", "cpu", "mps"):
        on_ray.extract_with_ray([], {**OPTIONS, "device": device}, "nowhere")
    assert asked == [("cuda", "cuda"), ("cpu", "cpu"), ("mps", "mps")]
