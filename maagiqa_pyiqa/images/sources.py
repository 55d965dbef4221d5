"""The finder of inputs: images in folders, globs, CSVs and WebDataset tars, each with a name and a way to read it."""

from __future__ import annotations

import glob
import os
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.options import nearest
from maagiqa_pyiqa.support.text import from_encodable, from_spreadsheet

# what a folder is searched for; a file named by the user is read whatever its name
EXTENSIONS = (
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tga", ".tif", ".tiff", ".webp",
)  # fmt: skip
CSV_COLUMNS = ("name", "path", "image", "img_path", "file", "filename")  # looked for unless a column is named


class ImageSource(NamedTuple):
    """An image file, or a member of a tar file where ``size`` is not None; small enough to be sent elsewhere."""

    name: str
    path: str
    offset: int = 0
    size: int | None = None

    def read(self) -> bytes:
        """Content of the file."""
        if is_url(self.path):
            filesystem, path = _filesystem(self.path)
            end = None if self.size is None else self.offset + self.size
            return bytes(filesystem.cat_file(path, start=self.offset, end=end))
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(-1 if self.size is None else self.size)


def is_url(path: str) -> bool:
    """Whether it is for fsspec (``s3://``, ``gs://``, ``hf://`` ...) to read."""
    return "://" in path


def find_sources(
    inputs: Sequence[str | Path], column: str | None = None, root: str | Path | None = None
) -> list[ImageSource]:
    """Find the images that inputs name, each once, in order.

    Args:
        inputs: image files, folders (searched recursively), globs, CSVs with a column of paths, uncompressed tars; all
            but CSVs also as URLs, which a column of a CSV may hold too.
        column: of CSVs; by default the first of CSV_COLUMNS that is there.
        root: folder that a CSV's relative paths start from; by default the CSV's own.

    Raises:
        FileNotFoundError: an input, or an image that a CSV names, does not exist.
        ValueError: a CSV without such a column, or a file that is no tar.
    """
    sources: dict[str, ImageSource] = {}
    for item in map(str, inputs):
        for source in _sources_of(item, column, root):
            sources.setdefault(source.name, source)
    return list(sources.values())


def find_files(inputs: Sequence[str | Path]) -> list[Path]:
    """Find the images that inputs name, each once, in order, where every one has to be a file on this machine.

    Args:
        inputs: as for ``find_sources``, without URLs and tars.

    Raises:
        FileNotFoundError, ValueError: as ``find_sources``; or an image is behind a URL or in a tar.
    """
    sources = find_sources(inputs)
    elsewhere = [source.name for source in sources if is_url(source.path) or source.size is not None]
    if elsewhere:
        raise InputError(f"'{elsewhere[0]}' is not a file on this machine; copy or unpack it first.")
    return [Path(source.path) for source in sources]


def _sources_of(item: str, column: str | None, root: str | Path | None) -> list[ImageSource]:
    if is_url(item):
        return _sources_at(item)
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
    return [ImageSource(str(path), str(path)) for path in _local_files(Path(item))]


def _local_files(path: Path) -> list[Path]:
    """A file whatever its name, or the images of a folder, sorted."""
    if not os.path.lexists(path):
        raise FileNotFoundError(f"'{path}' does not exist.")
    if not path.is_dir():
        return [path]
    files = [Path(folder, name) for folder, _, names in os.walk(path, onerror=_refuse_folder) for name in names]
    images = sorted(file for file in files if file.suffix.lower() in EXTENSIONS and _is_image_file(file))
    if not images:
        raise FileNotFoundError(f"folder '{path}' holds no image ({', '.join(EXTENSIONS)}).")
    return images


def _refuse_folder(error: OSError) -> None:
    reason = f"folder '{error.filename}' cannot be searched: {error.strerror}; change its permissions or name others."
    raise type(error)(error.errno, reason) from error


def _is_image_file(path: Path) -> bool:
    """Whether it is a file, or a link to what is gone, which then fails by name."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def _csv_rows(path: Path, column: str | None, root: Path) -> list[ImageSource]:
    from maagiqa_pyiqa.support.csv_files import read_csv

    table = read_csv(path, as_text=True)  # names such as 001 and NA
    wanted = [column] if column else [name for name in CSV_COLUMNS if name in table.columns][:1]
    if not wanted or wanted[0] not in table.columns:
        hint = nearest(column, table.columns) if column else ""
        raise InputError(f"'{path}' has no column {column or ' or '.join(CSV_COLUMNS)}.{hint} Name one with --column.")
    paths = [name if is_url(name) else str(_existing(root, name)) for name in map(str, table[wanted[0]])]
    absent = [path for path in paths if not is_url(path) and not Path(path).is_file()]
    if absent:
        raise FileNotFoundError(
            f"'{path}': {len(absent)} of {len(paths)} images do not exist, first: {', '.join(absent[:3])}. "
            "Name the folder they are in with --root."
        )
    return [ImageSource(path, path) for path in paths]


def _existing(root: Path, name: str) -> Path:
    """The file of a row: as it is written, or as it was called before it was made harmless in a CSV of ours."""
    path, before = root / name, root / from_encodable(from_spreadsheet(name))
    return before if not os.path.lexists(path) and os.path.lexists(before) else path


def _sources_at(url: str) -> list[ImageSource]:
    filesystem, path = _filesystem(url)
    if glob.has_magic(path):
        paths = filesystem.glob(path)
    else:
        paths = [path] if filesystem.isfile(path) else filesystem.find(path)
    names = [filesystem.unstrip_protocol(path) for path in sorted(paths)]
    sources = [source for name in names for source in _sources_of_object(name)]
    if not sources:
        raise FileNotFoundError(f"'{url}' does not exist or holds no image ({', '.join(EXTENSIONS)}).")
    return sources


def _sources_of_object(url: str) -> list[ImageSource]:
    suffix = Path(url).suffix.lower()
    if suffix == ".tar":
        return _tar_members(url)
    return [ImageSource(url, url)] if suffix in EXTENSIONS else []


def _filesystem(url: str) -> tuple[Any, str]:
    import fsspec

    return fsspec.core.url_to_fs(url)


def _open(path: str) -> Any:
    if is_url(path):
        filesystem, name = _filesystem(path)
        return filesystem.open(name, "rb")
    return open(path, "rb")


def _tar_members(path: str) -> list[ImageSource]:
    try:
        # only uncompressed: members are read from where they lie
        with _open(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            return [
                ImageSource(f"{path}/{member.name}", path, member.offset_data, member.size)
                for member in tar
                if member.isfile() and Path(member.name).suffix.lower() in EXTENSIONS
            ]
    except tarfile.TarError as error:
        raise InputError(f"'{path}' cannot be read as an uncompressed tar: {error}") from error


def take_shard(sources: Sequence[ImageSource], shard: str) -> list[ImageSource]:
    """Every N-th source from the I-th on, for a shard written ``I/N``, I from 0.

    Raises:
        ValueError: not of that form.
    """
    index, _, count = shard.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise InputError(f"a shard is written I/N with 0 <= I < N, such as 0/2 and 1/2; got '{shard}'.")
    return list(sources[int(index) :: int(count)])
