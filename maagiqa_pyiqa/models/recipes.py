"""Option files made for somebody's own images: what ``maagiqa train --csv`` trains from.

``lite`` goes on from maagiqa-lite's own weights, since most people have hundreds of ratings: its trunks stay, and what
makes a score of their statistics is trained. The rates were chosen on 210 images of AGIQA-3k with the alignment
ratings, by validation (benchmarks/RESULTS.md).
``official`` is the authors' training on other data.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from maagiqa_pyiqa import __version__
from maagiqa_pyiqa.cache.reader import read_manifest
from maagiqa_pyiqa.cache.storage import open_storage
from maagiqa_pyiqa.data.own_images import CheckedImages
from maagiqa_pyiqa.models.start_scale import StartScale, short, start_scale_of_lite
from maagiqa_pyiqa.models.train_options import WRITTEN_FOR
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.option_files import read_option_file

OFFICIAL_SPAN = 5.0  # of the ratings that the authors' rates were made for
LITE_STEPS, LITE_EPOCHS = 40, 3  # at least
LITE_RATE, LITE_DECAY, LITE_DROP = 3e-4, 1e-2, 0.5
LITE_TRUNKS = ["quality_branch.backbone", "quality_branch.glance.backbone"]
SQUASH = {"size": 512, "interpolation": "cubic-antialias"}  # where images of several sizes are to make a batch


def make_options(name: str, recipe: str, images: CheckedImages, cache: str | None = None) -> dict[str, Any]:
    """The options of a training on checked images.

    Args:
        name: of the experiment.
        recipe: ``lite`` or ``official``.
        images: to train on.
        cache: feature cache of them, for ``official``.

    Raises:
        ValueError: a cache is missing, or of no use.
        FileNotFoundError: there is no such cache.
    """
    if recipe == "lite":
        if cache is not None:
            raise InputError("recipe 'lite' computes its features itself; leave --cache out.")
        return _lite(name, images)
    if cache is None:
        folder = images.section["dataroot_target"]
        raise InputError(
            f"recipe 'official' learns from the features of a large model; extract them first (maagiqa extract "
            f"{folder} --cache DIR --device cuda) and name them with --cache DIR, or take recipe 'lite'."
        )
    return _official(name, images, cache)


def _lite(name: str, images: CheckedImages) -> dict[str, Any]:
    options = read_option_file("maagiqa_lite_native_3k")
    resize = {} if images.one_size else {"squash": SQUASH}
    scale = start_scale_of_lite({**images.section, "augment": resize})
    batch = min(options["datasets"]["train"]["batch_size_per_gpu"], images.sizes["train"])
    steps = images.sizes["train"] // batch  # of an epoch

    def own(section: dict[str, Any]) -> dict[str, Any]:
        augment = {**section.get("augment", {}), **resize}
        return {**section, **images.section, "augment": augment, "batch_size_per_gpu": batch}

    _put_datasets(options, name, own)
    options["network"] = {"type": "MAAGIQA", "pretrained": "lite", "drop": LITE_DROP}
    train = options["train"]
    train |= {"total_epoch": max(LITE_EPOCHS, math.ceil(LITE_STEPS / steps)), "freeze": LITE_TRUNKS}
    train["optim"] = {"type": "AdamW", "lr": LITE_RATE, "weight_decay": LITE_DECAY}
    _bring_to_scale(options, scale)
    train["scheduler"]["max_lr"] = [train["optim"]["lr_regression"], LITE_RATE]
    return _named(options, name, max(steps, LITE_STEPS // 10))


def _official(name: str, images: CheckedImages, cache: str) -> dict[str, Any]:
    options = read_option_file("maagiqa_3k")
    prompts, feature_dim = read_manifest(open_storage(cache)).shape

    def own(section: dict[str, Any]) -> dict[str, Any]:
        return {**section, "cache": cache, "base": {**images.section, "augment": section["base"]["augment"]}}

    _put_datasets(options, name, own)
    options["network"] |= {"num_prompts": prompts, "feature_dim": feature_dim}
    low, high = images.mos_range
    _bring_to_scale(options, StartScale(short((high - low) / OFFICIAL_SPAN), low))
    return _named(options, name, max(1, images.sizes["train"] // options["datasets"]["train"]["batch_size_per_gpu"]))


def _bring_to_scale(options: dict[str, Any], scale: StartScale) -> None:
    """Let scores start on the ratings' scale, and all else go as it would on that of the recipe.

    The last layer, larger by a factor, takes larger steps; the squared error is that of ratings divided by it.
    """
    factor = abs(scale.factor)
    options["network"]["rescale"] = [scale.factor, scale.shift]
    optim = options["train"]["optim"]
    optim |= {"lr_regression": short(optim["lr"] * factor), "weight_decay_regression": optim["weight_decay"]}
    options["train"]["mos_loss_opt"]["loss_weight"] = short(1 / factor**2)


def _put_datasets(options: dict[str, Any], name: str, own: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Put somebody's own images in place of a public dataset: ``own`` makes their section of the one there was."""

    def section(part: str, public: dict[str, Any]) -> dict[str, Any]:
        kept = {key: value for key, value in public.items() if key not in ("root", "split")}
        return {**own(kept), "name": f"{name} {part}"}

    options["datasets"] = {part: section(part, public) for part, public in options["datasets"].items()}
    options["test"] = section("test", options["test"])
    for anchor in ("data", "features"):
        options.pop(anchor, None)


def _named(options: dict[str, Any], name: str, pace: int) -> dict[str, Any]:
    """Name the experiment, and validate every ``pace`` steps."""
    options["val"]["val_freq"] = options["logger"]["save_latest_freq"] = pace
    return {WRITTEN_FOR: __version__, **options, "name": name}
