"""What a training leaves in its folder ``experiments/NAME``, each file whole or not at all."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import torch

from maagiqa_pyiqa.archs import trained_features
from maagiqa_pyiqa.archs.maagiqa_arch import MAAGIQA
from maagiqa_pyiqa.archs.trained_features import TrainedFeatures
from maagiqa_pyiqa.cache.reader import read_manifest
from maagiqa_pyiqa.cache.storage import open_storage
from maagiqa_pyiqa.models import RESOLVED_OPTIONS
from maagiqa_pyiqa.models.history import History, draw_history
from maagiqa_pyiqa.support.csv_files import frame_as_csv
from maagiqa_pyiqa.support.files import write_whole, written_whole

HISTORY_CSV, HISTORY_PNG = "history.csv", "history.png"
PICTURE_SECONDS = 30.0


class Experiment:
    """The files of a run; only its first process writes them.

    Args:
        opt: options of the run, with the paths that pyiqa's engine adds.

    Raises:
        OSError: by every method, where the disk is full or the folder cannot be written to.
    """

    def __init__(self, opt: Mapping[str, Any]) -> None:
        self.opt = opt
        self._drawn = time.monotonic()

    @property
    def folder(self) -> Path:
        """``experiments/NAME``."""
        return Path(self.opt["path"]["experiments_root"])

    def keep_options(self, resolved: str) -> None:
        """Write down what really runs; a copy of the option file lacks what the command line changed."""
        write_whole(self.folder / RESOLVED_OPTIONS, f"{resolved}\n")

    def keep_history(self, history: History, last: bool = False) -> None:
        """Write the course of the run so far; the picture, which takes longer, every half minute and at the last."""
        table = history.table()
        write_whole(self.folder / HISTORY_CSV, frame_as_csv(table))
        if last or time.monotonic() - self._drawn > PICTURE_SECONDS:
            write_whole(self.folder / HISTORY_PNG, draw_history(table, self.opt["name"]))
            self._drawn = time.monotonic()

    def keep_test(
        self, names: Sequence[str], scores: np.ndarray, mos: np.ndarray, figures: Mapping[str, float]
    ) -> None:
        """Write ``test_scores.csv`` (name, mos, score) and ``test_figures.json``."""
        rows = pandas.DataFrame({"name": names, "mos": mos, "score": scores})
        write_whole(self.folder / "test_scores.csv", frame_as_csv(rows))
        write_whole(self.folder / "test_figures.json", json.dumps(figures, indent=1) + "\n")

    def save_weights(self, name: str, key: str, net: torch.nn.Module) -> None:
        """Write ``{key: state dict}`` and whose features the network learns from."""
        content: dict[str, Any] = {key: on_cpu(net)}
        features = self._trained_features(net)
        if features is not None:
            content[trained_features.KEY] = asdict(features)
        with written_whole(Path(self.opt["path"]["models"]) / name) as aside:
            torch.save(content, aside)

    def _trained_features(self, net: torch.nn.Module) -> TrainedFeatures | None:
        """Those of a feature cache, or of the network's own extractor."""
        location = self.opt["datasets"].get("train", {}).get("cache")
        if location is not None:
            manifest = read_manifest(open_storage(location))
            return TrainedFeatures(manifest.fingerprint, str(manifest.parts.get("extractor", "unknown")))
        extractor = net.semantics.built if isinstance(net, MAAGIQA) else None
        return None if extractor is None else TrainedFeatures.of(extractor)


def on_cpu(net: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A network's state dict as it is now, for a file."""
    return {name: tensor.cpu() for name, tensor in net.state_dict().items()}
