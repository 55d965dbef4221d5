"""Training of what reads the statistics: quality head, gate and fusion, with trunk and experts frozen.

It starts as the trunk's training left it, with the gate at quality alone, and learns to score other sizes like the
originals and worse versions below better ones, without losing what it knows of ratings.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.lite.seen import Seen

EVERYTHING = slice(None)
EPOCHS, BATCH, RATE, RATE_OF_NEW, DECAY = 8, 64, 2e-4, 1e-3, 1e-2
MARGINS = {"degradation": 0.1, "incoherence": 0.15, "nothing": 0.3}  # of scores, MOS scale
RANKING, OTHER_SIZES = 4.0, 0.5  # weights of losses beside squared error and PLCC of the originals


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
    net: Any, seen: Seen, vectors: torch.Tensor, mos: np.ndarray, *, seed: int = 0, epochs: int = EPOCHS
) -> None:
    """Train in place.

    Args:
        net: after ``start``.
        seen: of the training part.
        vectors: of the experts (V, E, D).
        mos: ratings by row of the dataset's table.
        seed: of the order.
        epochs: over the originals.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    clean, others = seen.where(damage="", size=512), np.array([i for i, v in enumerate(seen.versions) if v.resized])
    labels = torch.tensor([float(mos[v.image]) for v in seen.versions])
    margins = torch.tensor([MARGINS.get(v.kind, 0.0) for v in seen.versions])
    old, new = _parameters(net)
    steps = epochs * (len(clean) // BATCH)
    rates = [RATE, RATE_OF_NEW]
    optimizer = torch.optim.AdamW([{"params": old}, {"params": new}], weight_decay=DECAY)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps)
    net.train()
    for step in range(steps):
        if step % (steps // epochs) == 0:
            order = rng.permutation(clean)
        first = step % (steps // epochs) * BATCH
        some, resized = order[first : first + BATCH], rng.choice(others, BATCH // 2)
        pairs = seen.pairs[rng.integers(0, len(seen.pairs), BATCH)]
        places = np.concatenate([some, resized, pairs[:, 0], pairs[:, 1]])
        scores, rest, better, worse = score(net, seen, vectors, places).split([BATCH, BATCH // 2, BATCH, BATCH])
        loss = F.mse_loss(scores, labels[some]) + plcc_loss(scores, labels[some])
        loss = loss + OTHER_SIZES * F.mse_loss(rest, labels[resized])
        loss = loss + RANKING * F.relu(margins[pairs[:, 1]] - (better - worse)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
    net.eval()


def _parameters(net: Any) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Those that the trunk's training had, and those that are new."""
    fusion = net.fusion
    heads = [*net.quality_branch.head.parameters(), *net.quality_branch.glance.head.parameters()]
    return [*heads, *fusion.quality_transform.parameters(), *fusion.regression.parameters()], [
        *fusion.gate.parameters(),
        *fusion.semantic_transforms.parameters(),
    ]


def plcc_loss(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """(1 - r) / 2, as pyiqa's PLCCLoss."""
    scores, labels = scores - scores.mean(), labels - labels.mean()
    return (1 - (scores * labels).sum() / (scores.norm() * labels.norm() + 1e-8)) / 2
