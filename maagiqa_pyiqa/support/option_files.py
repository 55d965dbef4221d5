"""Option files: found by name or path, read as plain YAML, and refused where a value is not what it looks like."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import nearest

PACKAGE = Path(__file__).parents[1]
MAX_BYTES = 100_000  # of a file; YAML is read at some 100 kB a second
MAX_VALUES = 10_000  # of a file, counting what an alias repeats
MAX_INTEGER = 2**63 - 1
EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")  # a number to people, but text to YAML 1.1


def packaged_option_files() -> dict[str, Path]:
    """The option files that come with the package, by name."""
    installed = PACKAGE / "option_files"  # in a wheel; in a checkout they lie in options/
    folder = installed if installed.is_dir() else PACKAGE.parent / "options"
    return {path.stem: path for path in sorted(folder.glob("*.yml"))}


def find_option_file(name: str | Path) -> Path:
    """An option file by path, or one of the package's by name, such as ``maagiqa_3k``, from any folder.

    Raises:
        FileNotFoundError: there is neither; names the nearest.
        ValueError: a folder, pipe or device.
    """
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if path.exists():
        raise InputError(f"option file '{name}' is a {'folder' if path.is_dir() else 'pipe or device'}, no file.")
    packaged = packaged_option_files()
    stem = path.name.removesuffix(".yml")
    if stem in packaged and path.parent == Path():
        return packaged[stem]
    raise FileNotFoundError(
        f"option file '{name}' does not exist.{nearest(stem, packaged)} By name there are: {', '.join(packaged)}."
    )


def read_option_file(path: str | Path) -> dict[str, Any]:
    """Read an option file, by path or name; tags that would build objects are refused.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no file, too large, not YAML, a key that stands twice, not a mapping, or a number that YAML reads
            as text or that is not finite; in one line.
    """
    path = find_option_file(path)
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"option file '{path}' has {path.stat().st_size:,} bytes; at most {MAX_BYTES:,} are read.")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506  # a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"option file '{path}' is not YAML: {reason}") from error
    if not isinstance(content, Mapping) or not content:
        raise InputError(f"option file '{path}' holds no options, such as 'dataset: agiqa-3k'.")
    if _count_values(content, {}) > MAX_VALUES:
        raise InputError(f"option file '{path}' holds over {MAX_VALUES:,} values, or one that holds itself.")
    reject_numbers_as_text(f"option file '{path}'", content)
    return dict(content)


class _Loader(yaml.SafeLoader):
    """Plain YAML in which a key stands once."""

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        counts = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for key, count in counts.items():
            if count > 1:
                raise yaml.composer.ComposerError(None, None, f"key '{key}' stands twice", node.start_mark)
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > MAX_VALUES:  # merges of merges multiply
            raise yaml.constructor.ConstructorError(None, None, f"over {MAX_VALUES:,} merged keys", node.start_mark)


def reject_numbers_as_text(where: str, value: Any, keys: Sequence[str] = ()) -> None:
    """Raise ValueError on NaN, infinity, a huge integer, or text such as ``1e-3``, no number to YAML."""
    name = ": ".join(keys)
    if isinstance(value, Mapping):
        for key, item in value.items():
            reject_numbers_as_text(where, item, (*keys, str(key)))
    elif isinstance(value, list):
        for item in value:
            reject_numbers_as_text(where, item, keys)
    elif isinstance(value, str) and EXPONENT.fullmatch(value):
        raise InputError(f"{where}: {name} is the text '{value}'; as a number YAML wants it written !!float {value}.")
    elif isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where}: {name} is {value}; it has to be a finite number.")
    elif isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise InputError(f"{where}: {name} is an integer beyond 64 bits.")


def _count_values(value: Any, counted: dict[int, int]) -> int:
    """How many values there are once every alias is written out; beyond any limit where one holds itself."""
    if not isinstance(value, (Mapping, list)):
        return 1
    if id(value) not in counted:
        counted[id(value)] = MAX_VALUES + 1  # until it is known
        items = value.values() if isinstance(value, Mapping) else value
        counted[id(value)] = 1 + sum(_count_values(item, counted) for item in items)
    return counted[id(value)]
