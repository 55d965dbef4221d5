"""One file of a cache: an Arrow IPC file with keys, names and features of some images, written once and never changed.

It is named by the SHA-256 of its content, so that any damage shows. Rows carry a CRC-32 of key, name and features, so
that a damaged file still gives up what is whole in it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import struct
import warnings
import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow
import torch

from maagiqa_pyiqa.cache.arrow_file import pad, read_batch, schema_at_end, schema_at_start, start_of_batch
from maagiqa_pyiqa.cache.index import ABSENT, KeyIndex
from maagiqa_pyiqa.cache.keys import KEY_BYTES
from maagiqa_pyiqa.cache.manifest import REMEDY, DamagedCacheError, Manifest
from maagiqa_pyiqa.support.errors import InputError

PATTERN = "part-*.arrow"
TORCH_DTYPES = {"float16": torch.float16, "float32": torch.float32}
COLUMNS = ("pixel_key", "file_key", "source", "checksum", "features")  # features last: a cut costs the last rows
DAMAGE = (  # what reading a damaged or hostile file raises
    pyarrow.ArrowException, LookupError, ArithmeticError, ValueError, OSError, AttributeError, TypeError, RuntimeError,
    EOFError, struct.error,
)  # fmt: skip


class Entry(NamedTuple):
    """An image: key of its pixels, key of its file's bytes (None for a bare tensor), and the name it was read under."""

    pixel_key: bytes
    file_key: bytes | None
    source: str


def part_name(content: bytes | pyarrow.Buffer) -> str:
    """Name of the file that has this content."""
    return f"part-{hashlib.sha256(content).hexdigest()}.arrow"


def stored_source(name: str) -> str:
    r"""A name as it is kept: what is not Unicode in a file's name is written out as ``\udcXX``."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def encode_part(
    manifest: Manifest, entries: Sequence[Entry], features: torch.Tensor, replaces: Sequence[str] = ()
) -> pyarrow.Buffer:
    """Serialize rows.

    Args:
        manifest: of the cache.
        entries: one per row.
        features: (N, E, D) in the manifest's dtype, finite.
        replaces: names of parts whose rows these are, which no longer count once this part is there.
    """
    entries = [entry._replace(source=stored_source(entry.source)) for entry in entries]
    rows = np.ascontiguousarray(features.numpy().reshape(len(entries), -1))  # (N, E * D)
    checksums = [_checksum(entry, row) for entry, row in zip(entries, rows, strict=True)]
    features_column = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(rows.reshape(-1)), rows.shape[1])
    columns = [*map(list, zip(*entries, strict=True)), checksums, features_column]
    batch = pyarrow.RecordBatch.from_pydict(dict(zip(COLUMNS, columns, strict=True)), _schema(manifest))
    size = str(pyarrow.ipc.get_record_batch_size(batch))
    metadata = {"manifest": manifest.to_json(), "replaces": json.dumps(list(replaces)), "batch_bytes": size}
    batch = batch.replace_schema_metadata(metadata)
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def _schema(manifest: Manifest) -> pyarrow.Schema:
    key = pyarrow.binary(KEY_BYTES)
    features = pyarrow.list_(pyarrow.from_numpy_dtype(manifest.dtype), math.prod(manifest.shape))
    types = (key, key, pyarrow.string(), pyarrow.uint32(), features)
    return pyarrow.schema(list(zip(COLUMNS, types, strict=True)))


def _checksum(entry: Entry, row: np.ndarray) -> int:
    entry_bytes = entry.pixel_key + (entry.file_key or bytes(KEY_BYTES)) + entry.source.encode("utf-8", "replace")
    return zlib.crc32(row.data, zlib.crc32(entry_bytes))


class Part:
    """A part that has been mapped.

    Args:
        name: of the file.
        content: of the file.
        where: the cache, for messages.
        salvage: read what can be read of a file whose end is damaged or missing.

    Attributes:
        pixel_keys: (N, 32) uint8.
        file_keys: (N, 32) uint8; zeros where an image had no file.
        features: (N, E, D), a view of the mapped file: copy before writing to it.
        replaces: names of parts whose rows are here too.
    """

    def __init__(self, name: str, content: pyarrow.Buffer, where: str, salvage: bool = False) -> None:
        self.name = name
        self.bytes = content.size
        self._content = content
        self._where = where
        try:
            self._read(salvage)
            self._view()
        except DAMAGE as error:
            raise DamagedCacheError(
                f"part '{name}' of the cache '{where}' is damaged or cut short ({_first_line(error)}). {REMEDY} "
                "What is whole in it is kept, the rest is extracted anew by the next run."
            ) from error

    def _read(self, salvage: bool) -> None:
        content = self._content
        schema = schema_at_start(content) if salvage else schema_at_end(content)
        metadata = schema.metadata or {}
        self.manifest = Manifest.from_json(metadata[b"manifest"], f"{self._where}/{self.name}")
        self.replaces = _names(metadata[b"replaces"])
        if schema.remove_metadata() != _schema(self.manifest):
            raise InputError(f"columns {schema.remove_metadata()} where the manifest says {_schema(self.manifest)}")
        start = start_of_batch(content)
        if salvage:
            content = pad(content, start + int(metadata[b"batch_bytes"]))
        self._batch = read_batch(content, start, schema)

    def _view(self) -> None:
        batch = self._batch
        if any(batch.column(name).null_count for name in COLUMNS if name != "file_key"):
            raise InputError("rows without key, name, checksum or features")
        self.pixel_keys = _key_matrix(batch.column("pixel_key"))
        column = batch.column("file_key")
        self.file_keys = _key_matrix(column.fill_null(bytes(KEY_BYTES)) if column.null_count else column)
        self._checksums = batch.column("checksum").to_numpy().data
        values = batch.column("features").flatten().to_numpy(zero_copy_only=True)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            features = torch.from_numpy(values)
        self.features = features.view(len(self.pixel_keys), *self.manifest.shape)
        self._values = values.view(np.uint8).data
        self._was_whole = bytearray(len(self))
        self._pixel_key_bytes, self._file_key_bytes = self.pixel_keys.reshape(-1).data, self.file_keys.reshape(-1).data
        self._view_names()

    def _view_names(self) -> None:
        _, offsets, text = self._batch.column("source").buffers()
        self._names = memoryview(text or b"")  # sliced here: pyarrow would follow a damaged offset out of the file
        ends = np.frombuffer(offsets, np.int32, len(self) + 1)
        self._name_ends = ends.data
        if np.diff(ends.clip(0, len(self._names))).clip(0).sum(dtype=np.int64) > 2 * len(self._names):
            raise InputError("names overlap")  # one damaged offset costs its rows alone

    def __len__(self) -> int:
        return len(self.pixel_keys)

    def entries(self, rows: Sequence[int] | None = None) -> list[Entry]:
        """Entries of some rows, or of all."""
        return [self._entry(row) for row in (range(len(self)) if rows is None else rows)]

    def _entry(self, row: int) -> Entry:
        file_key = self.file_keys[row]
        source = str(self._name(row), "utf-8", "replace")
        return Entry(self.pixel_keys[row].tobytes(), file_key.tobytes() if file_key.any() else None, source)

    def _name(self, row: int) -> memoryview:
        return self._names[max(self._name_ends[row], 0) : max(self._name_ends[row + 1], 0)]

    def is_whole(self, row: int) -> bool:
        """Whether a row's keys, name and features are as they were written."""
        key = slice(KEY_BYTES * row, KEY_BYTES * (row + 1))
        checksum = zlib.crc32(self._file_key_bytes[key], zlib.crc32(self._pixel_key_bytes[key]))
        size = self.manifest.row_bytes
        features = self._values[size * row : size * (row + 1)]
        return zlib.crc32(features, zlib.crc32(self._name(row), checksum)) == int(self._checksums[row])

    def whole_rows(self) -> list[int]:
        """Rows whose keys, name and features are as they were written."""
        return [row for row in range(len(self)) if self.is_whole(row)]

    def row(self, row: int) -> torch.Tensor:
        """Features of a row, a view of the mapped file, checked when the row is read for the first time.

        Raises:
            DamagedCacheError: the row is not what was written.
        """
        if not self._was_whole[row]:
            self._require_whole(row)
            self._was_whole[row] = True
        return self.features[row]

    def rows(self, rows: Sequence[int]) -> torch.Tensor:
        """Features of rows, a copy in the dtype they are kept in; each row is checked.

        Raises:
            DamagedCacheError: a row is not what was written.
        """
        for row in rows:
            self._require_whole(row)
        return self.features[rows]

    def _require_whole(self, row: int) -> None:
        if not self.is_whole(row):
            raise DamagedCacheError(
                f"row {row} of part '{self.name}' of the cache '{self._where}' (image '{self._entry(row).source}') is "
                f"not what was written. {REMEDY} What is whole is kept, this image is extracted anew by the next run."
            )

    @functools.cached_property
    def is_as_written(self) -> bool:
        """Whether the whole file is, by its name."""
        return part_name(self._content) == self.name

    def holds_all_of(self, parts: Iterable[Part]) -> bool:
        """Whether every image of other parts is here."""
        others = list(parts)
        index = KeyIndex([self.pixel_keys] if others else [])
        return all(index.find(key.tobytes()) != ABSENT for part in others for key in part.pixel_keys)


def untruthful(parts: Sequence[Part]) -> list[Part]:
    """Parts that claim to replace others that are here and lack some of their images."""
    return [part for part in parts if not part.holds_all_of(_claimed(part, parts))]


def replaced(parts: Sequence[Part]) -> set[str]:
    """Names of parts whose rows are in others; what a damaged part says of that does not count."""
    return {other.name for part in parts for other in _claimed(part, parts) if part.is_as_written}


def _claimed(part: Part, parts: Sequence[Part]) -> list[Part]:
    return [other for other in parts if other.name in part.replaces] if part.replaces else []


def _key_matrix(column: pyarrow.FixedSizeBinaryArray) -> np.ndarray:
    data = column.buffers()[1]
    start = column.offset * KEY_BYTES
    return np.frombuffer(data, np.uint8, len(column) * KEY_BYTES, start).reshape(-1, KEY_BYTES)


def _names(text: bytes) -> frozenset[str]:
    names = json.loads(text)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError("'replaces' is no list of names")
    return frozenset(names)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
