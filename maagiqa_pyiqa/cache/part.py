"""One file of a cache: an Arrow IPC file with keys, names and features of some images, written once and never changed.

It is named by the SHA-256 of its content, so that any damage shows. Rows carry a CRC-32 of key, name and features, so
that a damaged file still gives up what is whole in it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import warnings
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow
import torch

from maagiqa_pyiqa.cache.keys import KEY_BYTES
from maagiqa_pyiqa.cache.manifest import REMEDY, DamagedCacheError, Manifest

PATTERN = "part-*.arrow"
TORCH_DTYPES = {"float16": torch.float16, "float32": torch.float32}
COLUMNS = ("pixel_key", "file_key", "source", "checksum", "features")  # features last: a cut costs the last rows
MAGIC_BYTES = 8  # of an Arrow file; what follows is a stream, then a footer


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


def _read(content: pyarrow.Buffer) -> pyarrow.RecordBatch:
    with pyarrow.ipc.open_file(content) as reader:
        return reader.get_batch(0)


def _read_from_start(content: pyarrow.Buffer) -> pyarrow.RecordBatch:
    """As ``_read``, without the footer; what was cut off reads as zeros."""
    stream = content[MAGIC_BYTES:]
    metadata = pyarrow.ipc.open_stream(stream).schema.metadata
    padded = pyarrow.py_buffer(stream.to_pybytes() + bytes(int(metadata[b"batch_bytes"])))
    return pyarrow.ipc.open_stream(padded).read_next_batch()


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
        try:
            self._batch = _read_from_start(content) if salvage else _read(content)
            self._batch.validate()  # damaged lengths would end the process later
            metadata = self._batch.schema.metadata or {}
            self.manifest = Manifest.from_json(metadata[b"manifest"], f"{where}/{name}")
            self.replaces = frozenset(json.loads(metadata[b"replaces"]))
            self._view()
        except (pyarrow.ArrowException, LookupError, ValueError, OSError, AttributeError, TypeError, RuntimeError) as e:
            raise DamagedCacheError(
                f"part '{name}' of the cache '{where}' is damaged or cut short ({_first_line(e)}). {REMEDY} "
                "What is whole in it is kept, the rest is extracted anew by the next run."
            ) from e

    def _view(self) -> None:
        schema = self._batch.schema.remove_metadata()
        if schema != _schema(self.manifest):
            raise ValueError(f"columns {schema} where the manifest says {_schema(self.manifest)}")
        self.pixel_keys = _key_matrix(self._batch.column("pixel_key"))
        column = self._batch.column("file_key")
        self.file_keys = _key_matrix(column.fill_null(bytes(KEY_BYTES)) if column.null_count else column)
        values = self._batch.column("features").flatten().to_numpy(zero_copy_only=True)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            features = torch.from_numpy(values)
        self.features = features.view(len(self.pixel_keys), *self.manifest.shape)

    def __len__(self) -> int:
        return len(self.pixel_keys)

    @property
    def sources(self) -> list[str]:
        """Names the images were read under."""
        _, offsets, text = self._batch.column("source").buffers()
        ends = np.frombuffer(offsets, np.int32, len(self) + 1).tolist()
        names = memoryview(text or b"")  # sliced here: pyarrow would follow a damaged offset out of the file
        return [str(names[max(start, 0) : end], "utf-8", "replace") for start, end in itertools.pairwise(ends)]

    def entries(self, rows: Sequence[int] | None = None) -> list[Entry]:
        """Entries of some rows, or of all."""
        sources = self.sources
        chosen = range(len(self)) if rows is None else rows
        return [self._entry(row, sources[row]) for row in chosen]

    def _entry(self, row: int, source: str) -> Entry:
        file_key = self.file_keys[row]
        return Entry(self.pixel_keys[row].tobytes(), file_key.tobytes() if file_key.any() else None, source)

    def whole_rows(self) -> list[int]:
        """Rows whose keys, name and features are as they were written."""
        values = self.features.reshape(len(self), -1).numpy()
        checksums = self._batch.column("checksum").to_pylist()
        rows = zip(self.entries(), values, checksums, strict=True)
        return [index for index, (entry, row, expected) in enumerate(rows) if _checksum(entry, row) == expected]


def _key_matrix(column: pyarrow.FixedSizeBinaryArray) -> np.ndarray:
    data = column.buffers()[1]
    start = column.offset * KEY_BYTES
    return np.frombuffer(data, np.uint8, len(column) * KEY_BYTES, start).reshape(-1, KEY_BYTES)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
