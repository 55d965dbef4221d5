"""MA-AGIQA: large Multi-modality model Assisted AI-Generated Image Quality Assessment (ACM MM 2024).

Paper: equations (1) to (4). Scores are on the training set's MOS scale (0 to 5 for AGIQA-3k), higher is better,
unbounded by construction and never clamped. What differs from the authors' code: parameters it never uses are
left out; the large model is not part of the network. What differs between paper and code is an option, see
``maagiqa_options.PRESETS``.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import nn

from maagiqa_pyiqa.archs.checkpoints.backbone import load_backbone_weights
from maagiqa_pyiqa.archs.checkpoints.fetch import fetch_official
from maagiqa_pyiqa.archs.checkpoints.read import load_checkpoint
from maagiqa_pyiqa.archs.fusion import AdaptiveFusion
from maagiqa_pyiqa.archs.maagiqa_options import PRESETS, MAAGIQAOptions
from maagiqa_pyiqa.archs.native_branch import NativeBranch, NativeQuality
from maagiqa_pyiqa.archs.quality_branch import PatchQuality, QualityBranch
from maagiqa_pyiqa.archs.trained_features import TrainedFeatures, read_trained_features
from maagiqa_pyiqa.images.tensors import check_images, squash
from maagiqa_pyiqa.support.errors import InputError, InputTypeError
from maagiqa_pyiqa.support.options import parse_options, require_choice
from maagiqa_pyiqa.weights import packaged_weights

if TYPE_CHECKING:
    from maagiqa_pyiqa.semantics.protocol import SemanticExtractor

PACKAGED = ("lite", "lite-2026a")  # weights inside the package, each of the preset of its name
PRETRAINED = ("agiqa-3k", *PACKAGED)
EXTRACTOR_OF_2026A = "visual"


class Details(NamedTuple):
    """What the network saw: ``score`` (N, 1), ``gate`` (N, E+1) with quality last, and ``quality_feature``.

    The feature is (N, patches), and of branch ``native`` (N, quality_dim).
    """

    score: torch.Tensor
    gate: torch.Tensor
    quality_feature: torch.Tensor


class LazyExtractor:
    """Builds the semantic extractor when a bare image has to be scored, once, and shares it among copies.

    Not a module: the large model is neither in ``state_dict()`` nor ``parameters()``, nor moved or copied with the
    network. A process-wide copy would cost 15 GB each time a metric is deep-copied.
    """

    def __init__(self, semantics: str | SemanticExtractor | None) -> None:
        self._semantics = semantics
        self._extractor = None if isinstance(semantics, str) else semantics
        self._lock = threading.Lock()

    def get(self, device: torch.device) -> SemanticExtractor:
        """Return the extractor, building it for ``device`` on the first call.

        Raises:
            ValueError: there is no extractor and none can be made.
        """
        with self._lock:
            if isinstance(self._semantics, str) and self._extractor is None:
                from maagiqa_pyiqa.semantics.extractor import create_extractor

                self._extractor = create_extractor(self._semantics, device=device)
            if self._extractor is None:
                raise InputError(
                    "semantic_features were not given and the network has no semantic extractor; pass "
                    "semantic_features (N, E, D), or create the metric with semantics=..."
                )
            return self._extractor

    @property
    def built(self) -> SemanticExtractor | None:
        """The extractor as far as it is there already."""
        return self._extractor

    def fingerprint(self) -> str | None:
        """Hash of what the features depend on, without loading a large model; None where there is no extractor."""
        if isinstance(self._semantics, str):
            from maagiqa_pyiqa.semantics.extractor import extractor_fingerprint

            return extractor_fingerprint(self._semantics)
        return None if self._semantics is None else self._semantics.fingerprint

    def __deepcopy__(self, memo: dict[int, Any]) -> LazyExtractor:
        return self

    def __reduce__(self) -> tuple[type[LazyExtractor], tuple[Any]]:
        return LazyExtractor, (self._semantics,)


class MAAGIQA(nn.Module):
    """MA-AGIQA no-reference metric for AI-generated images.

    Args:
        preset: ``official`` (authors' code), ``paper``, ``lite`` or ``lite-2026a``; other options are taken on top of
            it. By default that of packaged weights, or ``official``.
        pretrained: ``agiqa-3k`` (authors' weights, fetched on first use), ``lite`` or ``lite-2026a`` (inside the
            package) or None.
        pretrained_model_path: checkpoint to use instead: the authors' ``.pt``, pyiqa's ``.pth`` or ``.safetensors``.
        backbone_weights: where a backbone to be trained starts from: None (random), ``timm`` (timm's hub weights),
            ``package:NAME`` (weights inside an installed Python package) or a file.
        semantics: spec of the semantic extractor, an object with its protocol, or None. A network without trained
            weights takes its ``feature_dim`` from it.
        allow_other_features: take an extractor that the weights were not trained with, where they say which that was.
        rescale: (factor, shift) by which scores differ from those of the weights named above: where training on
            another MOS scale starts. A checkpoint of that training needs it no more.
        **options: fields of MAAGIQAOptions.

    Raises:
        ValueError: an unknown option (nearest match named), a value out of its range, or a foreign checkpoint.
    """

    def __init__(
        self,
        *,
        preset: str | None = None,
        pretrained: str | None = None,
        pretrained_model_path: str | Path | None = None,
        backbone_weights: str | None = None,
        semantics: str | SemanticExtractor | None = None,
        allow_other_features: bool = False,
        rescale: Sequence[float] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        require_choice("MAAGIQA", "pretrained", pretrained, (*PRETRAINED, None))
        preset = preset or (pretrained if pretrained in PACKAGED else "official")
        require_choice("MAAGIQA", "preset", preset, PRESETS)
        if semantics is None and pretrained == preset == "lite-2026a":
            semantics = EXTRACTOR_OF_2026A
        untrained = pretrained is None and pretrained_model_path is None
        if untrained and semantics is not None and "feature_dim" not in options:
            options["feature_dim"] = _feature_dim_of(semantics)
        self.options = parse_options(MAAGIQAOptions, {**PRESETS[preset], **options}, "MAAGIQA")
        if semantics is not None and (self.options.semantic_experts or preset == "lite"):
            raise InputError(
                "MAAGIQA: this network takes no semantic features of an extractor; leave semantics out, or name one "
                "that does, such as preset 'lite-2026a'."
            )
        self.semantics = LazyExtractor(semantics)
        self.quality_branch = self._build_branch() if self.options.use_quality else None
        self.fusion = self._build_fusion() if self.options.fusion != "none" else None
        self.allow_other_features = allow_other_features
        self.trained_features: TrainedFeatures | None = None
        if pretrained_model_path is not None:
            self._load(pretrained_model_path)
        elif pretrained is not None:
            self._load(packaged_weights(pretrained) if pretrained in PACKAGED else fetch_official())
        elif backbone_weights is not None and self.quality_branch is not None:
            load_backbone_weights(self.quality_branch.backbone.model, self.options.backbone, backbone_weights)
        if rescale is not None:
            self._rescale(rescale)

    def _rescale(self, rescale: Sequence[float]) -> None:
        if len(rescale) != 2 or not all(map(math.isfinite, rescale)) or rescale[0] == 0:
            raise InputError(f"MAAGIQA: rescale must be a factor that is not 0 and a shift, got {list(rescale)}.")
        if self.fusion is None:
            raise InputError("MAAGIQA: rescale changes the last layer of the fusion, and fusion 'none' has none.")
        self.fusion.rescale(*rescale)

    def _load(self, path: str | Path) -> None:
        load_checkpoint(self, path)
        self.trained_features = read_trained_features(path)

    def _build_branch(self) -> QualityBranch | NativeBranch:
        return NativeBranch(self.options) if self.options.branch == "native" else QualityBranch(self.options)

    def _build_fusion(self) -> AdaptiveFusion:
        options = self.options
        return AdaptiveFusion(
            num_prompts=options.num_prompts,
            feature_dim=options.feature_dim,
            hidden_dim=self.quality_branch.feature_size if self.quality_branch else options.hidden_dim,
            use_quality=options.use_quality,
            mixture=options.fusion == "moe",
            gate_activation=options.gate_activation,
            drop=options.drop,
        )

    @property
    def dtype(self) -> torch.dtype:
        """Of the parameters; images and features are brought to it."""
        return next(self.parameters()).dtype

    def forward(
        self, x: torch.Tensor, semantic_features: torch.Tensor | None = None, return_details: bool = False
    ) -> torch.Tensor | Details:
        """Score images.

        Gradients reach the image through the quality branch and its semantic experts; features of a semantic
        extractor are constants.

        Args:
            x: (N, 3, H, W) RGB in [0, 1].
            semantic_features: (N, E, D); without them those of the quality branch's semantic experts, or of the
                semantic extractor, are taken.
            return_details: return Details instead of the score alone.

        Returns:
            Scores (N, 1), MOS scale, higher is better; or Details.

        Raises:
            TypeError: images or features are not floating-point tensors.
            ValueError: wrong shape, range or NaN in either; or no features and no extractor.
        """
        x = check_images(x)
        quality = None if self.quality_branch is None else self.quality_branch(self._prepare(x))
        if semantic_features is None and isinstance(quality, NativeQuality):
            semantic_features = quality.semantic_features
        features = self._semantic_features(x, semantic_features)
        quality_feature = x.new_empty(len(x), 0, dtype=self.dtype) if quality is None else quality.feature
        if self.fusion is not None:
            score, gate = self.fusion(quality_feature, features)
        else:
            score, gate = cast("PatchQuality", quality).rating, x.new_ones(len(x), 1)
        if not torch.compiler.is_compiling() and torch.is_grad_enabled() and score.isnan().any():
            raise InputError("scores are NaN: there are NaN or infinite pixels in the images, or such weights.")
        return Details(score, gate, quality_feature) if return_details else score

    def _prepare(self, x: torch.Tensor) -> torch.Tensor:
        options = self.options
        if options.branch == "native":
            return x.to(self.dtype)
        return (squash(x, options.input_size, options.interpolation).to(self.dtype) - options.mean) / options.std

    def _semantic_features(self, x: torch.Tensor, features: torch.Tensor | None) -> torch.Tensor:
        if self.options.num_prompts == 0:
            if features is not None:
                raise InputError("semantic_features were given to a network configured with num_prompts 0.")
            return x.new_empty(len(x), 0, self.options.feature_dim, dtype=self.dtype)
        features = self._extract(x) if features is None else features
        check_semantic_features(features, (len(x), self.options.num_prompts, self.options.feature_dim))
        return features.to(x.device, self.dtype)

    @torch.compiler.disable
    def _extract(self, x: torch.Tensor) -> torch.Tensor:
        images = x.detach()
        if torch.is_grad_enabled():
            images = images.clamp(0, 1)  # a loss may step out of [0, 1], where there are no images; NaN stays
        extractor = self.semantics.get(x.device)
        self._require_fit(extractor)
        return extractor.extract(images)

    def _require_fit(self, extractor: SemanticExtractor) -> None:
        """Refuse an extractor whose features the weights do not know, before it computes anything."""
        if self.trained_features is not None and not self.allow_other_features:
            self.trained_features.require(extractor)
        shape = len(extractor.prompts), extractor.feature_dim
        expected = self.options.num_prompts, self.options.feature_dim
        if shape != expected:
            raise InputError(
                f"the semantic extractor gives {shape[0]} vectors of {shape[1]} values an image, and the network takes "
                f"{expected[0]} of {expected[1]}; use the extractor it was trained with, or train it for this one."
            )

    def large_model_fingerprint(self) -> str | None:
        """Hash of the semantic extractor behind the scores, which is no part of the network; None where there is none.

        Raises:
            ConnectionError, FileNotFoundError: its model is neither here nor within reach.
        """
        return self.semantics.fingerprint()

    def extra_repr(self) -> str:
        """Options that differ from preset ``official``, for ``print(net)``."""
        default = MAAGIQAOptions()
        fields = (field.name for field in dataclasses.fields(default))
        return ", ".join(
            f"{f}={getattr(self.options, f)}" for f in fields if getattr(self.options, f) != getattr(default, f)
        )


def _feature_dim_of(semantics: str | SemanticExtractor) -> int:
    if not isinstance(semantics, str):
        return semantics.feature_dim
    from maagiqa_pyiqa.semantics.extractor import feature_dim_of

    return feature_dim_of(semantics)


def check_semantic_features(features: torch.Tensor, expected: tuple[int, int, int]) -> None:
    """Raise TypeError or ValueError unless ``features`` is a finite float tensor of shape ``expected`` (N, E, D)."""
    if not torch.is_tensor(features) or not features.is_floating_point():
        kind = features.dtype if torch.is_tensor(features) else type(features).__name__
        raise InputTypeError(f"semantic_features must be a floating-point tensor (N, E, D), got {kind}.")
    if features.shape != expected:
        permuted = sorted(features.shape) == sorted(expected)
        why = "The axes are in another order" if permuted else "E and D are the network's num_prompts and feature_dim"
        raise InputError(
            f"semantic_features must have shape (N, E, D) = {expected}, got {tuple(features.shape)}. {why}."
        )
    if not torch.compiler.is_compiling() and not features.isfinite().all():
        raise InputError("semantic_features hold NaN or infinite values; extract them again.")
