"""flow_grpo and verl call our rewards as their documentation says; both are stubs written from it."""

import asyncio
import inspect

import numpy as np
import pytest
import torch
from PIL import Image

from maagiqa_pyiqa.client import RewardClient
from maagiqa_pyiqa.integrations import verl
from maagiqa_pyiqa.integrations.flow_grpo import score_function
from tests.helpers.served import METRIC, MeanEngine, serving


@pytest.fixture(scope="module")
def url():
    with serving([MeanEngine()]) as (url, _):
        yield url


def multi_score(device, score_dict, score_functions):
    """As of flow_grpo: functions are made with a device where they name one, scores are weighed and added."""
    made = {}
    for name in score_dict:
        function = score_functions[name]
        made[name] = function(device) if "device" in function.__code__.co_varnames else function()

    def score(images, prompts, metadata, ref_images=None, only_strict=True):
        details = {name: made[name](images, prompts, metadata)[0] for name in score_dict}
        weighed = [[weight * score for score in details[name]] for name, weight in score_dict.items()]
        details["avg"] = [sum(scores) for scores in zip(*weighed, strict=True)]
        return details, {}

    return score


def test_flow_grpo_weighs_and_adds_our_scores(url):
    table = {"maagiqa": score_function(RewardClient(url)), "other": lambda: lambda *_: (np.array([1.0, 2.0]), {})}
    images = torch.stack([torch.full((3, 8, 8), 0.25), torch.full((3, 8, 8), 0.5)]).bfloat16()
    rewards, _ = multi_score("cpu", {"maagiqa": 0.5, "other": 1.0}, table)(images, ["a", "b"], [{}, {}])
    assert torch.as_tensor(rewards["avg"]).tolist() == pytest.approx([1.125, 2.25])
    assert rewards["maagiqa"] == pytest.approx([0.25, 0.5])


def test_flow_grpo_gets_no_made_up_score_for_an_image_without_one(url):
    images = torch.full((2, 3, 8, 8), 0.5)
    images[1, 0, 0, 0] = torch.nan
    score = multi_score("cpu", {"maagiqa": 1.0}, {"maagiqa": score_function(RewardClient(url))})
    with pytest.raises(ValueError, match=r"1 of 2 images have no reward; images\[1\]: pixels must be in \[0, 1\]"):
        score(images, ["a", "b"], [{}, {}])


async def run_single(compute_score, image, **of_reward_model):
    """As verl-omni's VisualRewardManager: coroutines are awaited, a mapping's other values are kept."""
    assert inspect.iscoroutinefunction(compute_score)
    result = await compute_score(
        data_source="prompts",
        solution_image=image,
        ground_truth="a cat",
        extra_info={"num_turns": None, "rollout_reward_scores": {}},
        **of_reward_model,
    )
    others = {key: value for key, value in result.items() if key != "score"}
    return {"reward_score": result["score"], "reward_extra_info": others}


@pytest.mark.parametrize(
    "image",
    [
        torch.full((3, 8, 6), 51, dtype=torch.uint8),
        torch.full((8, 6, 3), 51, dtype=torch.uint8),
        torch.full((2, 3, 8, 6), 51, dtype=torch.uint8),
        torch.full((3, 8, 6), 0.2),
        np.full((3, 8, 6), 51, np.uint8),
        Image.new("RGB", (8, 6), (51, 51, 51)),
    ],
    ids=["CHW", "HWC", "NCHW", "floats", "numpy", "PIL"],
)
def test_verl_gets_the_score_of_an_image_by_a_server(url, image):
    of_reward_model = {"server_url": url, "reward_router_address": "host:1", "model_name": "m", "sampling_params": {}}
    found = asyncio.run(run_single(verl.compute_score, image, **of_reward_model))
    assert found["reward_score"] == pytest.approx(0.2)
    assert found["reward_extra_info"] == {METRIC: pytest.approx(0.2), f"{METRIC}/distance": 1.5}


def test_verl_may_ask_for_several_metrics_with_their_weights(url):
    options = {"server_url": url, "metric": {METRIC: 0.75, "piqe": -0.25}}
    found = asyncio.run(run_single(verl.compute_score, torch.full((3, 8, 6), 51, dtype=torch.uint8), **options))
    assert found["reward_score"] == pytest.approx(0.2 * (0.75 - 0.25))
    assert found["reward_extra_info"] == {
        METRIC: pytest.approx(0.2),
        "piqe": pytest.approx(0.2),
        f"{METRIC}/distance": 1.5,
    }


def test_verl_asks_for_many_images_at_once(url):
    async def run():
        images = [torch.full((3, 8, 8), value, dtype=torch.uint8) for value in range(20, 52)]
        return await asyncio.gather(*(run_single(verl.compute_score, image, server_url=url) for image in images))

    found = [one["reward_score"] for one in asyncio.run(run())]
    assert found == pytest.approx([value / 255 for value in range(20, 52)])


def test_verl_gets_no_made_up_score_for_an_image_without_one(url):
    with pytest.raises(RuntimeError, match="pixels must be in"):
        asyncio.run(run_single(verl.compute_score, torch.full((3, 8, 8), 7.0), server_url=url))
