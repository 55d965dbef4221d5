"""Options are parsed once into frozen, checked dataclasses; a misspelt key names its nearest match."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Collection, Mapping
from typing import Any, TypeVar, get_type_hints

from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.option_types import describe, fits

OptionsType = TypeVar("OptionsType")


def nearest(name: str, known: Collection[str]) -> str:
    """Return `` Did you mean 'x'?`` for the known name closest to ``name``, or an empty string."""
    matches = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f" Did you mean '{matches[0]}'?" if matches else ""


def reject_unknown(where: str, given: Collection[str], known: Collection[str]) -> None:
    """Fail on the first key nobody would read.

    Args:
        where: what the keys belong to, named in the message.
        given: keys as the user wrote them.
        known: keys that are read.

    Raises:
        ValueError: a key is unknown; the message names the nearest known one and lists all.
    """
    for key in given:
        if key not in known:
            raise InputError(
                f"{where}: unknown option '{key}'.{nearest(key, known)} Known: {', '.join(sorted(known))}."
            )


def require_choice(where: str, name: str, value: object, choices: Collection[object]) -> None:
    """Raise ValueError unless ``value`` is one of ``choices``; the message names all three."""
    if value not in choices:
        raise InputError(
            f"{where}: {name} must be one of {sorted(map(str, choices))}, got {value!r}."
            f"{nearest(str(value), [str(choice) for choice in choices])}"
        )


def require_integer(where: str, name: str, value: object, minimum: int) -> None:
    """Raise ValueError unless ``value`` is an integer of at least ``minimum``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
        raise InputError(f"{where}: {name} must be an integer of at least {minimum}, got {value!r}.")


def parse_options(cls: type[OptionsType], given: Mapping[str, Any], where: str) -> OptionsType:
    """Build a frozen options dataclass from a mapping such as a section of an option YAML.

    Args:
        cls: dataclass whose ``__post_init__`` checks values.
        given: the user's keys and values; lists become tuples.
        where: what is being parsed, named in every message.

    Returns:
        An instance of ``cls``.

    Raises:
        ValueError: an unknown or a missing key, a value of another type than annotated, or one that ``cls`` refuses.
    """
    fields = [field for field in dataclasses.fields(cls) if field.init]  # type: ignore[arg-type]
    reject_unknown(where, given.keys(), [field.name for field in fields])
    for field in fields:
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and field.name not in given:
            raise InputError(f"{where}: option '{field.name}' is missing.")
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    annotations = get_type_hints(cls)
    for key, value in values.items():
        if not fits(value, annotations[key]):
            raise InputError(f"{where}: {key} must be {describe(annotations[key])}, got {shortened(given[key])}.")
    return cls(**values)


def shortened(value: object) -> str:
    """A value as messages show it: in one line of at most 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
