"""Which parts of a network a training changes, and how fast."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

import torch
from pyiqa.utils import get_root_logger

from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import nearest


def require_known_parts(net: torch.nn.Module, optim: Iterable[str]) -> None:
    """Fail on a learning rate or weight decay for a part of the network that does not exist.

    Args:
        net: the network.
        optim: keys of the ``optim`` section, such as ``lr_backbone``.
    """
    names = [name for name, _ in net.named_parameters()]
    for key in optim:
        part = key.removeprefix("weight_decay_").removeprefix("lr_")
        if part != key and not any(part in name for name in names):
            parts = {piece for name in names for piece in name.split(".") if not piece.isdigit()}
            raise InputError(f"train: optim '{key}' names no part of the network.{nearest(part, parts)}")


def freeze(net: torch.nn.Module, prefixes: Iterable[str]) -> None:
    """Take the gradient from all parameters whose names begin so; fail on a beginning that there is not.

    Args:
        net: the network.
        prefixes: beginnings of names, in which ``*`` stands for anything.
    """
    names = dict(net.named_parameters())
    for prefix in prefixes:
        frozen = [name for name in names if fnmatchcase(name, f"{prefix}*")]
        if not frozen:
            raise InputError(
                f"train: freeze '{prefix}' is the start of no parameter's name, such as {next(iter(names))}."
            )
        for name in frozen:
            names[name].requires_grad_(False)


@contextlib.contextmanager
def frozen_without_a_word() -> Iterator[None]:
    """Keep pyiqa from a warning for each frozen parameter, of which the recipes have hundreds, while the block runs."""

    def is_other(record: logging.LogRecord) -> bool:
        return "will not be optimized" not in record.getMessage()

    logger = get_root_logger()
    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def hold_norm_statistics(net: torch.nn.Module) -> None:
    """Let batch norms use their running statistics and leave them as they are."""
    for module in net.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
