"""What an option file of a training may say, checked before anything is built from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pyiqa.utils.registry import METRIC_REGISTRY

from maagiqa_pyiqa.agreement.statistics import STATISTICS
from maagiqa_pyiqa.models.arguments import check_arguments_of
from maagiqa_pyiqa.models.damage_loss import DamageLoss
from maagiqa_pyiqa.models.sections import check_small_sections
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.option_files import reject_numbers_as_text
from maagiqa_pyiqa.support.options import nearest, parse_options, reject_unknown, require_choice, require_integer

WRITTEN_FOR = "maagiqa_pyiqa"  # the version of it that a file was made by
SECTIONS = (
    "name", "model_type", "num_gpu", "manual_seed", "datasets", "test", "network", "path", "train", "val", "logger",
    "dist_params", "find_unused_parameters", "scale", "save_final_results_path",
    "data", "features",  # where YAML anchors stand
    WRITTEN_FOR,
    # set by pyiqa's engine
    "dist", "rank", "world_size", "auto_resume", "is_train", "root_path",
)  # fmt: skip
PYIQA_SCHEDULERS = ("MultiStepRestartLR", "CosineAnnealingRestartLR")  # beside PyTorch's


@dataclass(frozen=True)
class TrainOptions:
    """The ``train`` section of an option YAML.

    ``scheduler`` values may be the word ``total_iter``, replaced by the number of iterations of the whole run.
    ``autocast: bf16`` computes in bfloat16 where that is quick, and in 32-bit floats on a CPU without AVX-512.
    ``freeze`` lists name prefixes, with ``*`` for anything, of parameters that are not trained;
    ``freeze_norm_statistics`` keeps the running statistics of batch norms, which small batches would spoil;
    ``max_grad_norm`` clips the gradient. ``damage_loss_opt`` lets damaged versions of images score lower than these by
    a margin; the training dataset gives them with ``damaged: true``.
    """

    optim: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    total_epoch: int | None = None
    total_iter: int | None = None
    scheduler_step: str = "epoch"
    warmup_iter: int = -1
    autocast: str = "none"
    freeze: tuple[str, ...] = ()
    freeze_norm_statistics: bool = False
    max_grad_norm: float | None = None
    mos_loss_opt: Mapping[str, Any] | None = None
    metric_loss_opt: Mapping[str, Any] | None = None
    damage_loss_opt: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        _require_class("optim", self.optim, torch.optim, torch.optim.Optimizer)
        _require_class("scheduler", self.scheduler, torch.optim.lr_scheduler, torch.optim.lr_scheduler.LRScheduler)
        require_choice("train", "scheduler_step", self.scheduler_step, ("epoch", "iteration"))
        require_choice("train", "autocast", self.autocast, ("none", "bf16"))
        for name in ("total_epoch", "total_iter"):
            if getattr(self, name) is not None:
                require_integer("train", name, getattr(self, name), minimum=1)
        if self.total_epoch is None and self.total_iter is None:
            raise InputError("train: say how long, by total_epoch or total_iter.")
        if self.max_grad_norm is not None and self.max_grad_norm <= 0:
            raise InputError(f"train: max_grad_norm must be above 0, got {self.max_grad_norm}.")
        if self.mos_loss_opt is None and self.metric_loss_opt is None:
            raise InputError("train: name a loss in mos_loss_opt or metric_loss_opt.")
        for name in ("optim", "scheduler", "mos_loss_opt", "metric_loss_opt"):
            check_arguments_of(name, getattr(self, name) or {})
        self.damage_loss()

    def damage_loss(self) -> DamageLoss | None:
        """What ``damage_loss_opt`` says; None without it."""
        if self.damage_loss_opt is None:
            return None
        return parse_options(DamageLoss, self.damage_loss_opt, "train: damage_loss_opt")


def _require_class(name: str, section: Any, module: Any, base: type) -> None:
    """Fail unless the section's ``type`` is a class that pyiqa would find for it."""
    if not isinstance(section, Mapping) or "type" not in section:
        raise InputError(f"train: {name} needs a type and its arguments, got {section!r}.")
    known = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, base)]
    known += PYIQA_SCHEDULERS if name == "scheduler" else []
    if section["type"] not in known:
        raise InputError(f"train: there is no {name} '{section['type']}'.{nearest(section['type'], known)}")


def check_option_sections(opt: Mapping[str, Any]) -> TrainOptions:
    """Fail on a key that nothing reads, in any section but those that check themselves (network, datasets).

    Returns:
        The ``train`` section, parsed.

    Raises:
        ValueError: names the section, the key and the nearest known one.
    """
    reject_unknown("option file", opt.keys(), SECTIONS)
    check_small_sections(opt, default_metrics())
    reject_numbers_as_text("option file", {key: value for key, value in opt.items() if key not in ("name", "path")})
    return parse_options(TrainOptions, opt.get("train", {}), "train")


def default_metrics() -> dict[str, dict[str, str]]:
    """What a validation reports unless ``val: metrics`` says otherwise: the key metric and every statistic."""
    calculations = {key: f"calculate_{key}" for key in ("srcc_plcc", *STATISTICS)}
    return {key: {"type": name} for key, name in calculations.items() if name in METRIC_REGISTRY}
