"""What defines an mPLUG-Owl2 network, from the checkpoint's ``config.json``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from maagiqa_pyiqa.support.errors import InputError

ConfigType = TypeVar("ConfigType")


@dataclass(frozen=True)
class VisionConfig:
    """CLIP-like ViT; the published one is ViT-L/14 at 448 pixels."""

    hidden_size: int
    image_size: int
    patch_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    layer_norm_eps: float


@dataclass(frozen=True)
class AbstractorConfig:
    """Learned queries that sum an image up in a few vectors."""

    hidden_size: int
    encoder_hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    layer_norm_eps: float
    grid_size: int
    num_learnable_queries: int


@dataclass(frozen=True)
class MplugOwl2Config:
    """What defines the network, from the checkpoint's ``config.json``."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    rms_norm_eps: float
    vision: VisionConfig
    abstractor: AbstractorConfig
    rope_theta: float = 10000.0

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> MplugOwl2Config:
        """Read a published ``config.json``.

        Raises:
            ValueError: another kind of model, or a variant that the published ones do not use.
        """
        if raw.get("model_type") != "mplug_owl2":
            raise InputError(f"config.json describes a '{raw.get('model_type')}' model; expected 'mplug_owl2'.")
        fixed = {"hidden_act": "silu", "rope_scaling": None, "num_key_value_heads": raw["num_attention_heads"]}
        for name, value in fixed.items():
            if raw.get(name, value) != value:
                raise InputError(f"config.json: {name} {raw[name]!r} is not supported, only {value!r}.")
        parts = raw["visual_config"]
        vision = _pick(VisionConfig, parts["visual_model"])
        return _pick(cls, {**raw, "vision": vision, "abstractor": _pick(AbstractorConfig, parts["visual_abstractor"])})

    @property
    def image_tokens(self) -> int:
        """Vectors that stand for an image in the decoder: the queries and an end token."""
        return self.abstractor.num_learnable_queries + 1


def _pick(cls: type[ConfigType], raw: Mapping[str, Any]) -> ConfigType:
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    return cls(**{name: raw[name] for name in names if name in raw})
