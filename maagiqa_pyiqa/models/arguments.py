"""Arguments of what an option file names, such as an optimizer, checked against its signature."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from pyiqa.models import lr_scheduler
from pyiqa.utils.registry import LOSS_REGISTRY

from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.option_types import describe, fits
from maagiqa_pyiqa.support.options import reject_unknown, shortened

TOTAL = "total_iter"  # stands for a number, the iterations of the whole run


def check_arguments_of(name: str, section: Mapping[str, Any]) -> None:
    """Check the arguments of an optimizer, scheduler or loss of the section ``train``, as ``check_arguments``.

    Args:
        name: ``optim``, ``scheduler`` or that of a loss.
        section: ``type`` and arguments. Rates of parts of the network are checked with the network; a loss that there
            is not is named by pyiqa.
    """
    kind = section.get("type")
    given = {key: 1 if value == TOTAL else value for key, value in section.items() if key != "type"}
    if name == "optim":
        given = {key: value for key, value in given.items() if not key.startswith(("lr_", "weight_decay_"))}
        check_arguments(f"train: optim {kind}", getattr(torch.optim, str(kind)), given, supplied=1)
    elif name == "scheduler":
        cls = getattr(lr_scheduler, str(kind), None) or getattr(torch.optim.lr_scheduler, str(kind))
        check_arguments(f"train: scheduler {kind}", cls, given, supplied=1)
    elif kind is not None and str(kind) in LOSS_REGISTRY:
        check_arguments(f"train: {name} {kind}", LOSS_REGISTRY.get(kind), given)
        with refused_as_input_errors(f"train: {name} {kind}"):
            LOSS_REGISTRY.get(kind)(**given)


def check_arguments(where: str, function: Callable[..., Any], given: Mapping[str, Any], supplied: int = 0) -> None:
    """Check arguments that an option file gives by name.

    Args:
        where: what is being checked, named in every message.
        function: or class that will be called.
        given: its arguments by name.
        supplied: how many of its first parameters the caller fills.

    Raises:
        ValueError: an argument that it does not take (the nearest is named), one that is missing, or one that is of
            another kind than its default: no number, text or truth value.
    """
    parameters = [
        parameter
        for parameter in list(inspect.signature(function).parameters.values())[supplied:]
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    reject_unknown(where, given, [parameter.name for parameter in parameters])
    for parameter in parameters:
        name, kind = parameter.name, type(parameter.default)
        if parameter.default is parameter.empty and name not in given:
            raise InputError(f"{where}: option '{name}' is missing.")
        kind = float if kind is int else kind  # signatures write 0 for 0.0
        values = given.get(name, parameter.default)
        for value in values if isinstance(values, (list, tuple)) else [values]:  # a rate may be one for each group
            if kind in (bool, float, str) and not fits(value, kind):
                raise InputError(f"{where}: {name} must be {describe(kind)}, got {shortened(value)}.")


@contextlib.contextmanager
def refused_as_input_errors(where: str) -> Iterator[None]:
    """Turn what a constructor says of values that it does not take into an error of the user's."""
    try:
        yield
    except InputError:
        raise
    except (TypeError, ValueError, ArithmeticError, AssertionError, LookupError) as error:
        raise InputError(f"{where}: {' '.join(str(error).split()) or type(error).__name__}") from error
