"""Metrics that are cheap and misbehave on demand, for the leaderboard's tests and the processes they start.

As a script: runs the benchmark of an option file with them.
"""

import os
import sys
import time

import torch
from pyiqa.default_model_configs import DEFAULT_CONFIGS
from pyiqa.utils.registry import ARCH_REGISTRY

CALLS: list[str] = []  # name of the metric, once for each image it was given


@ARCH_REGISTRY.register()
class LeaderboardTestNet(torch.nn.Module):
    """Mean brightness. ``trouble`` says what goes wrong, ``SECONDS_AN_IMAGE`` in the environment how slow it is."""

    def __init__(self, name="brightness", sign=1.0, trouble=None):
        super().__init__()
        if trouble == "exit":
            sys.exit(3)
        if trouble == "package":
            import no_such_package  # noqa: F401
        self.name, self.trouble = name, trouble
        self.weight = torch.nn.Parameter(torch.tensor(float(sign)))

    def forward(self, x):
        CALLS.extend([self.name] * len(x))
        time.sleep(float(os.environ.get("SECONDS_AN_IMAGE", 0)) * len(x))
        if self.trouble == "memory":
            raise MemoryError("the model needs 15 GiB and 2 GiB are free")
        if self.trouble == "batches" and len(x) > 1:
            raise RuntimeError("one at a time, please")
        if self.trouble == "always":
            raise RuntimeError("index out of range")
        score = self.weight * x.mean(dim=(1, 2, 3))[:, None]
        if self.trouble == "nan":
            score = torch.where(score < 0.3, torch.nan, score)
        return score


METRICS = {
    "brightness": {},
    "darkness": {"sign": -1.0},
    "batchless": {"trouble": "batches"},
    "nan-in-the-dark": {"trouble": "nan"},
    "ends-the-program": {"trouble": "exit"},
    "lacks-a-package": {"trouble": "package"},
    "lacks-memory": {"trouble": "memory"},
    "never-works": {"trouble": "always"},
}


def configs():
    """Entries of DEFAULT_CONFIGS; of ``darkness`` lower is better."""
    return {
        name: {
            "metric_opts": {"type": "LeaderboardTestNet", "name": name, **options},
            "metric_mode": "NR",
            "lower_better": name == "darkness",
        }
        for name, options in METRICS.items()
    }


if __name__ == "__main__":
    from maagiqa_pyiqa.cli.main import main
    from maagiqa_pyiqa.metrics import kept_scoring

    DEFAULT_CONFIGS.update(configs())
    kept_scoring.COMMIT_SECONDS = 0.0
    sys.exit(main(["benchmark", "-opt", sys.argv[1]]))
