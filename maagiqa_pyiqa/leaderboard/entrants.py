"""Who takes part: a metric of pyiqa, a checkpoint of one, any network, or a column of scores that others computed."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import torch
from pyiqa.default_model_configs import DEFAULT_CONFIGS

from maagiqa_pyiqa.archs.maagiqa_arch import PACKAGED
from maagiqa_pyiqa.leaderboard.training_data import TrainingData, find_training_data, is_zero_shot
from maagiqa_pyiqa.metrics.creation import create_metric, create_network
from maagiqa_pyiqa.metrics.scoring import check_metric_names, is_lower_better
from maagiqa_pyiqa.register import METRICS
from maagiqa_pyiqa.support.devices import default_device
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import parse_options, reject_unknown

Kind: TypeAlias = Literal["metric", "checkpoint", "scores"]
DEFAULT_METRICS = (
    "maagiqa", "maagiqa-lite", "brisque", "niqe", "ilniqe", "piqe", "hyperiqa", "maniqa", "dbcnn", "musiq", "clipiqa",
    "clipiqa+", "one-align", "qrealign-mini",
)  # fmt: skip
# networks without published weights: no metrics of pyiqa's, but their checkpoints take part under these names
NETWORKS: MappingProxyType[str, Mapping[str, Any]] = MappingProxyType(
    {
        "timm-regressor": {
            "type": "TimmRegressor",
            "backbone": "tf_efficientnet_lite0",
            "input_size": 384,
            "interpolation": "cubic-antialias",
        }
    }
)
CSV_MARK = "csv:"
FORMS = "NAME, NAME=CHECKPOINT, LABEL=NAME=CHECKPOINT or LABEL=csv:FILE:COLUMN"


@dataclass(frozen=True, kw_only=True)
class ScoreSource:
    """Where scores come from.

    A metric or checkpoint has ``metric`` (a name of pyiqa) or ``network`` (``type`` and options of an architecture),
    ``options`` and perhaps a ``checkpoint``; scores that are there already have ``file`` and ``column``.
    """

    metric: str | None = None
    network: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: str | None = None
    file: str | None = None
    column: str | None = None

    @property
    def kind(self) -> Kind:
        """What is scored with."""
        if self.file is not None:
            return "scores"
        return "checkpoint" if self.checkpoint is not None else "metric"

    @property
    def origin(self) -> tuple[str | None, Mapping[str, Any]]:
        """Name of pyiqa's, if it has one, and options: what tells a metric from others beside its weights."""
        return self.metric, self.network or self.options

    @property
    def packaged(self) -> str | None:
        """Which weights inside the package the metric is published with; None for any others."""
        pretrained = METRICS.get(self.metric or "", {}).get("metric_opts", {}).get("pretrained")
        return pretrained if pretrained in PACKAGED else None

    def create(self, device: str | None = None) -> torch.nn.Module:
        """Create the metric or network in eval mode.

        Args:
            device: as in torch; by default CUDA where there is one.
        """
        place = torch.device(device or default_device())
        if self.network is not None:
            return create_network(self.network, self.checkpoint).to(place).eval()
        return create_metric(str(self.metric), place, self.options, self.checkpoint)


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """One row of the leaderboard before it is scored.

    ``name`` is what tables show, ``spec`` what the user wrote. ``problem`` says why it cannot take part at all;
    ``trained_on`` is what is known of that.
    """

    name: str
    spec: str
    source: ScoreSource
    lower_better: bool = False
    problem: str | None = None
    trained_on: TrainingData | None = None

    @property
    def kind(self) -> Kind:
        """What is scored with."""
        return self.source.kind

    @property
    def published(self) -> str | None:
        """Name of the metric of pyiqa's that it is, with published weights and no options; None of any other."""
        return self.source.metric if self.kind == "metric" and not self.source.options else None

    def is_zero_shot(self, dataset: str) -> bool | None:
        """Whether it is known to have been trained on nothing of a dataset; None where that is not known."""
        return is_zero_shot(dataset, self.published, self.trained_on)

    @property
    def score_range(self) -> str | None:
        """Lowest and highest score as pyiqa writes them, such as ``0, 100`` or ``~0, ~5``; None where nobody says."""
        written: str | None = DEFAULT_CONFIGS.get(self.source.metric or "", {}).get("score_range")
        return written


@dataclass(frozen=True, kw_only=True)
class EntrantOptions:
    """What an option YAML's mapping says beside the fields of ScoreSource."""

    name: str
    lower_better: bool | None = None
    trained_on: Mapping[str, Any] | None = None


def default_entrants() -> list[Entrant]:
    """DEFAULT_METRICS; one that this pyiqa does not have is an entrant with a problem."""
    return [_of_default(name) for name in DEFAULT_METRICS]


def _of_default(name: str) -> Entrant:
    try:
        return parse_entrant(name)
    except ValueError as error:
        return Entrant(name=name, spec=name, source=ScoreSource(metric=name), problem=str(error))


def parse_entrants(words: Sequence[str | Mapping[str, Any]]) -> list[Entrant]:
    """Parse entrants and check that each has a name of its own.

    Raises:
        ValueError: as ``parse_entrant``, or two of one name.
        FileNotFoundError: as ``parse_entrant``.
    """
    entrants = [parse_entrant(word) for word in words]
    names = [entrant.name for entrant in entrants]
    repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if repeated:
        raise InputError(f"metric '{repeated[0]}' takes part twice; give one of them a label, LABEL=NAME=CHECKPOINT.")
    return entrants


def with_semantics(entrants: Sequence[Entrant], spec: str | None) -> list[Entrant]:
    """The same entrants, where those that take ``semantics`` have them from ``spec``; None leaves all as they are.

    Raises:
        ValueError: none of them takes it.
    """
    if spec is None:
        return list(entrants)
    takers = [entrant for entrant in entrants if _takes_semantics(entrant.source)]
    if not takers:
        names = ", ".join(entrant.name for entrant in entrants)
        raise InputError(f"no semantic features go into {names}, so leave --semantics out, or score by maagiqa.")
    return [_of_semantics(entrant, spec) if entrant in takers else entrant for entrant in entrants]


def _takes_semantics(source: ScoreSource) -> bool:
    return source.metric is not None and "semantics" in DEFAULT_CONFIGS.get(source.metric, {}).get("metric_opts", {})


def _of_semantics(entrant: Entrant, spec: str) -> Entrant:
    source = dataclasses.replace(entrant.source, options={**entrant.source.options, "semantics": spec})
    return dataclasses.replace(entrant, source=source)


def parse_scorers(words: Sequence[str], semantics: str | None = None) -> dict[str, Entrant]:
    """Parse entrants that score images, by name: those of ``parse_entrants`` but for columns of scores.

    Args:
        words: as after ``-m``.
        semantics: where those that take semantic features have them from; by default each its own.

    Raises:
        ValueError: as ``parse_entrants`` and ``with_semantics``, or scores that are in a file already.
        FileNotFoundError: as ``parse_entrants``.
    """
    parsed = parse_entrants(list(dict.fromkeys(words)))
    entrants = {entrant.name: entrant for entrant in with_semantics(parsed, semantics)}
    given = [entrant for entrant in entrants.values() if entrant.kind == "scores"]
    if given:
        raise InputError(f"metric '{given[0].spec}': scores that are in a file already do not score images.")
    return entrants


def parse_entrant(word: str | Mapping[str, Any]) -> Entrant:
    """Parse what follows ``-m``, or a mapping of an option YAML.

    Args:
        word: NAME, NAME=CHECKPOINT, LABEL=NAME=CHECKPOINT or LABEL=csv:FILE:COLUMN, where -COLUMN says that lower is
            better; or a mapping with the fields of EntrantOptions and ScoreSource.

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
        return _checked(EntrantOptions(name=word), word, ScoreSource(metric=word))
    metric, _, checkpoint = rest.partition("=")
    if not checkpoint or os.path.exists(rest):
        metric, checkpoint, label = label, rest, word
    return _checked(EntrantOptions(name=label), word, ScoreSource(metric=metric, checkpoint=checkpoint))


def _from_csv(spec: str, label: str, source: str) -> Entrant:
    file, colon, column = source.rpartition(":")
    if not (label and colon and file and column):
        raise InputError(f"'{spec}' is not one of {FORMS}.")
    options = EntrantOptions(name=label, lower_better=column.startswith("-"))
    return _checked(options, spec, ScoreSource(file=file, column=column.removeprefix("-")))


def _from_mapping(mapping: Mapping[str, Any]) -> Entrant:
    where = f"participant '{mapping.get('name', '')}'"
    of_source = [field.name for field in fields(ScoreSource)]
    reject_unknown(where, mapping, [*of_source, *(field.name for field in fields(EntrantOptions))])
    rest = {key: value for key, value in mapping.items() if key not in of_source}
    options = parse_options(EntrantOptions, rest, where)
    source = parse_options(ScoreSource, {key: mapping[key] for key in of_source if key in mapping}, where)
    named = [key for key in ("metric", "network", "file") if getattr(source, key) is not None]
    if len(named) != 1 or (source.file is None) != (source.column is None):
        raise InputError(f"{where}: give either metric, or network, or file and column.")
    return _checked(options, options.name, source)


def _checked(options: EntrantOptions, spec: str, source: ScoreSource) -> Entrant:
    """An entrant whose metric and files are there, with what is known of its direction and training."""
    if source.metric in NETWORKS:
        source = _of_network(spec, source)
    elif source.metric is not None:
        check_metric_names([source.metric])
    for what, file in (("checkpoint", source.checkpoint), ("CSV", source.file)):
        if file is not None and not Path(file).expanduser().is_file():
            raise FileNotFoundError(f"metric '{spec}': {what} '{file}' does not exist.")
    lower_better = options.lower_better
    if lower_better is None:
        lower_better = source.metric is not None and is_lower_better(source.metric)
    return Entrant(
        name=options.name,
        spec=spec,
        source=source,
        lower_better=lower_better,
        trained_on=_training_data(options, source),
    )


def _of_network(spec: str, source: ScoreSource) -> ScoreSource:
    name = str(source.metric)
    if source.checkpoint is None:
        raise InputError(
            f"metric '{spec}': nobody publishes weights of {name}; train it (maagiqa train -opt "
            f"peer_timm_regressor_3k) and name its checkpoint, LABEL={name}=CHECKPOINT."
        )
    return dataclasses.replace(source, metric=None, network={**NETWORKS[name], **source.options}, options={})


def _training_data(options: EntrantOptions, source: ScoreSource) -> TrainingData | None:
    """What a mapping says of it, or what is known without."""
    if options.trained_on is not None:
        return parse_options(TrainingData, options.trained_on, f"participant '{options.name}': trained_on")
    return find_training_data(source.metric, source.checkpoint or source.file)
