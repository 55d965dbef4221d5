"""The authors' published state dict under our names."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from maagiqa_pyiqa.support.errors import InputError

# authors' name -> ours; all other names of the quality branch only gain a prefix
OFFICIAL_NAMES = {
    "vit.": "quality_branch.backbone.model.",
    "fc4096_784_a2.": "fusion.semantic_transforms.0.",
    "fc4096_784_b2.": "fusion.semantic_transforms.1.",
    "fc784_784.": "fusion.quality_transform.",
    "gating.": "fusion.gate.",
    "output_fc.": "fusion.regression.",
} | {name: f"quality_branch.{name}" for name in (
    "tablock1.", "tablock2.", "conv1.", "conv2.", "swintransformer1.", "swintransformer2.", "fc_score.", "fc_weight."
)}  # fmt: skip
# parameters of the authors' file that its forward pass never reads
OFFICIAL_UNUSED = re.compile(
    r"vit\.(blocks\.1[01]|norm|head)\.|swintransformer[12]\.downsample\.|fc39_784\.|encoder_layer\.|fc_output\."
    r"|fc4096_784_[ab]\.|quality\.|fc784x3_1\.|fc4096_1024_[ab]\."
)
COMPUTED_BUFFERS = ("relative_position_index", "attn_mask")


def convert_official(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the authors' state dict to ours and leave out the parameters it never reads.

    Raises:
        ValueError: a name that the authors' network does not have.
    """
    converted = {}
    for name, tensor in state_dict.items():
        if OFFICIAL_UNUSED.match(name) or name.endswith(COMPUTED_BUFFERS):
            continue
        prefix = next((prefix for prefix in OFFICIAL_NAMES if name.startswith(prefix)), None)
        if prefix is None:
            raise InputError(f"'{name}' is not part of the authors' network; is this another model's checkpoint?")
        converted[OFFICIAL_NAMES[prefix] + name.removeprefix(prefix)] = tensor
    return converted
