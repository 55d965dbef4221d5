"""Sections of a training's option file that are small: numbers at its top, ``path``, ``val`` and ``logger``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pyiqa.utils.registry import METRIC_REGISTRY

from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import parse_options, require_choice, require_integer


@dataclass(frozen=True)
class PathOptions:
    """The section ``path``; the engine adds the folders."""

    pretrain_network: str | None = None
    strict_load: bool = True
    param_key_g: str | None = None
    resume_state: str | None = None
    experiments_root: str | None = None
    models: str | None = None
    training_states: str | None = None
    log: str | None = None
    visualization: str | None = None


@dataclass(frozen=True)
class ValOptions:
    """The section ``val``; frequencies are in steps."""

    val_freq: float
    save_img: bool = False
    pbar: bool = True
    key_metric: str | None = None
    metrics: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        _require_frequencies("val", val_freq=self.val_freq)
        for name, metric in (self.metrics or {}).items():
            if not isinstance(metric, Mapping) or not isinstance(metric.get("type"), str):
                raise InputError(f"val: metrics: {name} needs a type, such as 'calculate_srcc', got {metric!r}.")
            if metric["type"] not in METRIC_REGISTRY:  # which knows names before it loads what they name
                raise InputError(f"val: metrics: there is no metric '{metric['type']}' to calculate {name} by.")


@dataclass(frozen=True)
class LoggerOptions:
    """The section ``logger``; frequencies are in steps."""

    print_freq: float
    save_latest_freq: float
    save_checkpoint_freq: float | None = None
    log_imgs_freq: float | None = None
    use_tb_logger: bool = False
    wandb: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        _require_frequencies(
            "logger",
            print_freq=self.print_freq,
            save_checkpoint_freq=self.save_checkpoint_freq,
            save_latest_freq=self.save_latest_freq,
            log_imgs_freq=self.log_imgs_freq,
        )


def check_small_sections(opt: Mapping[str, Any], default_metrics: Collection[str]) -> None:
    """Check the sections that this module is about.

    Args:
        opt: an option file.
        default_metrics: names of those that a validation reports where ``val`` has no ``metrics``.

    Raises:
        ValueError: an unknown key (the nearest is named) or a value that does not fit; names section and key.
    """
    if opt.get("num_gpu") != "auto":
        require_integer("option file", "num_gpu", opt.get("num_gpu"), minimum=0)
    if opt.get("manual_seed") is not None:
        require_integer("option file", "manual_seed", opt["manual_seed"], minimum=0)
    parse_options(PathOptions, opt.get("path", {}), "path")
    parse_options(LoggerOptions, opt.get("logger", {}), "logger")
    if opt.get("val"):
        val = parse_options(ValOptions, opt["val"], "val")
        if val.key_metric is not None:
            require_choice("val", "key_metric", val.key_metric, val.metrics or default_metrics)


def _require_frequencies(where: str, **frequencies: float | None) -> None:
    for name, steps in frequencies.items():
        if steps is not None and (steps < 1 or steps != int(steps)):
            raise InputError(f"{where}: {name} must be a whole number of steps, at least 1, got {steps!r}.")
