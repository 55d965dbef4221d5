"""Whether a value fits the annotation of an option, and how to say what does."""

from __future__ import annotations

import math
import os
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

WORDS: types.MappingProxyType[Any, str] = types.MappingProxyType(
    {
        bool: "true or false",
        int: "an integer",
        float: "a finite number",
        str: "text (in YAML a number or date that is meant as text wants quotes)",
        Mapping: "a mapping",
        type(None): "null",
    }
)


def fits(value: object, annotation: Any) -> bool:
    """Whether a value is of an annotated type; of numbers only finite ones are, and truth values are none."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(fits(value, argument) for argument in arguments)
    if origin is Literal:
        return value in arguments
    if origin is tuple:
        return isinstance(value, tuple) and _fit(value, arguments)
    if annotation is str:
        return isinstance(value, (str, os.PathLike))
    if annotation in (int, float):
        kinds = (int,) if annotation is int else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool) and abs(value) < math.inf
    return isinstance(value, origin or annotation)


def _fit(values: tuple[object, ...], annotations: tuple[Any, ...]) -> bool:
    if annotations[1:] == (...,):
        annotations = annotations[:1] * len(values)
    return len(values) == len(annotations) and all(map(fits, values, annotations))


def describe(annotation: Any) -> str:
    """What fits, for messages."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(map(describe, arguments))
    if origin is Literal:
        return " or ".join(map(repr, arguments))
    if origin is tuple:
        each = "any number" if arguments[1:] == (...,) else str(len(arguments))
        return f"a list ({each}) of {describe(arguments[0])}"
    kind = origin or annotation
    return WORDS.get(kind, getattr(kind, "__name__", str(kind)))
