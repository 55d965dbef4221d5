"""Training of the semantic experts by self-supervision: no rating is looked at.

*Coherence* learns that a picture fits together better than itself with its parts out of place, and that blur, noise and
compression do not matter to that; *existence* that pictures, damaged ones too, have content that patterns have not.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.lite.seen import Seen
from maagiqa_pyiqa.archs.native_experts import Experts
from maagiqa_pyiqa.support.devices import is_quick_in_bfloat16

EPOCHS, PAIRS, RATE, DECAY, DROP = 5, 32, 1e-3, 1e-2, 0.1
RARE = 4.0  # weight of images without content, of which there are fewer


def train_experts(experts: Experts, seen: Seen, seed: int = 0) -> None:
    """Train the experts in place, and leave them frozen."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    _set_drop(experts, DROP)
    total = EPOCHS * sum(1 for _ in _batches(seen, np.random.default_rng(seed)))
    optimizer = torch.optim.AdamW(experts.parameters(), lr=RATE, weight_decay=DECAY)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=total)
    experts.train()
    in_bfloat16 = is_quick_in_bfloat16(torch.device("cpu"))
    for _ in range(EPOCHS):
        for batch in _batches(seen, rng):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16):
                loss = _loss(experts, seen, batch)
            loss.backward()
            optimizer.step()
            scheduler.step()
    _set_drop(experts, 0.0)
    experts.eval().requires_grad_(False)


def _set_drop(experts: Experts, rate: float) -> None:
    for module in experts.modules():
        if isinstance(module, (nn.Dropout, nn.Dropout2d)):
            module.p = rate


def _batches(seen: Seen, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Pairs (PAIRS, 2) whose maps are of one size, in random order."""
    shapes = [seen.maps[better].shape for better, _ in seen.pairs]
    batches = []
    for shape in dict.fromkeys(shapes):
        own = rng.permutation([i for i, other in enumerate(shapes) if other == shape])
        batches += [seen.pairs[own[i : i + PAIRS]] for i in range(0, len(own) - PAIRS + 1, PAIRS)]
    for i in rng.permutation(len(batches)):
        yield batches[i]


def _loss(experts: Experts, seen: Seen, pairs: np.ndarray) -> torch.Tensor:
    maps = torch.stack([seen.maps[i].float() for i in pairs.T.ravel()])  # the better ones first
    kinds = np.array([seen.versions[worse].kind for _, worse in pairs])
    incoherent, empty = torch.from_numpy(kinds == "incoherence"), torch.from_numpy(kinds == "nothing")
    better, worse = experts["coherence"](maps).logit.float().chunk(2)
    loss = F.softplus(worse - better)[incoherent].sum()
    loss = loss + (F.softplus(-better)[~empty].sum() + _no(worse, incoherent) + _yes(worse, ~incoherent & ~empty)) / 2
    better, worse = experts["existence"](maps).logit.float().chunk(2)
    return (loss + F.softplus(-better).sum() + RARE * _no(worse, empty) + _yes(worse, ~empty)) / len(pairs)


def _yes(logits: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    return F.softplus(-logits)[where].sum()


def _no(logits: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    return F.softplus(logits)[where].sum()


@torch.no_grad()
def answers(experts: Experts, seen: Seen, batch: int = 256) -> torch.Tensor:
    """Semantic features of all versions, (V, E, D)."""
    shapes: dict[torch.Size, list[int]] = {}
    for place, last_map in enumerate(seen.maps):
        shapes.setdefault(last_map.shape, []).append(place)
    found: list[torch.Tensor] = [torch.empty(0)] * len(seen.maps)
    for places in shapes.values():
        for i in range(0, len(places), batch):
            some = places[i : i + batch]
            vectors = experts(torch.stack([seen.maps[place] for place in some]).float())
            for place, vector in zip(some, vectors, strict=True):
                found[place] = vector
    return torch.stack(found)
