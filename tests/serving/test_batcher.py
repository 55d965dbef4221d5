"""Images of many requests in batches: who gets which score, who waits, what a dead engine costs."""

import asyncio

import numpy as np
import pytest

from maagiqa_pyiqa.serving.batcher import Batcher
from maagiqa_pyiqa.serving.limits import RefusedError
from tests.helpers.served import POISON, MeanEngine, mean_of

METRICS = ("maagiqa-lite",)


def picture(value, height=4, width=4):
    return np.full((height, width, 3), value, np.uint8)


async def scores(items):
    return [outcome["raw"].get("maagiqa-lite") for outcome in await asyncio.gather(*(item.future for item in items))]


def with_batcher(test, engines=None, **options):
    async def run():
        async with Batcher(
            engines or [MeanEngine()], **{"batch_size": 4, "queue": 64, "linger": 0.02, **options}
        ) as batcher:
            return await asyncio.wait_for(test(batcher), 20)

    return asyncio.run(run())


def test_images_of_many_requests_share_batches_and_each_gets_its_own_score():
    engine = MeanEngine()
    images = [picture(value, *size) for value in range(20, 32) for size in ((4, 4), (4, 6))]

    async def test(batcher):
        requests = [await batcher.submit([image], METRICS) for image in images]
        return [(await scores(items))[0] for items in requests]

    assert with_batcher(test, [engine]) == [mean_of(image) for image in images]
    assert [shape[0] for shape in engine.batches] == [4] * 6


def test_two_engines_share_the_work_and_no_score_goes_astray():
    images = [picture(value) for value in range(20, 60)]

    async def test(batcher):
        return await scores(await batcher.submit(images, METRICS))

    engines = [MeanEngine(), MeanEngine()]
    assert with_batcher(test, engines) == [mean_of(image) for image in images]
    assert all(engine.batches for engine in engines)


def test_an_engine_killed_from_outside_costs_nobody_a_score():
    engine = MeanEngine()
    engine.deaths_to_come = 1
    images = [picture(value) for value in range(20, 26)]

    async def test(batcher):
        found = await scores(await batcher.submit(images, METRICS))
        return found, batcher.engines[0]

    found, state = with_batcher(test, [engine])
    assert found == [mean_of(image) for image in images]
    assert (state.state, state.restarts) == ("ready", 1)


def test_an_image_that_kills_every_engine_is_given_up_and_the_others_are_scored():
    images = [picture(20), picture(POISON), picture(21)]

    async def test(batcher):
        items = await batcher.submit(images, METRICS)
        return await scores(items), await items[1].future

    found, poisoned = with_batcher(test)
    assert found == [mean_of(images[0]), None, mean_of(images[2])]
    assert "died 2 times over this image" in poisoned["errors"]["maagiqa-lite"]


def test_a_full_queue_takes_a_request_whole_or_not_at_all():
    engine = MeanEngine()
    engine.open.clear()

    async def test(batcher):
        first = await batcher.submit([picture(20)] * 4, METRICS)
        while not engine.batches:
            await asyncio.sleep(0.001)
        second = await batcher.submit([picture(21)] * 5, METRICS)
        with pytest.raises(RefusedError, match="5 images wait already, of 6 that may") as refused:
            await batcher.submit([picture(22)] * 2, METRICS)
        third = await batcher.submit([picture(23)], METRICS)
        engine.open.set()
        return refused.value, await scores([*first, *second, *third])

    refused, found = with_batcher(test, [engine], queue=6)
    assert (refused.status, refused.retry_after) == (429, 1)
    assert found == [mean_of(picture(value)) for value in [20] * 4 + [21] * 5 + [23]]


def test_images_of_a_client_that_has_gone_are_not_scored():
    engine = MeanEngine()
    engine.open.clear()

    async def test(batcher):
        first = await batcher.submit([picture(20)] * 4, METRICS)
        gone, kept = await batcher.submit([picture(21)] * 4, METRICS), await batcher.submit([picture(22)], METRICS)
        for item in gone:
            item.future.cancel()
        engine.open.set()
        return await scores([*first, *kept])

    assert len(with_batcher(test, [engine])) == 5
    assert [shape[0] for shape in engine.batches] == [4, 1]


def test_where_no_engine_can_be_started_requests_are_refused_at_once():
    engine = MeanEngine()
    engine.deaths_to_come, engine.cannot_start = 1, "no memory left"

    async def test(batcher):
        (item,) = await batcher.submit([picture(20)], METRICS)
        with pytest.raises(RefusedError, match="nothing can score now: it cannot be started: no memory left") as first:
            await item.future
        with pytest.raises(RefusedError, match="no memory left"):
            await batcher.submit([picture(20)], METRICS)
        return first.value.status

    assert with_batcher(test, [engine]) == 503


def test_large_images_make_small_batches(monkeypatch):
    monkeypatch.setattr("maagiqa_pyiqa.serving.batcher.HELD_MEGAPIXELS", 300 / 1e6)
    engine = MeanEngine()

    async def test(batcher):
        return await scores(await batcher.submit([picture(20, 10, 10)] * 4, METRICS))

    with_batcher(test, [engine], batch_size=8)
    assert [shape[0] for shape in engine.batches] == [3, 1]
