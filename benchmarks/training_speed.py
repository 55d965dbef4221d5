"""Training step: seconds, losses and peak memory of ours against the authors' loop written plainly.

    python -m benchmarks.training_speed [--recipe official|lite-2026a] [--batch-size 4] [--steps 5] [--autocast]
        [--device cuda] [--size full|tiny]

Both start from the same random weights, see the same random batches and draw the same dropout, step by step in turns;
semantic features are given, as from a cache. Peak memory is that of each side alone, in a process of its own. The
baseline is ``reference_training.py``. Losses are those of 32-bit floats where ``--autocast`` is left out.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

import torch
from torch import nn

from benchmarks.reference_training import PlainNetwork
from benchmarks.training_runs import load_recipe
from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA

SIDES = ("authors", "ours")
RECIPES = {"official": "maagiqa_3k", "lite-2026a": "maagiqa_lite_3k"}
TINY: dict[str, Any] = {
    "backbone": "vit_tiny_patch16_224",
    "input_size": 64,
    "embed_dim": 32,
    "dim_mlp": 32,
    "feature_dim": 24,
}


class Training:
    """A network and its optimizer, as a recipe has them.

    Args:
        net: to be trained.
        section: ``train`` section of an option file.
        plain: leave out what the recipe has for speed alone, the fused optimizer.
        autocast: compute in bfloat16 where PyTorch deems that safe.
    """

    def __init__(self, net: nn.Module, section: dict[str, Any], *, plain: bool, autocast: bool) -> None:
        self.net, self.autocast = net.train(), autocast
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(not name.startswith(tuple(section.get("freeze", ()))))
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d) and section.get("freeze_norm_statistics"):
                module.eval()
        trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
        optim = section["optim"]
        fused = None if plain else optim.get("fused")
        kind = getattr(torch.optim, optim["type"])
        self.optimizer = kind(trained, optim["lr"], weight_decay=optim["weight_decay"], fused=fused)

    def step(self, batch: tuple[torch.Tensor, ...]) -> tuple[float, float]:
        """Train on images, features and MOS; return seconds and loss."""
        images, features, mos = batch
        start = time.perf_counter()
        self.optimizer.zero_grad()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.autocast):
            scores = self.net(images, features)
        loss = nn.functional.mse_loss(scores.float(), mos)
        loss.backward()
        self.optimizer.step()
        value = loss.item()
        return time.perf_counter() - start, value


def make_batch(net: MAAGIQA, size: int, step: int, device: str) -> tuple[torch.Tensor, ...]:
    """Images, semantic features and MOS of random values, by the number of the step."""
    random = torch.Generator().manual_seed(step)
    options = net.options
    images = torch.rand(size, 3, options.input_size, options.input_size, generator=random)
    features = torch.randn(size, options.num_prompts, options.feature_dim, generator=random)
    return images.to(device), features.to(device), 5 * torch.rand(size, 1, generator=random).to(device)


def prepare(arguments: argparse.Namespace, sides: tuple[str, ...]) -> tuple[MAAGIQA, dict[str, Training]]:
    """Make our network, and the named sides with its weights."""
    torch.manual_seed(0)
    small = TINY if arguments.size == "tiny" else {}
    # random patch scores mostly lie below their ReLU: the quality branch would learn nothing and losses compare nothing
    ours = MAAGIQA(preset=arguments.recipe, score_bias=1.0, **small)
    section = load_recipe(RECIPES[arguments.recipe])["train"]
    trainings = {}
    for side in sides:
        net = ours if side == "ours" else PlainNetwork(ours)
        mine = side == "ours"
        trainings[side] = Training(
            net.to(arguments.device), section, plain=not mine, autocast=mine and arguments.autocast
        )
    return ours, trainings


def run(arguments: argparse.Namespace, sides: tuple[str, ...]) -> dict[str, list[tuple[float, float]]]:
    """Seconds and losses of each side, steps in turns; the first step, which sets things up, counts for losses only."""
    ours, trainings = prepare(arguments, sides)
    measured: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for step in range(arguments.steps + 1):
        batch = make_batch(ours, arguments.batch_size, step, arguments.device)
        for side, training in trainings.items():
            torch.manual_seed(step)  # of the dropout
            measured[side].append(training.step(batch))
    return measured


def peak_memory(arguments: argparse.Namespace) -> float:
    """GB that this process, which trained one side, held at its peak; those of the GPU where there is one."""
    if arguments.device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def peak_of(side: str, words: list[str]) -> float:
    """Peak of one side trained for two steps in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.training_speed", *words, "--steps", "1", "--only", side]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def report(measured: dict[str, list[tuple[float, float]]], peaks: dict[str, float]) -> None:
    """Print a row for each side, then how far apart the losses are."""
    seconds = {side: statistics.median(second for second, _ in rows[1:]) for side, rows in measured.items()}
    print("| training step | seconds, median | times as fast | peak memory |\n|---|---|---|---|")
    for side in SIDES:
        ratio = seconds["authors"] / seconds[side]
        print(f"| {side} | {seconds[side]:.2f} | {ratio:.2f} | {peaks[side]:.2f} GB |")
    pairs = zip(*(measured[side] for side in SIDES), strict=True)
    difference = max(abs(mine - theirs) / abs(theirs) for (_, theirs), (_, mine) in pairs)
    print(f"largest relative difference of losses in {len(measured['ours'])} steps: {difference:.1e}")


def parse_arguments(words: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", choices=RECIPES, default="official")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--steps", type=int, default=5, help="that are timed, after one that is not")
    parser.add_argument("--autocast", action="store_true", help="ours in bfloat16")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--only", choices=SIDES, help=argparse.SUPPRESS)
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    """Time both, measure memory, print."""
    words = sys.argv[1:] if words is None else words
    arguments = parse_arguments(words)
    if arguments.only:
        run(arguments, (arguments.only,))
        print(peak_memory(arguments))
        return
    peaks = {side: peak_of(side, words) for side in SIDES}
    report(run(arguments, SIDES), peaks)


if __name__ == "__main__":
    main()
