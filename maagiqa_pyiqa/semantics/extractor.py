"""How a semantic extractor is made from a word in an option file."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import torch

from maagiqa_pyiqa.semantics.protocol import DTYPES, SemanticExtractor
from maagiqa_pyiqa.support.options import nearest, require_choice


def create_extractor(
    spec: str, device: torch.device | str | None = None, dtype: str = "auto", **options: Any
) -> SemanticExtractor:
    """Make the extractor that a spec names.

    Args:
        spec: ``mplug-owl2`` (the published model, fetched on first use), ``mplug-owl2:DIR_OR_HUB_ID``,
            ``transformers:DIR_OR_HUB_ID`` (any image-text model of transformers), ``cache:DIR`` (features extracted
            before) or ``visual`` (small, inside the package).
        device: where it runs; the CPU by default.
        dtype: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        **options: keyword arguments of the extractor's class, such as ``batch_size`` or ``quantization``.

    Raises:
        ValueError: no extractor of that name; names the nearest.
        FileNotFoundError: the directory does not exist, or a file of the model is absent.
        ConnectionError: the hub cannot be reached; says how to point at a local directory.
    """
    require_choice("create_extractor", "dtype", dtype, DTYPES)
    name, _, source = spec.partition(":")
    require_spec(spec)
    return FACTORIES[name](source, device=device, dtype=dtype, **options)


def require_spec(spec: str) -> None:
    """Raise ValueError unless ``spec`` names an extractor and has the source it needs."""
    name, _, source = spec.partition(":")
    known = "mplug-owl2, mplug-owl2:DIR_OR_HUB_ID, transformers:DIR_OR_HUB_ID, cache:DIR, visual"
    if name not in FACTORIES:
        raise ValueError(f"there is no semantic extractor '{name}'.{nearest(name, FACTORIES)} Known: {known}.")
    if name != "mplug-owl2" and (name == "visual") == bool(source):
        raise ValueError(f"semantic extractor '{spec}' is not one of: {known}.")


def feature_dim_of(spec: str) -> int:
    """D of the extractor that a spec names, without loading any weights.

    Raises:
        ValueError, FileNotFoundError, ConnectionError: as ``create_extractor``.
    """
    require_spec(spec)
    name, _, source = spec.partition(":")
    if name == "visual":
        return 1280
    if name == "cache":
        from maagiqa_pyiqa.cache.feature_cache import read_manifest

        return read_manifest(source).feature_dim
    if not source:
        return 4096  # of the published model
    from maagiqa_pyiqa.semantics.loading import read_config, resolve_model

    folder = resolve_model(source, f"semantics='{spec}'")
    if name == "mplug-owl2":
        return int(read_config(folder)["hidden_size"])
    from transformers import AutoConfig  # knows the widths that a config.json leaves out

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return int(config.get_text_config().hidden_size)


def _visual(source: str, **options: Any) -> SemanticExtractor:
    from maagiqa_pyiqa.semantics.visual import VisualExtractor

    return VisualExtractor(**options)


def _mplug_owl2(source: str, **options: Any) -> SemanticExtractor:
    from maagiqa_pyiqa.semantics.mplug_owl2.extractor import HUB_ID, MplugOwl2Extractor

    return MplugOwl2Extractor(source or HUB_ID, **options)


def _transformers(source: str, **options: Any) -> SemanticExtractor:
    from maagiqa_pyiqa.semantics.transformers_lmm import TransformersExtractor

    return TransformersExtractor(source, **options)


def _cache(source: str, **options: Any) -> SemanticExtractor:
    from maagiqa_pyiqa.semantics.cached import CachedExtractor

    return CachedExtractor(source, **options)


# a factory imports what it needs, so that nobody pays for an extractor not asked for
FACTORIES: MappingProxyType[str, Callable[..., SemanticExtractor]] = MappingProxyType(
    {"mplug-owl2": _mplug_owl2, "transformers": _transformers, "cache": _cache, "visual": _visual}
)
