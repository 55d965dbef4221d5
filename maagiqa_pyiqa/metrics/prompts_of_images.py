"""Which prompt an image was made from, by a table of names and prompts: by path first, else by base name."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas

from maagiqa_pyiqa.images.sources import ImagePath, base_name
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import nearest
from maagiqa_pyiqa.support.tables import read_table
from maagiqa_pyiqa.support.text import from_encodable, from_spreadsheet, printable

SHOWN = 10  # problems


def read_prompts(
    path: str | Path, images: Sequence[ImagePath], name_column: str = "name", prompt_column: str = "prompt"
) -> dict[ImagePath, str]:
    """Find the prompt of each image in a table.

    A row is an image's if it names its path, from the table's folder or from the current one; else if its name is the
    end of that path, such as ``sdxl/a.png``; else if the base names are the same.

    Args:
        path: a CSV, Parquet or JSON lines.
        images: files.
        name_column: its column of names or paths.
        prompt_column: its column of prompts.

    Raises:
        FileNotFoundError: no such table.
        InputError: no such column; an image without a row; rows with different prompts for an image, or images that
            share a row.
    """
    table = read_table(path, as_text=True)
    for column in (name_column, prompt_column):
        if column not in table.columns:
            found = ", ".join(table.columns)
            raise InputError(f"'{path}' has no column '{column}'.{nearest(column, table.columns)} Columns: {found}.")
    rows = _Rows(table, name_column, prompt_column, Path(path).expanduser().parent)
    numbers = {image: rows.find(image) for image in images}
    problems = [*_without_one_prompt(numbers, rows.prompts), *_shared_rows(numbers)]
    if problems:
        more = [f"... and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        lines = "\n  ".join([*map(printable, problems[:SHOWN]), *more])
        raise InputError(f"prompts in '{path}': {len(problems)} problems\n  {lines}")
    return {image: rows.prompts[found[0]] for image, found in numbers.items()}


class _Rows:
    """Rows of the table, found by what an image is called."""

    def __init__(self, table: pandas.DataFrame, name_column: str, prompt_column: str, folder: Path) -> None:
        self.prompts = [from_spreadsheet(prompt) for prompt in table[prompt_column]]
        self._by_path: dict[str, list[int]] = defaultdict(list)
        self._by_name: dict[str, list[int]] = defaultdict(list)
        self._by_base: dict[str, list[int]] = defaultdict(list)
        for number, written in enumerate(table[name_column]):
            # as it stands there, and as it was before a CSV of ours made it harmless
            for name in dict.fromkeys((written, from_encodable(from_spreadsheet(written)))):
                for place in dict.fromkeys((os.path.realpath(folder / name), os.path.realpath(name))):
                    self._by_path[place].append(number)
                self._by_name[os.path.normpath(name)].append(number)
                self._by_base[os.path.basename(name)].append(number)

    def find(self, image: ImagePath) -> list[int]:
        """Numbers of the rows that fit best; several where these are equally good."""
        path = os.path.realpath(str(image))
        parts = Path(os.path.abspath(str(image))).parts
        ends = (os.path.join(*parts[start:]) for start in range(1, len(parts)))  # the longest first
        by_name = next((self._by_name[end] for end in ends if end in self._by_name), [])
        return self._by_path.get(path) or by_name or self._by_base.get(base_name(image), [])


def _without_one_prompt(numbers: Mapping[ImagePath, Sequence[int]], prompts: Sequence[str]) -> Iterator[str]:
    for image, found in numbers.items():
        different = list(dict.fromkeys(prompts[number] for number in found))
        if not found:
            yield f"{image}: has no row"
        elif len(different) > 1:
            yield f"{image}: fits rows with different prompts, '{different[0]}' and '{different[1]}'; name its path"


def _shared_rows(numbers: Mapping[ImagePath, Sequence[int]]) -> Iterator[str]:
    """Images that would take one row for theirs, such as two ``a.png`` in two folders."""
    images_of: dict[int, dict[str, ImagePath]] = defaultdict(dict)
    for image, found in numbers.items():
        for number in found[:1]:
            images_of[number].setdefault(os.path.realpath(str(image)), image)
    for number, images in images_of.items():
        if len(images) > 1:
            first, second = list(images.values())[:2]
            yield f"{second}: row {number + 2} fits {first} too; name paths, not base names"
