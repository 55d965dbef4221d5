"""What becomes of pictures when maagiqa-lite is the reward, and whether ``info`` tells that it is being hacked.

    python -m benchmarks.reward_optimisation tests/data/agiqa_3k/images/*_065.jpg --out optimised

Two runs with the callable of ``make_reward``. *Pixels by gradient*: pictures of generators, whose pixels Adam moves
straight up the reward. *A generator by REINFORCE*: a normal distribution of the colours of smooth pictures, whose mean
is drawn to samples that are better than their group, without gradients of the reward. Writes curves and pictures
to ``optimisation.png`` and figures to ``optimisation.csv``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas
import torch
from matplotlib.axes import Axes
from torch.nn.functional import interpolate

from maagiqa_pyiqa.images.decoding import read_image
from maagiqa_pyiqa.reward import Info, Reward, make_reward
from maagiqa_pyiqa.support.judged_images import FARTHEST

METRIC = "maagiqa-lite"
GRADIENT, REINFORCE = "pixels by gradient", "generator by REINFORCE"
GRADIENT_STEPS, GRADIENT_RATE = 60, 0.5 / 255
REINFORCE_STEPS, REINFORCE_RATE = 400, 0.5
GROUP, DEVIATION = 16, 0.5  # samples of a step, and of their colours
COLOURS, SIDE = 16, 128  # of a generated picture, in colours and in pixels


class Step(NamedTuple):
    """What the reward says of pictures, (N,) each, after a step of a run, and the first of them (3, H, W)."""

    run: str
    step: int
    rewards: np.ndarray
    distances: np.ndarray
    out_of_distribution: np.ndarray
    picture: torch.Tensor


def _step(run: str, step: int, pictures: torch.Tensor, info: Info) -> Step:
    out = info["out_of_distribution"][METRIC]
    return Step(run, step, info["raw"][METRIC], info["distances"][METRIC], out, pictures[0].detach().clone())


def by_gradient(reward: Reward, pictures: torch.Tensor, steps: int) -> Iterator[Step]:
    """Move pixels straight up a differentiable reward.

    Args:
        reward: differentiable.
        pictures: (N, 3, H, W) in [0, 1], where it starts.
        steps: how many.
    """
    pixels = pictures.clone().requires_grad_()
    optimiser = torch.optim.Adam([pixels], lr=GRADIENT_RATE)
    for step in range(steps + 1):
        scores, info = reward(pixels)
        yield _step(GRADIENT, step, pixels, info)
        optimiser.zero_grad()
        (-scores.sum()).backward()
        optimiser.step()
        with torch.no_grad():
            pixels.clamp_(0, 1)


def picture_of(colours: torch.Tensor) -> torch.Tensor:
    """Colours (N, 3, COLOURS, COLOURS), any numbers, to smooth pictures (N, 3, SIDE, SIDE) in [0, 1]."""
    return interpolate(colours, size=(SIDE, SIDE), mode="bicubic").sigmoid()


def by_reinforce(reward: Reward, steps: int, seed: int = 0) -> Iterator[Step]:
    """Draw the mean of a normal distribution of colours to samples that are better than their group.

    Args:
        reward: of which only scores are looked at, not gradients.
        steps: how many, of GROUP pictures each.
        seed: of all that is drawn.
    """
    draw = torch.Generator().manual_seed(seed)
    mean = torch.randn(1, 3, COLOURS, COLOURS, generator=draw) / 2
    for step in range(steps + 1):
        noise = torch.randn(GROUP, 3, COLOURS, COLOURS, generator=draw)
        pictures = picture_of(mean + DEVIATION * noise)
        scores, info = reward(pictures)
        yield _step(REINFORCE, step, pictures, info)
        advantages = torch.from_numpy((scores - scores.mean()) / (scores.std() + 1e-6))
        mean = mean + REINFORCE_RATE * (advantages[:, None, None, None] * noise).mean(0)


def first_fired(steps: Sequence[Step]) -> Step | None:
    """The first step at which most pictures are out of the distribution of the training images, if there is one."""
    return next((step for step in steps if step.out_of_distribution.mean() > 0.5), None)


def table(steps: Sequence[Step]) -> pandas.DataFrame:
    """Means over the pictures of each step."""
    rows = [
        (one.run, one.step, one.rewards.mean(), one.distances.mean(), one.out_of_distribution.mean()) for one in steps
    ]
    return pandas.DataFrame(rows, columns=["run", "step", "reward", "distance", "share_out_of_distribution"])


def draw(runs: Sequence[Sequence[Step]], path: Path) -> None:
    """Curves of each run, and pictures of its start, of when the guard fired and of its end."""
    figure, axes = plt.subplots(2, len(runs), figsize=(6 * len(runs), 6.6), height_ratios=(3, 2), squeeze=False)
    for (curves, pictures), steps in zip(axes.T, runs, strict=True):
        _draw_curves(curves, steps)
        _draw_pictures(pictures, steps)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_curves(axes: Axes, steps: Sequence[Step]) -> None:
    data = table(steps)
    axes.plot(data["step"], data["reward"], color="#1f6f8b", label="reward (mean opinion score, 0 to 5)")
    axes.plot(data["step"], data["distance"], color="#d0312d", label="distance from the training images")
    axes.axhline(FARTHEST, color="#d0312d", linestyle=":", linewidth=1, label="95 % of such images are nearer")
    fired = first_fired(steps)
    if fired is not None:
        axes.axvline(fired.step, color="#6b6b6b", linestyle="--", linewidth=1, label=f"guard fires, step {fired.step}")
    axes.set(title=steps[0].run, xlabel="step")
    axes.legend(frameon=False, fontsize=8, loc="best")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_pictures(axes: Axes, steps: Sequence[Step]) -> None:
    fired = first_fired(steps)
    between = steps[len(steps) // 2] if fired is None or fired.step == 0 else fired
    for place, one in enumerate((steps[0], between, steps[-1])):
        axes.imshow(one.picture.permute(1, 2, 0).numpy(), extent=(place, place + 0.97, 0, 0.97))
        words = f"step {one.step}\nreward {one.rewards[0]:.2f}, distance {one.distances[0]:.2f}"
        axes.text(place, 1.02, words, fontsize=8)
    axes.set(xlim=(0, 3), ylim=(0, 1.2))
    axes.axis("off")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, optimise and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", type=Path, help="of one size, whose pixels are optimised")
    parser.add_argument("--out", type=Path, default=Path("optimised"), help="folder to write to")
    parser.add_argument("--steps", nargs=2, type=int, default=[GRADIENT_STEPS, REINFORCE_STEPS], help="of the two runs")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    pictures = torch.stack([read_image(path) for path in options.images]) / 255
    runs = [
        list(by_gradient(make_reward(METRIC, differentiable=True), pictures, options.steps[0])),
        list(by_reinforce(make_reward(METRIC, batch_size=GROUP), options.steps[1])),
    ]
    draw(runs, options.out / "optimisation.png")
    data = pandas.concat(map(table, runs))
    data.to_csv(options.out / "optimisation.csv", index=False)
    for steps in runs:
        fired = first_fired(steps)
        print(table(steps).iloc[:: max(1, len(steps) // 10)].to_string(index=False))
        print("the guard does not fire" if fired is None else f"the guard fires at step {fired.step}")


if __name__ == "__main__":
    main()
