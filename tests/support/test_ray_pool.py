"""A pool of Ray actors: tasks done once, errors raised as what they are, Ray left as it was found."""

import contextlib
import os
import pickle
import tempfile

import pytest

from maagiqa_pyiqa.cache.manifest import CacheMismatchError
from maagiqa_pyiqa.support import ray_pool
from tests.helpers import ray_cluster

pytest.importorskip("ray", reason="Ray is not installed; it comes with the extra [ray]")

cluster, environment = ray_cluster.cluster, ray_cluster.environment


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
    tasks = ray_pool.split_tasks(range(count), actors, batch_size)
    assert [len(task) for task in tasks] == sizes
    assert [item for task in tasks for item in task] == list(range(count))


def test_an_actor_that_dies_is_replaced_under_its_old_id_and_every_task_done_once(cluster, tmp_path, monkeypatch):
    mark = tmp_path / "mark"

    def work(task):
        if not mark.exists():
            mark.write_text(ray_pool._actor_id())
            os._exit(1)
        return task, os.getcwd(), ray_pool._actor_id()

    monkeypatch.chdir(tmp_path)  # relative paths mean the same to actors
    done = sorted(ray_pool.run_tasks(lambda: work, range(3), 1, "cpu"))
    assert done == [(task, str(tmp_path), mark.read_text()) for task in range(3)]


@pytest.fixture
def actor(monkeypatch, tmp_path):
    """Make an actor in this process; all have the same id, as after a restart."""
    monkeypatch.setattr(ray_pool, "_actor_id", lambda: "0")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return lambda make: ray_pool._Actor(make, str(tmp_path / "folder that this node lacks"))


def run(actor, task="x"):
    import pyarrow

    table = actor(pyarrow.table({"task": [pickle.dumps(task)]}))
    return pickle.loads(table["result"][0].as_py())


def test_an_actor_that_dies_again_and_again_refuses(actor):
    for _ in range(2):  # a task done sets the count back
        assert run([actor(lambda: str) for _ in range(ray_pool.MAX_STARTS)][-1]) == "x"
    for _ in range(ray_pool.MAX_STARTS):
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
    monkeypatch.setattr(ray_pool, "_session", lambda needs_gpu: contextlib.nullcontext(ray))
    monkeypatch.setattr(ray_pool, "_results", lambda *_: (result for _ in range(1)))
    with pytest.raises(kind, match=message) as caught:
        list(ray_pool.run_tasks(make, [1], 1, "cpu"))
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
    with contextlib.suppress(KeyError), ray_pool._session(needs_gpu=True):
        raise KeyError
    assert calls == ([] if joined else ["init", "shutdown"])
    assert capsys.readouterr().err == "Ray has no GPU yet; waiting for one\n"
