"""One file of a cache: an Arrow IPC file with keys, names and features of some images, written once and never changed.

Rows carry a CRC-32 of key and features, so that a damaged file still gives up what is whole in it; the file carries the
manifest and a SHA-256 over the rest.
"""

from __future__ import annotations

import hashlib
import uuid
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


class Entry(NamedTuple):
    """An image: key of its pixels, key of its file's bytes (None for a bare tensor), and the name it was read under."""

    pixel_key: bytes
    file_key: bytes | None
    source: str


def new_name() -> str:
    """A file name that no other process, here or elsewhere, will choose."""
    return f"part-{uuid.uuid4().hex}.arrow"


def encode_part(manifest: Manifest, entries: Sequence[Entry], features: torch.Tensor) -> pyarrow.Buffer:
    """Serialize rows.

    Args:
        manifest: of the cache.
        entries: one per row.
        features: (N, E, D) in the manifest's dtype, finite.
    """
    rows = np.ascontiguousarray(features.numpy().reshape(len(entries), -1))  # (N, E * D)
    checksums = [_row_checksum(entry.pixel_key, row) for entry, row in zip(entries, rows, strict=True)]
    key_type = pyarrow.binary(KEY_BYTES)
    columns = {
        "pixel_key": pyarrow.array([entry.pixel_key for entry in entries], key_type),
        "file_key": pyarrow.array([entry.file_key for entry in entries], key_type),
        "source": pyarrow.array([entry.source for entry in entries], pyarrow.string()),
        "checksum": pyarrow.array(checksums, pyarrow.uint32()),
        "features": pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(rows.reshape(-1)), rows.shape[1]),
    }
    batch = pyarrow.RecordBatch.from_pydict(columns)
    metadata = {"manifest": manifest.to_json(), "sha256": _batch_checksum(batch)}
    batch = batch.replace_schema_metadata(metadata)
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def _row_checksum(key: bytes, row: np.ndarray) -> int:
    return zlib.crc32(row.data, zlib.crc32(key))


def _batch_checksum(batch: pyarrow.RecordBatch) -> str:
    digest = hashlib.sha256()
    for column in batch.columns:
        for buffer in column.buffers():
            if buffer is not None:
                digest.update(buffer)
    return digest.hexdigest()


class Part:
    """A part that has been mapped.

    Attributes:
        pixel_keys: (N, 32) uint8.
        features: (N, E, D), a view of the mapped file: copy before writing to it.
    """

    def __init__(self, name: str, content: pyarrow.Buffer, where: str) -> None:
        self.name = name
        self.bytes = content.size
        try:
            with pyarrow.ipc.open_file(content) as reader:
                self._batch = reader.get_batch(0)
                metadata = reader.schema.metadata or {}
            self.manifest = Manifest.from_json(metadata[b"manifest"], f"{where}/{name}")
            self._checksum = metadata[b"sha256"].decode()
            self._view()
        except (pyarrow.ArrowException, KeyError, IndexError, ValueError, OSError, AttributeError) as error:
            raise DamagedCacheError(
                f"part '{name}' of the cache '{where}' is damaged or cut short ({_first_line(error)}). {REMEDY} "
                "What is whole in it is kept, the rest is extracted anew by the next run."
            ) from error

    def _view(self) -> None:
        self.pixel_keys = _key_matrix(self._batch.column("pixel_key"))
        values = self._batch.column("features").flatten().to_numpy(zero_copy_only=True)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            features = torch.from_numpy(values)
        self.features = features.view(len(self.pixel_keys), *self.manifest.shape)
        if features.dtype != TORCH_DTYPES[self.manifest.dtype]:
            raise ValueError(f"dtype {features.dtype} where the manifest says {self.manifest.dtype}")

    def __len__(self) -> int:
        return len(self.pixel_keys)

    @property
    def file_keys(self) -> np.ndarray:
        """(N, 32) uint8; zeros where an image had no file."""
        column = self._batch.column("file_key")
        return _key_matrix(column.fill_null(bytes(KEY_BYTES)) if column.null_count else column)

    @property
    def sources(self) -> list[str]:
        """Names the images were read under."""
        return list(self._batch.column("source").to_pylist())

    def entries(self, rows: Sequence[int] | None = None) -> list[Entry]:
        """Entries of some rows, or of all."""
        names = ("pixel_key", "file_key", "source")
        batch = self._batch.select(names) if rows is None else self._batch.select(names).take(pyarrow.array(rows))
        return [Entry(*values) for values in zip(*(column.to_pylist() for column in batch.columns), strict=True)]

    def is_whole(self) -> bool:
        """Whether every byte is as it was written; reads the whole part."""
        return _batch_checksum(self._batch) == self._checksum

    def whole_rows(self) -> list[int]:
        """Rows whose key and features are as they were written."""
        values = self.features.reshape(len(self), -1).numpy()
        checksums = self._batch.column("checksum").to_pylist()
        keys = (bytes(key) for key in self.pixel_keys)
        rows = zip(keys, values, checksums, strict=True)
        return [index for index, (key, row, expected) in enumerate(rows) if _row_checksum(key, row) == expected]


def _key_matrix(column: pyarrow.FixedSizeBinaryArray) -> np.ndarray:
    data = column.buffers()[1]
    start = column.offset * KEY_BYTES
    return np.frombuffer(data, np.uint8, len(column) * KEY_BYTES, start).reshape(-1, KEY_BYTES)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
