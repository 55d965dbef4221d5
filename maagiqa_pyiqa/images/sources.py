"""The finder of inputs: images in folders, globs, lists and WebDataset tars, each with a name and a way to read it."""

from __future__ import annotations

import glob
import os
import posixpath
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from maagiqa_pyiqa.images.lists import ImageList, read_list, read_standard_input
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.tables import is_table
from maagiqa_pyiqa.support.text import from_encodable, from_spreadsheet

# what a folder is searched for; a file named by the user is read whatever its name
EXTENSIONS = (
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tga", ".tif", ".tiff", ".webp",
)  # fmt: skip
STANDARD_INPUT = "-"


class ImageSource(NamedTuple):
    """An image file, or a member of a tar file where ``size`` is not None; small enough to be sent elsewhere."""

    name: str
    path: str
    offset: int = 0
    size: int | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def is_file(self) -> bool:
        """Whether it is a file of its own on this machine."""
        return self.size is None and not is_url(self.path)

    def read(self) -> bytes:
        """Content of the file."""
        if is_url(self.path):
            filesystem, path = _filesystem(self.path)
            end = None if self.size is None else self.offset + self.size
            return bytes(filesystem.cat_file(path, start=self.offset, end=end))
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(-1 if self.size is None else self.size)

    def state(self) -> tuple[str, int, int]:
        """Where it is, its size and a number that changes when it is written anew.

        Raises:
            OSError: it is not there.
        """
        if is_url(self.path):
            filesystem, path = _filesystem(self.path)
            return self.name, self.size or 0, int(filesystem.ukey(path)[:15], 16)
        found = os.stat(self.path)
        return os.path.abspath(self.name), found.st_size if self.size is None else self.size, found.st_mtime_ns


ImagePath: TypeAlias = Path | ImageSource  # a file on this machine by its path, any other image by its source


@dataclass(frozen=True)
class FoundImages:
    """Images in order, and of those that a list named the cells of their row by column."""

    sources: list[ImageSource]
    rows: dict[ImagePath, Mapping[str, str]] = field(default_factory=dict)

    @property
    def paths(self) -> list[ImagePath]:
        """The images, files of this machine as paths."""
        return [path_of(source) for source in self.sources]


def is_url(path: str) -> bool:
    """Whether it is for fsspec (``s3://``, ``gs://``, ``hf://`` ...) to read."""
    return "://" in path


def find_images(inputs: Sequence[str | Path], column: str | None = None, root: str | Path | None = None) -> FoundImages:
    """Find the images that inputs name, each once, in order.

    Args:
        inputs: image files, folders (searched recursively), globs, uncompressed tars, lists with a column of paths
            (CSV, Parquet, JSON lines), all of them also as URLs, which a list may hold too; ``-`` is a list on
            standard input.
        column: of lists; by default the first of ``lists.COLUMNS`` that is there.
        root: folder or URL that a list's relative paths start from, or a tar whose members they are; by default the
            list's own folder.

    Raises:
        FileNotFoundError: an input does not exist, or none of the images that a list names.
        ValueError: a list without such a column, or a file that is no tar or list.
    """
    finder = _Finder(column, str(root) if root else None)
    if [str(item) for item in inputs].count(STANDARD_INPUT) > 1:
        raise InputError("standard input (-) is named twice; it can be read once.")
    sources: dict[str, ImageSource] = {}
    for item in map(str, inputs):
        for source in finder.find(item):
            sources.setdefault(source.name, source)
    return FoundImages(list(sources.values()), finder.rows)


def find_sources(
    inputs: Sequence[str | Path], column: str | None = None, root: str | Path | None = None
) -> list[ImageSource]:
    """Find images as ``find_images``, without what lists say of them."""
    return find_images(inputs, column, root).sources


def find_files(inputs: Sequence[str | Path]) -> list[Path]:
    """Find the images that inputs name, each once, in order, where every one has to be a file on this machine.

    Args:
        inputs: as for ``find_images``, without URLs and tars.

    Raises:
        FileNotFoundError, ValueError: as ``find_images``; or an image is behind a URL or in a tar.
    """
    return only_files(find_images(inputs).paths)


class NamedImages(NamedTuple):
    """Images as a list names them, in its order, and whether each is there; those behind URLs are taken to be."""

    sources: list[ImageSource]
    found: list[bool]

    @property
    def paths(self) -> list[ImagePath]:
        """The images, files of this machine as paths."""
        return [path_of(source) for source in self.sources]


def find_named(names: Sequence[str], root: str) -> NamedImages:
    """The images that a list names; one that is not there fails by name where it is read.

    Args:
        names: paths from the root on, whole paths, or URLs.
        root: folder or URL of one; or an uncompressed tar, or the URL of one, whose members the names are.

    Raises:
        FileNotFoundError, ValueError: the root is a tar that is not there or cannot be read.
    """
    if not is_tar(root):
        sources = [ImageSource(path, path) for path in (_joined(root, name) for name in names)]
        return NamedImages(sources, [is_url(source.path) or Path(source.path).is_file() for source in sources])
    members = {posixpath.normpath(name): source for name, source in _tar_files(root)}
    taken = [_member(members, name) for name in names]
    absent = [f"{root}/{name}" for name in names]
    return NamedImages(
        [source or ImageSource(path, path) for source, path in zip(taken, absent, strict=True)],
        [source is not None for source in taken],
    )


def is_tar(path: str) -> bool:
    """Whether it is named as a tar is, and no folder."""
    return Path(path).suffix.lower() == ".tar" and (is_url(path) or Path(path).is_file())


def read_input(path: str) -> bytes:
    """Content of a file, of what a URL is of, or of standard input (``-``).

    Raises:
        OSError: it is not there or cannot be read.
    """
    return sys.stdin.buffer.read() if path == STANDARD_INPUT else ImageSource(path, path).read()


def only_files(images: Sequence[ImagePath]) -> list[Path]:
    """The same images, each a file on this machine.

    Raises:
        ValueError: one is behind a URL or in a tar.
    """
    for image in images:
        if isinstance(image, ImageSource):
            raise InputError(f"'{image}' is not a file on this machine; copy or unpack it first.")
    return [image for image in images if isinstance(image, Path)]


def base_name(image: ImagePath) -> str:
    """What comes last in an image's name."""
    return os.path.basename(str(image))


def path_of(source: ImageSource) -> ImagePath:
    """A file of this machine as its path, any other image as it is."""
    return Path(source.path) if source.is_file else source


class _Finder:
    """Goes through inputs, and keeps the rows of lists."""

    def __init__(self, column: str | None, root: str | None) -> None:
        self._column, self._root = column, root
        self.rows: dict[ImagePath, Mapping[str, str]] = {}

    def find(self, item: str) -> list[ImageSource]:
        if item == STANDARD_INPUT:
            return self._standard_input()
        if is_url(item):
            return self._at_url(item)
        if glob.has_magic(item) and not Path(item).exists():
            paths = sorted(glob.glob(item, recursive=True))
            if not paths:
                raise FileNotFoundError(f"no file matches '{item}'.")
            return [source for path in paths for source in self.find(path)]
        if is_table(item) and Path(item).is_file():
            content = Path(item).read_bytes()
            return self._listed(read_list(content, item, self._column), self._root or str(Path(item).parent))
        if is_tar(item):
            return _tar_members(item)
        return [ImageSource(str(path), str(path)) for path in _local_files(Path(item))]

    def _standard_input(self) -> list[ImageSource]:
        """Images of a list on standard input; its lines may also be folders, globs and whatever else an input is."""
        found = read_standard_input(self._column)
        if isinstance(found, ImageList):
            return self._listed(found, self._root or "")
        items = [_joined(self._root or "", item) for item in found if item != STANDARD_INPUT]
        return [source for item in items for source in self.find(item)]

    def _listed(self, images: ImageList, root: str) -> list[ImageSource]:
        named = find_named(images.names, root)
        if not named.sources:
            raise InputError(f"'{images.where}' names no image: it has no rows.")
        # a few that are gone fail by name, as unreadable ones do; where all are, they are looked for in a wrong place
        if not any(named.found):
            first = ", ".join(map(str, named.sources[:3]))
            raise FileNotFoundError(
                f"'{images.where}': none of {len(named.sources)} images exists, first: {first}. "
                "Name the folder they are in with --root."
            )
        for source, row in zip(named.sources, images.rows, strict=True):
            self.rows.setdefault(path_of(source), row)
        return named.sources

    def _at_url(self, url: str) -> list[ImageSource]:
        filesystem, path = _filesystem(url)
        if glob.has_magic(path):
            paths = filesystem.glob(path)
        elif is_table(path) and filesystem.isfile(path):
            images = read_list(bytes(filesystem.cat_file(path)), url, self._column)
            return self._listed(images, self._root or url.rpartition("/")[0])
        else:
            paths = [path] if filesystem.isfile(path) else filesystem.find(path)
        names = [filesystem.unstrip_protocol(path) for path in sorted(paths)]
        sources = [source for name in names for source in _sources_of_object(name)]
        if not sources:
            raise FileNotFoundError(f"'{url}' does not exist or holds no image ({', '.join(EXTENSIONS)}).")
        return sources


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


def _joined(root: str, name: str) -> str:
    """A list's name as a path or URL, from the list's root on."""
    if is_url(name):
        return name
    if is_url(root):
        return f"{root.rstrip('/')}/{name}"
    return str(_existing(Path(root), name))


def _existing(root: Path, name: str) -> Path:
    """The file of a row: as it is written, or as it was called before it was made harmless in a CSV of ours."""
    path, before = root / name, root / from_encodable(from_spreadsheet(name))
    return before if not os.path.lexists(path) and os.path.lexists(before) else path


def _sources_of_object(url: str) -> list[ImageSource]:
    suffix = Path(url).suffix.lower()
    if suffix == ".tar":
        return _tar_members(url)
    return [ImageSource(url, url)] if suffix in EXTENSIONS else []


def _filesystem(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        return fsspec.core.url_to_fs(url)
    except ValueError as error:
        raise InputError(f"'{url}' cannot be read: {error}.") from error


def _open(path: str) -> Any:
    if is_url(path):
        filesystem, name = _filesystem(path)
        return filesystem.open(name, "rb")
    return open(path, "rb")


def _member(members: Mapping[str, ImageSource], name: str) -> ImageSource | None:
    """The image of a row, whose name is looked for as ``_existing`` does; a URL stays one."""
    if is_url(name):
        return ImageSource(name, name)
    before = from_encodable(from_spreadsheet(name))
    return members.get(posixpath.normpath(name)) or members.get(posixpath.normpath(before))


def _tar_members(path: str) -> list[ImageSource]:
    return [source for name, source in _tar_files(path) if Path(name).suffix.lower() in EXTENSIONS]


def _tar_files(path: str) -> list[tuple[str, ImageSource]]:
    """Files in a tar by their names there."""
    try:
        # only uncompressed: members are read from where they lie
        with _open(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            return [
                (member.name, ImageSource(f"{path}/{member.name}", path, member.offset_data, member.size))
                for member in tar
                if member.isfile()
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
