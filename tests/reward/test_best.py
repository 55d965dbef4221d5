"""``select_best``: the best of several generations of each prompt."""

import numpy as np
import pytest
from PIL import Image

import maagiqa_pyiqa
from maagiqa_pyiqa.cli.main import main
from maagiqa_pyiqa.metrics.ranking import best_places
from maagiqa_pyiqa.reward import make_reward


@pytest.fixture
def folder(tmp_path):
    """Six noisy images of three prompts that alternate, as files with their prompts."""
    for place in range(6):
        noise = np.random.default_rng(place).normal(128, 4 + 9 * place, (64, 64, 3))
        Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(tmp_path / f"{place}.png")
    rows = [f"{place}.png,{['cat', 'dog', 'bird'][place % 3]}\n" for place in range(6)]
    (tmp_path / "prompts.csv").write_text("name,prompt\n" + "".join(rows))
    return tmp_path


@pytest.mark.parametrize("metric", ["maagiqa-lite", "piqe"])
def test_it_chooses_what_the_command_line_ranks_first(folder, metric):
    images = sorted(folder.glob("*.png"))
    best = maagiqa_pyiqa.select_best(images, ["cat", "dog", "bird"] * 2, 1, make_reward(metric, device="cpu"))
    words = ["--per-prompt", str(folder / "prompts.csv"), "--top", "1", "-m", metric, "--device", "cpu"]
    assert main(["rank", str(folder), *words, "--csv", str(folder / "ranking.csv")]) == 0
    ranked = (folder / "ranking.csv").read_text()
    assert list(best) == ["cat", "dog", "bird"]
    for (choice,) in best.values():
        assert choice.image == images[choice.place]
        assert str(choice.image) in ranked


def test_without_prompts_all_compete_and_what_fails_is_left_out(folder):
    images = [folder / "0.png", folder / "absent.png", folder / "5.png"]
    (chosen,) = maagiqa_pyiqa.select_best(images, n=5).values()
    assert {choice.place for choice in chosen} == {0, 2}
    assert chosen[0].score >= chosen[1].score


def test_equals_keep_their_order_and_nan_goes_nowhere():
    scores = [1.0, float("nan"), 3.0, 1.0, 3.0, float("nan")]
    assert best_places(scores, list("aaabbc")) == {"a": [2, 0], "b": [4, 3], "c": []}
    assert best_places(scores, list("aaaaaa"), 3, lower_better=True) == {"a": [0, 3, 2]}


@pytest.mark.parametrize(
    ("prompts", "n", "message"), [(["a"], 1, "1 prompts for 2 images"), (None, 0, "n must be an integer of at least 1")]
)
def test_what_makes_no_choice_is_refused(folder, prompts, n, message):
    with pytest.raises(ValueError, match=message):
        maagiqa_pyiqa.select_best([folder / "0.png", folder / "1.png"], prompts, n)


def test_no_image_is_no_choice():
    assert maagiqa_pyiqa.select_best([], []) == {}
