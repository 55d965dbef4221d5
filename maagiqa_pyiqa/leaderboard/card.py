"""What is known of a metric, in one place for people and programs; what is not known is None."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal

import torch

from maagiqa_pyiqa.leaderboard.entrants import Entrant, parse_entrant
from maagiqa_pyiqa.leaderboard.training_data import rated_data_of
from maagiqa_pyiqa.metrics.explanation import weights_fingerprint
from maagiqa_pyiqa.metrics.measurement import Measurement, measure
from maagiqa_pyiqa.metrics.scales import Scale, scale_of
from maagiqa_pyiqa.register import METRICS
from maagiqa_pyiqa.support.devices import default_device
from maagiqa_pyiqa.support.errors import InputError

CODE_LICENCES = ("Apache-2.0", "PolyForm-Noncommercial-1.0.0")  # of this package; of pyiqa, as its own metadata says


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is known of a metric with its published weights.

    Attributes:
        name: of pyiqa's.
        direction: which scores are better.
        scale: lowest and highest score as pyiqa writes them, such as ``0, 100`` or ``~0, ~5``.
        observed: where scores of the pictures of AGIQA-3k lie, see ``metrics.scales``.
        input_sizes: which images it takes, in words.
        deterministic: whether the same image gets the same score to the bit.
        batch_invariant: whether scores do not depend on what else is in the batch.
        differentiable: whether gradients reach the pixels.
        licence_of_code: SPDX.
        licence_of_weights: SPDX.
        training_data: datasets on whose ratings it was trained, empty for none; see ``is_zero_shot``.
        weights_sha256: of the weights file inside the package.
        measurement: what was found on this machine, None where it was not asked for.
    """

    name: str
    direction: Literal["higher", "lower"]
    scale: str | None
    observed: Scale | None
    input_sizes: str | None
    deterministic: bool | None
    batch_invariant: bool | None
    differentiable: bool | None
    licence_of_code: str
    licence_of_weights: str | None
    training_data: tuple[str, ...] | None
    weights_sha256: str | None
    measurement: Measurement | None = None

    def is_zero_shot(self, dataset: str) -> bool | None:
        """Whether no rating of a dataset (such as ``agiqa-3k``) was trained on; None where that is not known."""
        return None if self.training_data is None else dataset not in self.training_data

    def as_record(self) -> dict[str, Any]:
        """As JSON has it."""
        record: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return record


def card(name: str, *, measure_it: bool = False, device: str | torch.device | None = None) -> Card:
    """Tell what is known of a metric of pyiqa.

    Args:
        name: of a no-reference metric, with its published weights.
        measure_it: make the metric and score a few images to find speed, memory and the like on this machine.
        device: where to measure, as in torch; by default CUDA where there is one.

    Raises:
        ValueError: pyiqa has no such metric (nearest named), it is no no-reference metric, or a checkpoint is named.
        Exception: measuring raises what the metric does where it cannot run here.

    Examples:
        >>> import maagiqa_pyiqa
        >>> known = maagiqa_pyiqa.card("maagiqa-lite")
        >>> known.direction, known.training_data, known.is_zero_shot("agiqa-3k")
        ('higher', ('agiqa-3k',), False)
        >>> maagiqa_pyiqa.card("musiq").is_zero_shot("agiqa-3k")
        True
    """
    entrant = parse_entrant(name)
    if entrant.published is None:
        raise InputError(f"a card is of a metric with its published weights, such as maagiqa-lite, not of '{name}'.")
    packaged = entrant.source.packaged
    fact = True if packaged else None  # under test
    return Card(
        name=name,
        direction="lower" if entrant.lower_better else "higher",
        scale=entrant.score_range,
        observed=scale_of(name),
        input_sizes="any, larger ones as a whole and as tiles" if name == "maagiqa-lite" else None,
        deterministic=fact,
        batch_invariant=fact,
        differentiable=fact,
        licence_of_code=CODE_LICENCES[0] if name in METRICS else CODE_LICENCES[1],
        licence_of_weights="Apache-2.0" if packaged else None,
        training_data=rated_data_of(name),
        weights_sha256=weights_fingerprint(packaged) if packaged else None,
        measurement=_measure(entrant, str(device or default_device())) if measure_it else None,
    )


def _measure(entrant: Entrant, device: str) -> Measurement:
    return measure(entrant.name, entrant.source.create(device), device)
