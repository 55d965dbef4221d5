"""Options are of the type that their dataclass says; a message says what would do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from maagiqa_pyiqa.support.options import parse_options


@dataclass(frozen=True)
class Options:
    count: int = 1
    rate: float | None = None
    name: str = ""
    on: bool = False
    places: tuple[str, ...] = ()
    span: tuple[float, float] = (0.0, 1.0)
    section: Mapping[str, Any] | None = None
    mode: Literal["a", "b"] = "a"


GOOD = [
    {"count": 3, "rate": 1, "name": "x", "on": True},
    {"rate": None, "places": ["a", "b"], "span": [0, 2.5], "section": {"a": 1}, "mode": "b"},
    {"places": []},
]
WRONG = [
    ({"count": "3"}, r"^here: count must be an integer, got '3'\.$"),
    ({"count": True}, "count must be an integer, got True"),
    ({"count": 1.5}, "count must be an integer"),
    ({"count": None}, "count must be an integer, got None"),
    ({"count": [1]}, r"count must be an integer, got \[1\]"),
    ({"rate": float("nan")}, "rate must be a finite number or null, got nan"),
    ({"rate": "fast"}, "rate must be a finite number or null"),
    ({"name": 7}, "name must be text .*wants quotes"),
    ({"on": "yes"}, "on must be true or false"),
    ({"on": 1}, "on must be true or false"),
    ({"places": "a"}, r"places must be a list \(any number\) of text"),
    ({"places": [1]}, "places must be a list"),
    ({"span": [1.0]}, r"span must be a list \(2\) of a finite number"),
    ({"section": [1]}, "section must be a mapping or null"),
    ({"mode": "c"}, "mode must be 'a' or 'b'"),
    ({"name": {"a" * 200: 1}}, r"got \{'a{70,80}\.\.\.\.$"),
]


@pytest.mark.parametrize("given", GOOD)
def test_values_of_the_right_type_are_taken(given):
    options = parse_options(Options, given, "here")
    assert all(getattr(options, key) in (value, tuple(value or ()) if key in ("places", "span") else value)
               for key, value in given.items())  # fmt: skip


@pytest.mark.parametrize(("given", "message"), WRONG)
def test_values_of_another_type_are_refused_by_name(given, message):
    with pytest.raises(ValueError, match=message):
        parse_options(Options, given, "here")
