"""Who takes part: a metric of pyiqa, a checkpoint of one, any network, or a column of scores somebody else computed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import torch

from maagiqa_pyiqa.leaderboard.training_data import TrainingData, find_training_data
from maagiqa_pyiqa.metrics.scoring import check_metric_names, is_lower_better
from maagiqa_pyiqa.support.devices import default_device
from maagiqa_pyiqa.support.options import parse_options

DEFAULT_METRICS = (
    "maagiqa", "maagiqa-lite", "brisque", "niqe", "ilniqe", "piqe", "hyperiqa", "maniqa", "dbcnn", "musiq", "clipiqa",
    "clipiqa+", "one-align", "qrealign-mini",
)  # fmt: skip
CSV_MARK = "csv:"
FORMS = "NAME, NAME=CHECKPOINT, LABEL=NAME=CHECKPOINT or LABEL=csv:FILE:COLUMN"


@dataclass(frozen=True, kw_only=True)
class ScoreSource:
    """Where scores come from, and ``name``, what tables show.

    A metric or checkpoint has ``metric`` (a name of pyiqa) or ``network`` (``type`` and options of an architecture),
    ``options`` and perhaps a ``checkpoint``; scores that are there already have ``file`` and ``column``.
    """

    name: str
    metric: str | None = None
    network: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: str | None = None
    file: str | None = None
    column: str | None = None


@dataclass(frozen=True, kw_only=True)
class Participant(ScoreSource):
    """One row of the leaderboard.

    ``spec`` is what the user wrote. ``problem`` says why it cannot take part at all; ``trained_on`` is what is known of
    that.
    """

    spec: str
    kind: Literal["metric", "checkpoint", "scores"]
    lower_better: bool = False
    problem: str | None = None
    trained_on: TrainingData | None = None

    def create(self, device: str | None = None) -> torch.nn.Module:
        """Create the metric or network in eval mode.

        Args:
            device: as in torch; by default CUDA where there is one.
        """
        place = torch.device(device or default_device())
        if self.network is not None:
            return self._create_network().to(place).eval()
        import pyiqa

        weights = {"pretrained_model_path": self.checkpoint} if self.checkpoint else {}
        return pyiqa.create_metric(self.metric, device=place, **self.options, **weights)

    def _create_network(self) -> torch.nn.Module:
        from pyiqa.archs import build_network

        from maagiqa_pyiqa.archs.checkpoint import read_state_dict

        net = build_network({**self.network})  # type: ignore[dict-item]
        if self.checkpoint:
            net.load_state_dict(read_state_dict(self.checkpoint))
        return net


@dataclass(frozen=True, kw_only=True)
class ParticipantOptions(ScoreSource):
    """A participant as a mapping in an option YAML: ``metric`` or ``network``, or ``file`` and ``column``."""

    lower_better: bool | None = None
    trained_on: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        given = [key for key in ("metric", "network", "file") if getattr(self, key) is not None]
        if len(given) != 1 or (self.file is None) != (self.column is None):
            raise ValueError(f"participant '{self.name}': give either metric, or network, or file and column.")


def default_participants() -> list[Participant]:
    """DEFAULT_METRICS; one that this pyiqa does not have is a participant with a problem."""
    return [_of_default(name) for name in DEFAULT_METRICS]


def _of_default(name: str) -> Participant:
    try:
        return parse_participant(name)
    except ValueError as error:
        return Participant(name=name, spec=name, kind="metric", metric=name, problem=str(error))


def parse_participants(words: Sequence[str | Mapping[str, Any]]) -> list[Participant]:
    """Parse participants and check that each has a name of its own.

    Raises:
        ValueError: as ``parse_participant``, or two of one name.
        FileNotFoundError: as ``parse_participant``.
    """
    participants = [parse_participant(word) for word in words]
    names = [participant.name for participant in participants]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise ValueError(f"metric '{twice[0]}' takes part twice; give one of them a label, LABEL=NAME=CHECKPOINT.")
    return participants


def parse_participant(word: str | Mapping[str, Any]) -> Participant:
    """Parse what follows ``-m``, or a mapping of an option YAML.

    Args:
        word: NAME, NAME=CHECKPOINT, LABEL=NAME=CHECKPOINT or LABEL=csv:FILE:COLUMN, where -COLUMN says that lower is
            better; or a mapping with the fields of ParticipantOptions.

    Raises:
        ValueError: an unknown metric (nearest named) or none of these forms.
        FileNotFoundError: no such checkpoint or CSV.
    """
    if not isinstance(word, str):
        return _from_mapping(word)
    label, _, rest = word.partition("=")
    if rest.startswith(CSV_MARK):
        return _from_csv(word, label, rest.removeprefix(CSV_MARK))
    if not rest:
        check_metric_names([word])
        return Participant(
            name=word,
            spec=word,
            kind="metric",
            metric=word,
            lower_better=is_lower_better(word),
            trained_on=find_training_data(word, None),
        )
    metric, _, checkpoint = rest.partition("=")
    if not checkpoint or os.path.exists(rest):
        metric, checkpoint, label = label, rest, word
    return _of_checkpoint(word, label, metric, checkpoint)


def _of_checkpoint(spec: str, name: str, metric: str, checkpoint: str) -> Participant:
    check_metric_names([metric])
    _require_file(spec, "checkpoint", checkpoint)
    return Participant(
        name=name,
        spec=spec,
        kind="checkpoint",
        metric=metric,
        checkpoint=checkpoint,
        lower_better=is_lower_better(metric),
        trained_on=find_training_data(metric, checkpoint),
    )


def _from_csv(spec: str, label: str, source: str) -> Participant:
    file, colon, column = source.rpartition(":")
    if not (label and colon and file and column):
        raise ValueError(f"'{spec}' is not one of {FORMS}.")
    _require_file(spec, "CSV", file)
    return Participant(
        name=label,
        spec=spec,
        kind="scores",
        file=file,
        column=column.removeprefix("-"),
        lower_better=column.startswith("-"),
        trained_on=find_training_data(None, file),
    )


def _from_mapping(given: Mapping[str, Any]) -> Participant:
    where = f"participant '{given.get('name', '')}'"
    options = parse_options(ParticipantOptions, given, where)
    if options.metric is not None:
        check_metric_names([options.metric])
    for what, file in (("checkpoint", options.checkpoint), ("CSV", options.file)):
        if file is not None:
            _require_file(options.name, what, file)
    lower_better = options.lower_better
    if lower_better is None:
        lower_better = options.metric is not None and is_lower_better(options.metric)
    kind: Literal["metric", "checkpoint", "scores"] = "checkpoint" if options.checkpoint else "metric"
    return Participant(
        **{shared.name: getattr(options, shared.name) for shared in fields(ScoreSource)},
        spec=options.name,
        kind="scores" if options.file else kind,
        lower_better=lower_better,
        trained_on=_training_data(options),
    )


def _training_data(options: ParticipantOptions) -> TrainingData | None:
    """What a mapping says of it, or what is known without."""
    if options.trained_on is not None:
        return parse_options(TrainingData, options.trained_on, f"participant '{options.name}': trained_on")
    return find_training_data(options.metric, options.checkpoint or options.file)


def _require_file(spec: str, what: str, path: str) -> None:
    if not Path(path).expanduser().is_file():
        raise FileNotFoundError(f"metric '{spec}': {what} '{path}' does not exist.")
