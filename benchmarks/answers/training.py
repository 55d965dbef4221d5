"""Training of one row of the ablation: the package's fusion on frozen inputs, until validation says it is enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.ablation import Row
from benchmarks.answers.experts import COMPONENTS, Inputs
from maagiqa_pyiqa.agreement.statistics import calculate_srcc_plcc
from maagiqa_pyiqa.archs.fusion import AdaptiveFusion

HIDDEN, DROP = 64, 0.3
EPOCHS, PATIENCE, BATCH, RATE, DECAY = 60, 10, 256, 3e-3, 2e-2


class Head(nn.Module):
    """Quality head and adaptive fusion, as in preset ``lite``."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        self.row = row
        layers = [nn.Dropout(DROP), nn.Linear(COMPONENTS, HIDDEN), nn.GELU(), nn.Dropout(DROP)]
        self.quality = nn.Sequential(*layers) if row.use_quality else None
        self.fusion = AdaptiveFusion(
            num_prompts=len(row.prompts),
            feature_dim=COMPONENTS,
            hidden_dim=HIDDEN,
            use_quality=row.use_quality,
            mixture=row.fusion == "moe",
            gate_activation="none",
            drop=DROP,
        )

    def forward(self, inputs: Inputs) -> torch.Tensor:
        """Scores (N,), on the standardised scale of the ratings."""
        semantic_features = F.dropout(inputs.semantic_features[:, list(self.row.prompts)], DROP, self.training)
        quality = inputs.quality if self.quality is None else self.quality(inputs.quality)
        scores: torch.Tensor = self.fusion(quality, semantic_features).score.squeeze(1)
        return scores


def train(row: Row, inputs: Inputs, mos: np.ndarray, parts: Mapping[str, Sequence[int]], seed: int) -> np.ndarray:
    """Scores of the test part (N,) at the epoch with the best SRCC + PLCC on the validation part."""
    torch.manual_seed(seed)
    net = Head(row)
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    known = torch.as_tensor(mos[parts["train"]], dtype=torch.float32)
    targets = (known - known.mean()) / known.std()
    train, val, test = (_only(inputs, parts[part]) for part in ("train", "val", "test"))
    best, best_epoch, scores = -np.inf, 0, np.zeros(len(parts["test"]))
    for epoch in range(EPOCHS):
        _one_epoch(net, optimizer, train, targets)
        with torch.no_grad():
            net.eval()
            figure = calculate_srcc_plcc(net(val).numpy(), mos[parts["val"]])
            if figure > best:
                best, best_epoch, scores = figure, epoch, net(test).numpy()
        if epoch - best_epoch >= PATIENCE:
            break
    return scores


def _only(inputs: Inputs, rows: Sequence[int] | torch.Tensor) -> Inputs:
    return Inputs(*(values[rows] for values in inputs))


def _one_epoch(net: Head, optimizer: torch.optim.Optimizer, inputs: Inputs, targets: torch.Tensor) -> None:
    net.train()
    for some in torch.randperm(len(targets)).split(BATCH):
        loss = F.mse_loss(net(_only(inputs, some)), targets[some])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
