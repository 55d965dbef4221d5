"""Images from folders, globs, CSVs and WebDataset tars, as things that can be named, read and sent elsewhere."""

from __future__ import annotations

import glob
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from maagiqa_pyiqa.images import EXTENSIONS, find_images
from maagiqa_pyiqa.options import nearest

CSV_COLUMNS = ("name", "path", "image", "img_path", "file", "filename")  # looked for unless a column is named


class ImageSource(NamedTuple):
    """An image file, or a member of a tar file where ``size`` is not None."""

    name: str
    path: str
    offset: int = 0
    size: int | None = None

    def read(self) -> bytes:
        """Content of the file."""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(-1 if self.size is None else self.size)


def find_sources(
    inputs: Sequence[str | Path], column: str | None = None, root: str | Path | None = None
) -> list[ImageSource]:
    """Find the images that inputs name, each once, in order.

    Args:
        inputs: image files, folders (searched recursively), globs, CSVs with a column of paths, uncompressed tars.
        column: of CSVs; by default the first of CSV_COLUMNS that is there.
        root: folder that a CSV's relative paths start from; by default the CSV's own.

    Raises:
        FileNotFoundError: an input, or an image that a CSV names, does not exist.
        ValueError: a CSV without such a column, or a file that is no tar.
    """
    found: dict[str, ImageSource] = {}
    for item in map(str, inputs):
        for source in _sources_of(item, column, root):
            found.setdefault(source.name, source)
    return list(found.values())


def _sources_of(item: str, column: str | None, root: str | Path | None) -> list[ImageSource]:
    if glob.has_magic(item) and not Path(item).exists():
        paths = sorted(glob.glob(item, recursive=True))
        if not paths:
            raise FileNotFoundError(f"no file matches '{item}'.")
        return [source for path in paths for source in _sources_of(path, column, root)]
    suffix = Path(item).suffix.lower()
    if suffix == ".csv" and Path(item).is_file():
        return _csv_rows(Path(item), column, Path(root) if root else Path(item).parent)
    if suffix == ".tar" and Path(item).is_file():
        return _tar_members(item)
    return [ImageSource(str(path), str(path)) for path in find_images([item])]


def _csv_rows(path: Path, column: str | None, root: Path) -> list[ImageSource]:
    import pandas

    table = pandas.read_csv(path)
    wanted = [column] if column else [name for name in CSV_COLUMNS if name in table.columns][:1]
    if not wanted or wanted[0] not in table.columns:
        hint = nearest(column, table.columns) if column else ""
        raise ValueError(f"'{path}' has no column {column or ' or '.join(CSV_COLUMNS)}.{hint} Name one with --column.")
    paths = [root / str(name) for name in table[wanted[0]]]
    absent = [str(path) for path in paths if not path.is_file()]
    if absent:
        raise FileNotFoundError(
            f"'{path}': {len(absent)} of {len(paths)} images do not exist, first: {', '.join(absent[:3])}. "
            "Name the folder they are in with --root."
        )
    return [ImageSource(str(path), str(path)) for path in paths]


def _tar_members(path: str) -> list[ImageSource]:
    try:
        with tarfile.open(path, "r:") as tar:  # only uncompressed: members are read from where they lie
            return [
                ImageSource(f"{path}/{member.name}", path, member.offset_data, member.size)
                for member in tar
                if member.isfile() and Path(member.name).suffix.lower() in EXTENSIONS
            ]
    except tarfile.TarError as error:
        raise ValueError(f"'{path}' cannot be read as an uncompressed tar: {error}") from error


def take_shard(sources: Sequence[ImageSource], shard: str) -> list[ImageSource]:
    """Every N-th source from the I-th on, for a shard written ``I/N``, I from 0.

    Raises:
        ValueError: not of that form.
    """
    index, _, count = shard.partition("/")
    if not (index.isdigit() and count.isdigit() and int(index) < int(count)):
        raise ValueError(f"a shard is written I/N with 0 <= I < N, such as 0/2 and 1/2; got '{shard}'.")
    return list(sources[int(index) :: int(count)])
