"""``--engine ray``: what a cluster of actors writes, scores and reports is what one process does."""

import contextlib
import csv
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
import torch

from maagiqa_pyiqa.cache.feature_cache import FeatureCache
from maagiqa_pyiqa.cache.manifest import CacheMismatchError
from maagiqa_pyiqa.cache.verify import verify
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.extraction import on_ray as ray_engine
from maagiqa_pyiqa.extraction.run import Summary
from maagiqa_pyiqa.images.decoding import FORMATS
from maagiqa_pyiqa.images.sources import find_sources
from maagiqa_pyiqa.metrics.scoring import ImageScores
from tests.helpers.mplug_owl2_models import random_picture

pytest.importorskip("ray", reason="Ray is not installed; it comes with the extra [ray]")

GOOD = 24
OPTIONS = {"spec": "visual", "device": "cpu", "dtype": "auto", "batch_size": 2}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Environment variables, to be set before Ray starts for actors to inherit them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAAGIQA_CACHE_COPIES", str(tmp_path_factory.mktemp("copies")))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.delenv("RAY_ADDRESS", raising=False)
        yield patch


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
def cluster(environment):
    """Address of a Ray on this machine that this process has joined."""
    import ray

    handler = signal.getsignal(signal.SIGTERM)
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Different pictures, and two files that are none."""
    folder = tmp_path_factory.mktemp("images")
    for seed in range(GOOD):
        random_picture(80 + seed % 3, 60, seed).save(folder / f"{seed:02}.png")
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("no image")
    return folder


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

    monkeypatch.setattr(ray_engine, "run_tasks", run_tasks)


def extract(folder, location, **options) -> Summary:
    return ray_engine.extract_with_ray(find_sources([folder]), OPTIONS, location, cache_dtype="float32", **options)


def features_by_name(location) -> dict:
    cache = FeatureCache.open(location)
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
    assert {(failure.source, failure.reason) for failure in FeatureCache.open(location).failures()} == set(
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
        known.append(len(FeatureCache.open(location).failures()))
        return iter(())

    monkeypatch.setattr(ray_engine, "run_tasks", run_tasks)
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
    monkeypatch.setattr(ray_engine, "_session", lambda needs_gpu: pytest.fail("Ray was started"))
    assert main(["extract", str(folder), "--cache", str(tmp_path), "--extractor", "visaul", "--engine", "ray"]) == 2
    assert "Did you mean 'visual'" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["extract", "--cache", "nowhere", "--extractor", "visual"], ["score"]])
def test_without_ray_the_message_says_how_to_install_it(folder, capsys, monkeypatch, verb):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main([*verb, str(folder), "--engine", "ray"]) == 2
    assert capsys.readouterr().err.endswith("'--engine ray' needs Ray: pip install 'maagiqa_pyiqa[ray]'\n")


def test_nothing_to_do_starts_no_ray(monkeypatch, tmp_path):
    monkeypatch.setattr(ray_engine, "_session", lambda needs_gpu: pytest.fail("Ray was started"))
    assert ray_engine.extract_with_ray([], OPTIONS, str(tmp_path)) == Summary()


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
        if signal.getsignal(signal.SIGTERM) is ray_engine._interrupt:  # else it would end the tests
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


# ---------------------------------------------------------------------------------------------------- scores


def test_scores_are_those_of_one_process(cluster, folder, tmp_path):
    from pyarrow import parquet

    tables, rows = {}, {}
    for engine in ("local", "ray"):
        files = {kind: str(tmp_path / f"{engine}.{kind}") for kind in ("parquet", "csv")}
        arguments = ["-m", "maagiqa-lite", "-m", "entropy", "--device", "cpu", "--workers", "0", "--engine", engine]
        outputs = ["--parquet", files["parquet"], "--csv", files["csv"]]
        assert main(["score", str(folder), "--batch-size", "3", *arguments, *outputs]) == 1
        tables[engine] = parquet.read_table(files["parquet"])
        with open(files["csv"]) as file:
            rows[engine] = {row["image"]: row for row in csv.DictReader(file)}
    assert tables["ray"].schema.names == ["image", "maagiqa-lite", "entropy", "error"]
    assert [str(kind) for kind in tables["ray"].schema.types] == ["string", "double", "double", "string"]
    ours, expected = ({row["image"]: row for row in tables[engine].to_pylist()} for engine in ("ray", "local"))
    assert ours.keys() == expected.keys() == rows["ray"].keys() == {str(path) for path in folder.iterdir()}
    for image, row in expected.items():
        for metric in ("maagiqa-lite", "entropy"):
            assert ours[image][metric] == pytest.approx(row[metric], abs=1e-5)
            assert rows["ray"][image][metric] == ("" if row[metric] is None else str(ours[image][metric]))
        assert ours[image]["error"] == row["error"]
    assert sum(row["error"] is None for row in ours.values()) == GOOD


def test_a_metric_that_only_some_nodes_have_is_a_reason_at_their_images(monkeypatch):
    results = [
        ({"b": "no weights"}, [ImageScores(Path("1.png"), {"a": 1.0})]),
        ({"a": "no network", "b": "no weights"}, [ImageScores(Path("2.png"))]),
    ]
    monkeypatch.setattr(ray_engine, "run_tasks", lambda *_: iter(results))
    unavailable, scores = ray_engine.score_with_ray(
        [Path("1.png"), Path("2.png")], ["a", "b"], device="cpu", actors=2, batch_size=1, workers=0
    )
    assert unavailable == {"b": "no weights"}
    assert [result.error for result in scores] == ["", "a: no network"]


# ---------------------------------------------------------------------------------------------------- on Ray Data


@pytest.mark.parametrize(
    ("count", "actors", "batch_size", "sizes"),
    [
        (0, 1, None, []),
        (20, 8, None, [16, 4]),
        (100, 2, 5, [5] * 20),
        (100, 1, 5, [10] * 10),
        (600, 1, 100, [100] * 6),
        (6000, 1, None, [256] * 23 + [112]),
        (600, 1, 400, [400, 200]),
    ],
)
def test_tasks_hold_every_image_once_in_whole_batches_and_few_enough(count, actors, batch_size, sizes):
    tasks = ray_engine._split(range(count), actors, batch_size)
    assert [len(task) for task in tasks] == sizes
    assert [item for task in tasks for item in task] == list(range(count))


def test_an_actor_that_dies_is_replaced_under_its_old_id_and_every_task_done_once(cluster, tmp_path, monkeypatch):
    mark = tmp_path / "mark"

    def work(task):
        if not mark.exists():
            mark.write_text(ray_engine._actor_id())
            os._exit(1)
        return task, os.getcwd(), ray_engine._actor_id()

    monkeypatch.chdir(tmp_path)  # relative paths mean the same to actors
    done = sorted(ray_engine.run_tasks(lambda: work, range(3), 1, "cpu"))
    assert done == [(task, str(tmp_path), mark.read_text()) for task in range(3)]


@pytest.fixture
def actor(monkeypatch, tmp_path):
    """Make an actor in this process; all have the same id, as after a restart."""
    monkeypatch.setattr(ray_engine, "_actor_id", lambda: "0")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return lambda make: ray_engine._Actor(make, str(tmp_path / "folder that this node lacks"))


def run(actor, task="x"):
    import pyarrow

    table = actor(pyarrow.table({"task": [pickle.dumps(task)]}))
    return pickle.loads(table["result"][0].as_py())


def test_an_actor_that_dies_again_and_again_refuses(actor):
    for _ in range(2):  # a task done sets the count back
        assert run([actor(lambda: str) for _ in range(ray_engine.STARTS)][-1]) == "x"
    for _ in range(ray_engine.STARTS):
        actor(lambda: str)
    assert "was killed again and again" in str(run(actor(lambda: str)).error)


class UnpicklableError(ValueError):
    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def refuse():
    raise CacheMismatchError("of other features")


def raise_unpicklable(task):
    raise UnpicklableError("one", task)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (refuse, CacheMismatchError, "of other features"),
        (lambda: int, ValueError, "invalid literal"),
        (lambda: raise_unpicklable, RuntimeError, "UnpicklableError: one x"),
    ],
)
def test_what_an_actor_raises_is_raised_here_with_where_it_was_raised(monkeypatch, actor, make, kind, message):
    import ray

    result = run(actor(make))
    monkeypatch.setattr(ray_engine, "_session", lambda needs_gpu: contextlib.nullcontext(ray))
    monkeypatch.setattr(ray_engine, "_results", lambda *_: (result for _ in range(1)))
    with pytest.raises(kind, match=message) as caught:
        list(ray_engine.run_tasks(make, [1], 1, "cpu"))
    assert type(caught.value) is kind
    assert "in a Ray actor:\nTraceback" in str(caught.value.__cause__)


@pytest.mark.parametrize("joined", [False, True])
def test_ray_is_left_as_it_was_found(monkeypatch, capsys, joined):
    import ray

    calls = []
    monkeypatch.setattr(ray, "is_initialized", lambda: joined)
    monkeypatch.setattr(ray, "init", lambda **options: calls.append("init"))
    monkeypatch.setattr(ray, "shutdown", lambda: calls.append("shutdown"))
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    with contextlib.suppress(KeyError), ray_engine._session(needs_gpu=True):
        raise KeyError
    assert calls == ([] if joined else ["init", "shutdown"])
    assert capsys.readouterr().err == "Ray has no GPU yet; waiting for one\n"


def test_an_actor_on_cuda_takes_a_gpu_and_sees_it_as_the_first(monkeypatch):
    asked = []

    def run_tasks(make, tasks, actors, device):
        asked.append((make.args[0]["device"], device))
        return iter(())

    monkeypatch.setattr(ray_engine, "run_tasks", run_tasks)
    for device in ("cuda:3", "cpu", "mps"):
        ray_engine.extract_with_ray([], {**OPTIONS, "device": device}, "nowhere")
    assert asked == [("cuda", "cuda"), ("cpu", "cpu"), ("mps", "mps")]
