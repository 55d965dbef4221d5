"""JSON files that say which format they have."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from maagiqa_pyiqa.support.errors import InputError

Content = TypeVar("Content")


def read_json(path: Path, newest: int, parse: Callable[[Any], Content], what: str, remedy: str) -> Content:
    """Read a file that holds its format under ``format``.

    Args:
        path: of the file.
        newest: format that is known.
        parse: makes of the JSON what it stands for; KeyError and TypeError say that it is something else.
        what: it should be, in words.
        remedy: what to do where it is not.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file, or one of a newer version.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] > newest:
            raise InputError(f"'{path}' has format {content['format']}; this version reads up to {newest}. Update it.")
        return parse(content)
    except (KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"'{path}' is no {what}: {error!r}. {remedy}") from error
