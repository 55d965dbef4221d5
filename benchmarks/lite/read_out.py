"""Training of what reads the statistics: quality head, gate and fusion, with trunk and experts frozen.

It starts as the trunks' trainings left it, with the gate at quality alone, and learns to score worse versions below
better ones, while originals, and the same at other sizes, keep the scores that originals have at the start.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.lite.seen import Seen
from benchmarks.lite.versions import SIZE

EVERYTHING = slice(None)
STEPS, BATCH, RATE, RATE_OF_NEW, DECAY = 600, 64, 1e-4, 1e-3, 1e-1
MARGINS = {"degradation": 0.1, "incoherence": 0.15, "nothing": 0.3}  # of scores, MOS scale
KEEPING = 1.0  # weight of what keeps scores beside the ranking loss


def score(net: Any, seen: Seen, vectors: torch.Tensor, places: np.ndarray | slice = EVERYTHING) -> torch.Tensor:
    """Scores (V,) from what the trunks saw and what the experts made of it (V, E, D)."""
    branch = net.quality_branch
    feature = torch.cat([branch.feature(seen.close[places]), branch.glance.feature(seen.glance[places])], 1)
    return net.fusion(feature, vectors[places]).score.squeeze(1)


def start(net: Any) -> None:
    """Open the gate for quality alone, so that scores are those of the trunk's training."""
    gate = net.fusion.gate
    with torch.no_grad():
        gate.weight.zero_()
        gate.bias.zero_()
        gate.bias[-1] = 1.0


def train_read_out(
    net: Any, known: tuple[Seen, torch.Tensor], new: tuple[Seen, torch.Tensor], *, seed: int = 0, steps: int = STEPS
) -> None:
    """Train in place; no rating is looked at.

    Args:
        net: after ``start``.
        known: what was seen of images that trunks and experts were trained on, and the experts' vectors (V, E, D). Of
            these only the undamaged keep their scores: what is damaged stands out from images known by heart.
        new: the same of images that they were not trained on, which rank as well.
        seed: of the order.
        steps: of the optimizer.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    undamaged = [_undamaged(net, *part) for part in (known, new)]
    seen, vectors = new
    margins = torch.tensor([MARGINS.get(version.kind, 0.0) for version in seen.versions])
    heads, added = _parameters(net)
    optimizer = torch.optim.AdamW([{"params": heads}, {"params": added}], weight_decay=DECAY)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, [RATE, RATE_OF_NEW], total_steps=steps)
    net.train()
    for _ in range(steps):
        loss = torch.zeros(())
        for part, (whole, targets) in zip((known, new), undamaged, strict=True):
            some = rng.choice(whole, BATCH)
            loss = loss + KEEPING * F.mse_loss(score(net, *part, some), targets[some])
        pairs = seen.pairs[rng.integers(0, len(seen.pairs), BATCH)]
        better, worse = score(net, seen, vectors, pairs.T.ravel()).chunk(2)
        loss = loss + F.relu(margins[pairs[:, 1]] - (better - worse)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    net.eval()


@torch.no_grad()
def _undamaged(net: Any, seen: Seen, vectors: torch.Tensor) -> tuple[np.ndarray, torch.Tensor]:
    """Places of undamaged versions of any size, and what each is to score: as its image does before training."""
    scores = score(net, seen, vectors)
    whole = seen.where(damage="")
    of_image = {seen.versions[i].image: float(scores[i]) for i in whole if seen.versions[i].size == SIZE}
    return whole, torch.tensor([of_image[version.image] for version in seen.versions])


def _parameters(net: Any) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Those that the trunk's training had, and those that are new."""
    fusion = net.fusion
    heads = [*net.quality_branch.head.parameters(), *net.quality_branch.glance.head.parameters()]
    return [*heads, *fusion.quality_transform.parameters(), *fusion.regression.parameters()], [
        *fusion.gate.parameters(),
        *fusion.semantic_transforms.parameters(),
    ]
