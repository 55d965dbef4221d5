"""A Ray on this machine, for the tests of what runs on one, and pictures for it."""

import signal
from pathlib import Path

import pytest

from tests.helpers.mplug_owl2_models import random_picture

GOOD = 24


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Environment variables, to be set before Ray starts for actors to inherit them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAAGIQA_CACHE_COPIES", str(tmp_path_factory.mktemp("copies")))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.delenv("RAY_ADDRESS", raising=False)
        yield patch


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
