"""What defines an MA-AGIQA network: its options, and the presets that name sets of them."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from maagiqa_pyiqa.archs.native_branch import NativeBranchOptions
from maagiqa_pyiqa.archs.native_experts import EXPERTS
from maagiqa_pyiqa.images.tensors import INTERPOLATIONS
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import require_choice, require_integer

# `official` is what produced the published numbers, `paper` what the text describes, `lite` the embedded default, and
# `lite-2026a` the embedded default until version 0.3, kept so that its numbers can be repeated.
PRESETS: MappingProxyType[str, dict[str, Any]] = MappingProxyType(
    {
        "official": {},
        "paper": {"gate_activation": "sigmoid"},
        "lite-2026a": {
            "backbone": "tf_efficientnet_lite0",
            "taps": (2, 3, 4),
            "input_size": 384,
            "interpolation": "cubic-antialias",
            "embed_dim": 128,
            "num_tab": 0,
            "depths": (1,),
            "num_heads": (4,),
            "dim_mlp": 128,
            "scale": 0.13,
            "score_bias": 1.0,
            "feature_dim": 1280,
        },
        "lite": {
            "branch": "native",
            "backbone": "tf_efficientnet_lite0",
            "taps": (0, 1, 2, 3, 4),
            "glance_backbone": "tf_efficientnet_lite2",
            "drop": 0.2,
            "num_prompts": 0,
            "fusion": "concat",
        },
    }
)
BRANCHES = ("maniqa", "native")
COUNTS = (
    "input_size", "embed_dim", "window_size", "dim_mlp", "feature_dim", "hidden_dim", "max_pixels", "quality_dim",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class MAAGIQAOptions(NativeBranchOptions):
    """What defines the network, with what defines its quality branch; the defaults are preset ``official``.

    ``branch`` is ``maniqa``, the paper's, on images squashed to ``input_size``, or ``native``, on images as they are.

    With ``semantic_experts`` the native branch makes the semantic features itself, one vector of ``feature_dim`` for
    each of its experts, and no extractor is needed.

    Every row of the paper's Tables 3, 4 and 5 is a configuration: ``use_quality`` False leaves MANIQA out,
    ``num_prompts`` 0 to 2 the semantic features, ``fusion`` is ``moe``, ``concat``, or ``none`` for MANIQA's rating.
    """

    branch: str = "maniqa"
    interpolation: str = "cubic"
    use_quality: bool = True
    num_prompts: int = 2
    hidden_dim: int = 784  # only read without the quality branch; with it, the length of its feature
    fusion: str = "moe"
    gate_activation: str = "none"

    def __post_init__(self) -> None:
        require_choice("MAAGIQA", "branch", self.branch, BRANCHES)
        require_choice("MAAGIQA", "interpolation", self.interpolation, INTERPOLATIONS)
        require_choice("MAAGIQA", "fusion", self.fusion, ("moe", "concat", "none"))
        require_choice("MAAGIQA", "gate_activation", self.gate_activation, ("none", "sigmoid"))
        for name in COUNTS:
            require_integer("MAAGIQA", name, getattr(self, name), minimum=1)
        for name in ("num_tab", "num_prompts"):
            require_integer("MAAGIQA", name, getattr(self, name), minimum=0)
        native = self.branch == "native" and self.use_quality
        if self.semantic_experts and not (native and self.num_prompts == len(EXPERTS)):
            raise InputError(
                f"MAAGIQA: semantic_experts are part of the native branch and give {len(EXPERTS)} vectors an image; "
                f"they need branch 'native', use_quality True and num_prompts {len(EXPERTS)}."
            )
        if not self.taps:
            raise InputError("MAAGIQA: taps is empty; name at least one intermediate output of the backbone.")
        if self.num_prompts == 0 and not self.use_quality:
            raise InputError("MAAGIQA: nothing to score from: num_prompts is 0 and use_quality is False.")
        if self.fusion == "none" and (self.num_prompts or not self.use_quality or self.branch != "maniqa"):
            raise InputError(
                "MAAGIQA: fusion 'none' is MANIQA's own rating; it needs num_prompts 0, use_quality True and branch "
                "'maniqa'."
            )
