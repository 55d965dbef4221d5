"""Weights that ship inside the package; the card beside them says what they are and where they come from."""

from __future__ import annotations

from pathlib import Path


def packaged_weights(name: str) -> Path:
    """Path of a weights file that ships inside the package: ``lite``, ``lite-2026a`` or ``visual_encoder``."""
    return Path(__file__).with_name(f"{name}.safetensors")


def packaged_graph(backbone: str) -> Path:
    """Path at which the package keeps the ONNX graph of a timm model's structure, whether there is one or not."""
    return Path(__file__).with_name(f"{backbone}.onnx")


def packaged_scores(name: str) -> Path:
    """Path at which the package keeps the distribution of a network's scores, whether it is known or not."""
    return Path(__file__).with_name(f"{name}_scores.json")


def packaged_training_features(name: str) -> Path:
    """Path at which the package keeps where features of a network's training images lie, whether it is known or not."""
    return Path(__file__).with_name(f"{name}_features.safetensors")


def packaged_scales() -> Path:
    """Path at which the package keeps where scores of metrics lie on AGIQA-3k."""
    return Path(__file__).with_name("scales.json")
