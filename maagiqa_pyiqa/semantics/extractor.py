"""The table of semantic extractors, and how one is made from the spec in an option file or on a command line.

Command lines list the table in their ``--help``, so importing this module loads neither torch nor any extractor.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import nearest, require_choice

if TYPE_CHECKING:
    import torch

    from maagiqa_pyiqa.semantics.protocol import DescribingExtractor, SemanticExtractor


class ExtractorClass(Protocol):
    """What the class of a backend offers; ``source`` is what follows the colon of a spec, left out where nothing does.

    The class methods load no weights; their errors are those of making an extractor.
    """

    def __call__(self, *source: str, device: torch.device | str | None, dtype: str, **options: Any) -> Any:
        """Make an extractor; one that describes also takes ``words=True``, asking it to keep what that needs."""

    def feature_dim_of(self, *source: str) -> int:
        """D of an extractor made from ``source``."""

    def fingerprint_of_source(self, *source: str) -> str:
        """Hash that differs wherever extractors made from other sources may give other features."""


@dataclass(frozen=True)
class Backend:
    """A kind of semantic extractor.

    Attributes:
        name: what its specs begin with.
        target: its class, ``module:Class``.
        source: whether a colon and a source follow the name.
        source_words: what a source is, for lists and help.
        runs_model: it computes features, so there is something to extract; False where it looks them up.
        describes: it can answer its prompts in words.
    """

    name: str
    target: str
    source: Literal["none", "optional", "required"]
    source_words: str = "DIR_OR_HUB_ID"
    runs_model: bool = True
    describes: bool = False

    @property
    def specs(self) -> tuple[str, ...]:
        """How its specs are written."""
        bare, with_source = self.name, f"{self.name}:{self.source_words}"
        return {"none": (bare,), "optional": (bare, with_source), "required": (with_source,)}[self.source]

    def load_class(self) -> ExtractorClass:
        """Import its class, so that nobody pays for an extractor that was not asked for."""
        module, _, name = self.target.partition(":")
        return cast(ExtractorClass, getattr(importlib.import_module(module), name))


HERE = "maagiqa_pyiqa.semantics"
ROWS = (
    Backend("mplug-owl2", f"{HERE}.mplug_owl2.extractor:MplugOwl2Extractor", "optional", describes=True),
    Backend("transformers", f"{HERE}.transformers_lmm:TransformersExtractor", "required", describes=True),
    Backend("answers", f"{HERE}.answers.extractor:AnswersExtractor", "required", "DIR", describes=True),
    Backend("cache", f"{HERE}.cached:CachedExtractor", "required", "DIR", runs_model=False),
    Backend("visual", f"{HERE}.visual:VisualExtractor", "none"),
)
BACKENDS: Mapping[str, Backend] = MappingProxyType({row.name: row for row in ROWS})


def list_specs(*, describing: bool = False, running_model: bool = False) -> str:
    """Specs of all backends, or of those that can describe or run a model, for help and error messages."""
    rows = (row for row in BACKENDS.values() if row.describes >= describing and row.runs_model >= running_model)
    return ", ".join(spec for row in rows for spec in row.specs)


def create_extractor(
    spec: str, device: torch.device | str | None = None, dtype: str = "auto", **options: Any
) -> SemanticExtractor:
    """Make the extractor that a spec names.

    Args:
        spec: ``mplug-owl2`` (the published model, fetched on first use), ``mplug-owl2:DIR_OR_HUB_ID``,
            ``transformers:DIR_OR_HUB_ID`` (any image-text model of transformers), ``answers:DIR`` (what a model behind
            an endpoint answered before), ``cache:DIR`` (features extracted before) or ``visual`` (small, inside the
            package).
        device: where it runs; the CPU by default.
        dtype: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        **options: keyword arguments of the extractor's class, such as ``batch_size`` or ``quantization``.

    Raises:
        ValueError: no extractor of that name; names the nearest.
        FileNotFoundError: the directory does not exist, or a file of the model is absent.
        ConnectionError: the hub cannot be reached; says how to point at a local directory.
    """
    from maagiqa_pyiqa.semantics.protocol import DTYPES, SemanticExtractor

    require_choice("create_extractor", "dtype", dtype, DTYPES)
    backend, source = parse_spec(spec)
    return cast(SemanticExtractor, backend.load_class()(*source, device=device, dtype=dtype, **options))


def create_describer(
    spec: str, device: torch.device | str | None = None, dtype: str = "auto", **options: Any
) -> DescribingExtractor:
    """Make an extractor that answers its prompts in words; as ``create_extractor``.

    Raises:
        ValueError: also where the extractor has no words; lists those that do.
    """
    backend, _ = parse_spec(spec)
    if not backend.describes:
        raise InputError(f"the extractor '{backend.name}' has no words; use one of: {list_specs(describing=True)}.")
    return cast("DescribingExtractor", create_extractor(spec, device, dtype, words=True, **options))


def parse_spec(spec: str) -> tuple[Backend, tuple[str, ...]]:
    """Split a spec into its backend and, where it has one, the source.

    Raises:
        ValueError: it names no backend, lacks the source it needs or has one that its backend does not take.
    """
    name, _, source = spec.partition(":")
    if name not in BACKENDS:
        raise InputError(f"there is no semantic extractor '{name}'.{nearest(name, BACKENDS)} Known: {list_specs()}.")
    backend = BACKENDS[name]
    if backend.source == ("none" if source else "required"):
        raise InputError(f"semantic extractor '{spec}' is not one of: {list_specs()}.")
    return backend, (source,) if source else ()


def feature_dim_of(spec: str) -> int:
    """D of the extractor that a spec names, without loading any weights; errors as ``create_extractor``."""
    backend, source = parse_spec(spec)
    return backend.load_class().feature_dim_of(*source)


def extractor_fingerprint(spec: str) -> str:
    """Hash that changes whenever the extractor that a spec names may give other features; no large model is loaded.

    Of a large model it covers the names, sizes and modification times of its files.
    """
    backend, source = parse_spec(spec)
    return backend.load_class().fingerprint_of_source(*source)
