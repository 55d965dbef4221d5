"""The authors' layout: two pickles an image, ``NAME_semantic_content.pt`` and ``NAME_coherence.pt``, each (1, D)."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import torch

from maagiqa_pyiqa.cache.keys import ImageFile
from maagiqa_pyiqa.cache.manifest import Manifest
from maagiqa_pyiqa.cache.part import TORCH_DTYPES, Entry
from maagiqa_pyiqa.cache.reader import CacheReader
from maagiqa_pyiqa.cache.writer import CacheWriter
from maagiqa_pyiqa.images.decoding import UnreadableImageError
from maagiqa_pyiqa.images.sources import ImageSource
from maagiqa_pyiqa.support.errors import InputError
from maagiqa_pyiqa.support.files import written_whole
from maagiqa_pyiqa.support.progress import progress

PROMPTS = ("semantic_content", "coherence")
BATCH = 1024
INDISTINGUISHABLE = "the authors' layout cannot tell them apart."


class OfficialFiles:
    """Stands for the unknown extractor behind the authors' files: all of one width count as the same."""

    prompts = PROMPTS

    def __init__(self, feature_dim: int) -> None:
        self.feature_dim = feature_dim
        self.fingerprint = f"authors-files-{feature_dim}"
        self.fingerprint_parts = {"extractor": "files in the authors' layout, of which no more is known"}


def official_files(folder: str | Path, name: str | Path) -> list[Path]:
    """Files of one image: semantic content first, then coherence."""
    path = Path(folder).expanduser() / name
    return _files_of_stem(path.parent, path.stem)


def _files_of_stem(folder: Path, stem: str) -> list[Path]:
    return [folder / f"{stem}_{prompt}.pt" for prompt in PROMPTS]


def read_official(folder: str | Path, name: str | Path) -> torch.Tensor:
    """Features (2, D) of one image, in the files' dtype.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is not one vector.
    """
    vectors = []
    for path in official_files(folder, name):
        try:
            vector = torch.load(path, map_location="cpu", weights_only=True)
            vectors.append(vector.view(vector.shape[-1]))
        except FileNotFoundError:
            raise
        except Exception as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"'{path}' is no tensor (1, D) as in the authors' layout: {reason}") from error
    if vectors[0].shape != vectors[1].shape:
        raise InputError(f"the two files of '{name}' in '{folder}' hold vectors of different widths.")
    return torch.stack(vectors)


def import_official(folder: str | Path, sources: Sequence[ImageSource], location: str) -> CacheWriter:
    """Fill a cache from files in the authors' layout, bit by bit the same values.

    Args:
        folder: where the ``.pt`` files are, named like the images.
        sources: the images, whose content gives the keys.
        location: directory or URL of the cache; one of such files is added to.

    Raises:
        FileNotFoundError: an image has no files; says how many and names the first.
        ValueError: two images share a file name, a file is not one vector as the first is, or an image is none.
        CacheMismatchError: the cache holds other features.
    """
    first = _first_of_all(folder, [Path(source.name).name for source in sources])
    dtype = "float16" if first.dtype == torch.float16 else "float32"
    cache = CacheWriter.create(location, OfficialFiles(first.shape[1]), dtype)
    cached = set(cache.entries())
    with progress(total=len(sources)) as bar:
        for start in range(0, len(sources), BATCH):
            entries = [_entry(source) for source in sources[start : start + BATCH]]
            new = [entry for entry in entries if entry not in cached]
            cache.append(new, _stacked(folder, new, cache.manifest))
            bar.update(len(entries))
    return cache


def _first_of_all(folder: str | Path, names: Sequence[str]) -> torch.Tensor:
    """Features of the first image, once every image is known to have files of its own."""
    clashes = [stem for stem, count in collections.Counter(Path(name).stem for name in names).items() if count > 1]
    if clashes:
        raise InputError(
            f"{len(clashes)} file names stand for several images, first: {clashes[:5]}; {INDISTINGUISHABLE}"
        )
    absent = [name for name in names if not all(path.is_file() for path in official_files(folder, name))]
    if absent or not names:
        raise FileNotFoundError(
            f"'{folder}' has no NAME_semantic_content.pt and NAME_coherence.pt for {len(absent)} of {len(names)} "
            f"images, first: {', '.join(absent[:5])}."
        )
    return read_official(folder, names[0])


def _entry(source: ImageSource) -> Entry:
    file = ImageFile(source.read())
    try:
        return Entry(file.pixel_key, file.file_key, source.name)
    except UnreadableImageError as error:
        raise UnreadableImageError(f"image '{source.name}' cannot be read: {error}") from error


def _stacked(folder: str | Path, entries: Sequence[Entry], manifest: Manifest) -> torch.Tensor:
    """Features (N, 2, D), checked to lose nothing in the cache."""
    features = torch.empty(len(entries), *manifest.shape, dtype=TORCH_DTYPES[manifest.dtype])
    for entry, target in zip(entries, features, strict=True):
        row = read_official(folder, Path(entry.source).name)
        if row.shape != target.shape or not torch.equal(target.copy_(row).to(row.dtype), row):
            raise InputError(
                f"the files of '{entry.source}' hold {row.dtype} vectors of {row.shape[1]} values, which a cache of "
                f"{manifest.shape[1]} values in {manifest.dtype} does not hold exactly; import them into another."
            )
    return features


def export_official(cache: CacheReader, folder: str | Path) -> int:
    """Write a cache in the authors' layout; return the number of images.

    Raises:
        ValueError: the cache has other prompts, or images of different content share a file name.
    """
    if cache.manifest.prompts != PROMPTS:
        raise InputError(f"the authors' layout holds {PROMPTS}; this cache holds {cache.manifest.prompts}.")
    rows = _row_of_stem(cache)
    dtype = TORCH_DTYPES[cache.manifest.dtype]
    for stem, row in progress(rows.items(), total=len(rows)):
        vectors = cache.get([row])[0].to(dtype)
        for path, vector in zip(_files_of_stem(Path(folder).expanduser(), stem), vectors, strict=True):
            with written_whole(path) as aside:
                torch.save(vector[None].clone(), aside)
    return len(rows)


def _row_of_stem(cache: CacheReader) -> dict[str, int]:
    rows: dict[str, int] = {}
    keys: dict[str, set[bytes]] = collections.defaultdict(set)
    for row, entry in enumerate(cache.entries()):
        stem = PurePosixPath(entry.source.replace("\\", "/")).stem
        rows.setdefault(stem, row)
        keys[stem].add(entry.pixel_key)
    clashes = sorted(stem for stem, of_stem in keys.items() if len(of_stem) > 1)
    if clashes:
        raise InputError(
            f"{len(clashes)} file names stand for several images of different content, first: {clashes[:5]}; "
            + INDISTINGUISHABLE
        )
    return rows
