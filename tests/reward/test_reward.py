"""``make_reward``: what training code may rely on."""

import copy
import multiprocessing
import os
import pickle
import threading

import numpy as np
import pyiqa
import pytest
import torch
from PIL import Image

import maagiqa_pyiqa
from maagiqa_pyiqa.metrics.training_distance import training_features_of
from maagiqa_pyiqa.reward import RewardError, make_reward
from maagiqa_pyiqa.reward.gradients import score_with_gradients
from maagiqa_pyiqa.weights import packaged_weights


@pytest.fixture(scope="module")
def reward():
    return make_reward(device="cpu", batch_size=2)


@pytest.fixture(scope="module")
def pixels():
    """Five noisy images of growing contrast, (5, 64, 96, 3)."""
    noise = np.random.default_rng(0).normal(size=(5, 64, 96, 3)) * np.arange(5).reshape(-1, 1, 1, 1) * 12
    return (noise + 128).clip(0, 255).astype(np.uint8)


def floats(pixels):
    return torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255


def test_scores_are_those_of_the_table_whatever_the_images_are_given_as(reward, pixels, tmp_path):
    files = [tmp_path / f"{place}.png" for place in range(5)]
    for file, one in zip(files, pixels, strict=True):
        Image.fromarray(one).save(file)
    expected = maagiqa_pyiqa.score(list(pixels), device="cpu")["maagiqa-lite"]
    for images in (pixels, floats(pixels), [Image.fromarray(one) for one in pixels], files, list(map(str, files))):
        scores, info = reward(images, ["a cat"] * 5, {"step": 1})
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, expected, atol=1e-6)
        assert info["errors"] == [None] * 5
        np.testing.assert_array_equal(info["raw"]["maagiqa-lite"], scores)
        assert info["gates"] == {}  # it mixes no experts


def test_the_same_images_get_the_same_scores_in_any_batch_and_order(reward, pixels):
    scores, _ = reward(pixels)
    again, _ = reward(pixels)
    np.testing.assert_array_equal(scores, again)
    backwards, _ = make_reward(device="cpu", batch_size=5)(pixels[::-1])
    np.testing.assert_allclose(backwards[::-1], scores, atol=1e-5)


@pytest.mark.parametrize("differentiable", [False, True])
def test_what_experts_weigh_is_told_of_metrics_that_have_any(pixels, differentiable):
    x = floats(pixels)[:2].clone()
    x[0, 0, 0, 0] = torch.nan
    _, info = make_reward("maagiqa-lite-2026a", device="cpu", differentiable=differentiable)(x)
    nothing, weights = info["gates"]["maagiqa-lite-2026a"]
    assert nothing is None
    assert len(weights) == 3


def test_an_image_that_fails_is_nan_with_its_reason_and_spoils_no_other(reward, pixels):
    bad = floats(pixels).clone()
    bad[1, 0, 3, 3] = torch.nan
    images = [*bad[:2], "absent.png", bad[4]]
    scores, info = reward(images)
    whole, _ = reward(pixels)
    assert np.isnan(scores).tolist() == [False, True, True, False]
    np.testing.assert_allclose(scores[[0, 3]], whole[[0, 4]], atol=1e-5)
    assert info["errors"][1] == "pixels must be in [0, 1], got min nan, max nan"
    assert info["errors"][2] == "no such file: 'absent.png'"
    assert info["errors"][0] is info["errors"][3] is None
    with pytest.raises(RewardError, match=r"2 of 4 images could not be scored; images\[1\]: pixels must be") as caught:
        make_reward(device="cpu", on_error="raise")(images)
    assert pickle.loads(pickle.dumps(caught.value)).errors == info["errors"]


def test_where_every_image_fails_it_raises(reward):
    with pytest.raises(RewardError, match=r"2 of 2 images could not be scored; images\[0\]: no such file"):
        reward(["absent.png", "gone.png"])


def test_no_image_is_no_score(reward):
    for differentiable in (False, True):
        scores, info = make_reward(device="cpu", differentiable=differentiable)(torch.zeros(0, 3, 64, 64))
        assert scores.shape == (0,)
        assert info["errors"] == []


@pytest.mark.parametrize("differentiable", [False, True])
def test_prompts_have_to_be_as_many_as_images_before_anything_is_scored(pixels, differentiable):
    reward = make_reward("musiq", device="cpu", differentiable=differentiable)  # whose weights are out of reach
    with pytest.raises(ValueError, match="there are 2 prompts for 5 images"):
        reward(floats(pixels), ["a", "b"])


def test_what_is_no_image_is_an_error_of_the_caller(reward):
    with pytest.raises(ValueError, match="movedim"):
        reward(torch.zeros(2, 8, 8, 3))
    with pytest.raises(TypeError, match="got int"):
        reward([3])


@pytest.mark.parametrize("differentiable", [False, True])
def test_how_far_images_are_from_the_training_images_is_told_where_that_is_known(pixels, differentiable):
    x = floats(pixels)[:3].clone()
    x[1, 0, 0, 0] = torch.nan
    metric = {"maagiqa-lite": 1.0, "maagiqa-lite-2026a": 1.0}
    _, info = make_reward(metric, device="cpu", differentiable=differentiable)(x)
    distances = info["distances"].pop("maagiqa-lite")
    assert info["distances"] == {}
    assert distances.dtype == np.float32
    assert np.isnan(distances).tolist() == [False, True, False]
    assert info["out_of_distribution"]["maagiqa-lite"].tolist() == (distances > 1).tolist()
    details = pyiqa.create_metric("maagiqa-lite", device=torch.device("cpu"))(x[:1], return_details=True)
    assert distances[0] == pytest.approx(training_features_of("maagiqa-lite").read(details)[0], rel=1e-4)


def test_of_a_checkpoint_no_distance_is_known(pixels, tmp_path):
    checkpoint = tmp_path / "mine.safetensors"
    checkpoint.write_bytes(packaged_weights("lite").read_bytes())
    _, info = make_reward(f"maagiqa-lite={checkpoint}", device="cpu")(pixels)
    assert info["distances"] == info["out_of_distribution"] == {}


# ------------------------------------------------------------------------------------------------------ several metrics


def test_weights_multiply_scores_as_they_are(pixels):
    scores, info = make_reward({"maagiqa-lite": 0.7, "piqe": -0.3}, device="cpu")(pixels)
    expected = 0.7 * info["raw"]["maagiqa-lite"] - 0.3 * info["raw"]["piqe"]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    table = maagiqa_pyiqa.score(list(pixels), ["maagiqa-lite", "piqe"], device="cpu")
    for name in ("maagiqa-lite", "piqe"):
        np.testing.assert_allclose(info["raw"][name], table[name], rtol=1e-5, atol=1e-5)


def test_a_metric_of_which_lower_is_better_counts_negatively(pixels):
    scores, info = make_reward("piqe", device="cpu")(pixels)
    np.testing.assert_allclose(scores, -info["raw"]["piqe"])


@pytest.mark.parametrize("normalize", ["mos", "unit", "zscore"])
def test_every_scale_is_a_line_on_which_higher_is_better(normalize, pixels):
    weights = {"maagiqa-lite": 0.5, "piqe": -0.25}
    parts = {name: make_reward(name, device="cpu", normalize=normalize)(pixels) for name in weights}
    whole, _ = make_reward(weights, device="cpu", normalize=normalize)(pixels)
    expected = sum(abs(weight) * parts[name][0] for name, weight in weights.items())
    np.testing.assert_allclose(whole, expected, atol=1e-4)
    for name, sign in (("maagiqa-lite", 1), ("piqe", -1)):
        scores, info = parts[name]
        raw = info["raw"][name].astype(float)
        slope, offset = np.polyfit(raw, scores, 1)
        assert slope * sign > 0
        np.testing.assert_allclose(raw * slope + offset, scores, atol=1e-3)


@pytest.mark.parametrize(
    ("metric", "options", "error", "message"),
    [
        ("maagiqa-lit", {}, ValueError, "Did you mean 'maagiqa-lite'"),
        ({"piqe": 0.3}, {}, ValueError, "'piqe': lower scores are better, so its weight must be negative"),
        ({"maagiqa-lite": -1}, {}, ValueError, "higher scores are better, so its weight must be positive"),
        ({"maagiqa-lite": 0}, {}, ValueError, "a number that is not 0, got 0"),
        ({"maagiqa-lite": float("nan")}, {}, ValueError, "a number that is not 0, got nan"),
        ({"maagiqa-lite": "1"}, {}, ValueError, "a number that is not 0, got '1'"),
        ({}, {}, ValueError, "no metric is named"),
        (["piqe"], {}, TypeError, "a mapping of names to weights"),
        ("musiq", {"normalize": "unit"}, ValueError, "'musiq': where its scores lie on AGIQA-3k was not measured"),
        (f"mine=maagiqa-lite={__file__}", {"normalize": "mos"}, ValueError, "'mine': where its scores lie"),
        ("piqe", {"normalize": "minmax"}, ValueError, "normalize must be one of"),
        ("piqe", {"on_error": "skip"}, ValueError, "on_error must be one of"),
        ("piqe", {"batch_size": 0}, ValueError, "batch_size must be an integer of at least 1"),
        ("piqe", {"workers": -1}, ValueError, "workers must be an integer of at least 0"),
    ],
)
def test_what_makes_no_reward_is_refused_when_it_is_made(metric, options, error, message):
    with pytest.raises(error, match=message):
        make_reward(metric, **options)


def test_a_metric_that_cannot_run_here_says_so_before_anything_is_scored():
    with pytest.raises(ValueError, match="metric brisque cannot run here"):
        make_reward("brisque", device="cpu").prepare()


# ----------------------------------------------------------------------------------------------------------- gradients


def test_gradients_are_those_of_the_metric_as_a_loss(pixels):
    import pyiqa

    x = floats(pixels).requires_grad_()
    scores, info = make_reward(device="cpu", differentiable=True, batch_size=2)(x)
    assert torch.is_tensor(scores)
    assert scores.shape == (5,)
    scores.sum().backward()
    y = floats(pixels).requires_grad_()
    loss = pyiqa.create_metric("maagiqa-lite", as_loss=True, loss_reduction="sum", device=torch.device("cpu"))(y)
    loss.backward()
    torch.testing.assert_close(x.grad, y.grad, atol=1e-6, rtol=1e-3)
    np.testing.assert_allclose(info["raw"]["maagiqa-lite"], scores.detach(), atol=1e-6)


def test_an_image_of_nan_gets_no_gradient_and_spoils_no_other(pixels):
    reward = make_reward(device="cpu", differentiable=True)
    x = floats(pixels)[:3].clone()
    x[1, 0, 0, 0] = torch.nan
    x.requires_grad_()
    scores, info = reward(x)
    assert scores.isnan().tolist() == [False, True, False]
    assert info["errors"] == [None, "NaN or infinite pixels", None]
    scores[info["raw"]["maagiqa-lite"] == info["raw"]["maagiqa-lite"]].sum().backward()
    assert x.grad[1].eq(0).all()
    assert x.grad[0].abs().sum() > 0
    assert x.grad.isfinite().all()


class Counted(torch.nn.Module):
    """Share of bright pixels, which tells no pixel which way to go."""

    def forward(self, x):
        return (x > 0.5).float().mean((1, 2, 3))


def test_metrics_without_gradients_and_files_are_refused(pixels):
    with pytest.raises(ValueError, match="metric 'counted' gives no gradients"):
        score_with_gradients(floats(pixels).requires_grad_(), {"counted": Counted()}, {}, "cpu", 2)
    with pytest.raises(TypeError, match="images must be a tensor"):
        make_reward("maagiqa-lite", device="cpu", differentiable=True)(["a.png"])


# ------------------------------------------------------------------------------------------------ threads and processes


def test_threads_that_share_it_get_their_own_scores(reward, pixels):
    expected, _ = reward(pixels)
    found = {}

    def work(place):
        found[place] = [reward(pixels[place : place + 1])[0][0] for _ in range(3)]

    threads = [threading.Thread(target=work, args=(place,)) for place in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place in range(5):
        np.testing.assert_allclose(found[place], expected[place], atol=1e-5)


def test_a_pickled_or_copied_one_holds_no_network(reward, pixels):
    expected, _ = reward(pixels[:1])
    content = pickle.dumps(reward)
    assert len(content) < 5000
    for other in (pickle.loads(content), copy.deepcopy(reward)):
        np.testing.assert_array_equal(other(pixels[:1])[0], expected)


def _score(reward, pixels, results):
    results.put(reward(pixels)[0])


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_another_process_scores_the_same(reward, pixels, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip("this system does not fork")
    expected, _ = reward(pixels)
    context = multiprocessing.get_context(method)
    results = context.SimpleQueue()
    process = context.Process(target=_score, args=(reward, pixels, results))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    np.testing.assert_array_equal(results.get(), expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_process_forked_while_a_thread_scores_is_not_stuck(reward, pixels):
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    with reward._metrics.lent():  # as a thread in the midst of scoring has it
        process = context.Process(target=_score, args=(reward, pixels, results))
        process.start()
    process.join(60)
    assert process.exitcode == 0
