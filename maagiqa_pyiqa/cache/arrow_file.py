"""The one record batch of an Arrow file that may come from a stranger: views of the file, nothing decompressed."""

from __future__ import annotations

import struct

import pyarrow

from maagiqa_pyiqa.support.errors import InputError

MAGIC_BYTES = 8  # of an Arrow file; what follows is a stream, then a footer
MAX_PADDING = 2**28  # zeros in place of what was cut off: as much as a part usually holds


def schema_at_end(content: pyarrow.Buffer) -> pyarrow.Schema:
    """Schema with metadata as the footer has it, which must be there and tell of one batch."""
    with pyarrow.ipc.open_file(content) as reader:
        if reader.num_record_batches != 1:
            raise InputError(f"{reader.num_record_batches} record batches where a part has one")
        return reader.schema


def schema_at_start(content: pyarrow.Buffer) -> pyarrow.Schema:
    """The same schema, before the rows."""
    return pyarrow.ipc.read_schema(pyarrow.ipc.read_message(content[MAGIC_BYTES:]))


def start_of_batch(content: pyarrow.Buffer) -> int:
    """Place where the batch begins: after the schema."""
    source = pyarrow.BufferReader(content[MAGIC_BYTES:])
    pyarrow.ipc.read_message(source)
    return MAGIC_BYTES + int(source.tell())


def pad(content: pyarrow.Buffer, size: int) -> pyarrow.Buffer:
    """What was cut off reads as zeros.

    Raises:
        ValueError: ``size``, which the file claims, is no size or far from the file's.
    """
    missing = size - content.size
    if missing <= 0:
        return content
    if missing > MAX_PADDING:
        raise InputError(f"it claims {size:,} bytes and has {content.size:,}")
    padded = bytearray(size)
    padded[: content.size] = memoryview(content)
    return pyarrow.py_buffer(padded)


def read_batch(content: pyarrow.Buffer, start: int, schema: pyarrow.Schema) -> pyarrow.RecordBatch:
    """Read the batch that begins at ``start``.

    Raises:
        ValueError: it is compressed or no batch.
        pyarrow.ArrowException: it is damaged.
    """
    message = pyarrow.ipc.read_message(content[start:])
    if message.type != "record batch":
        raise InputError(f"a message '{message.type}' where the rows should be")
    if _is_compressed(message.metadata):
        raise InputError("its buffers are compressed, which no part of a cache is")
    batch = pyarrow.ipc.read_record_batch(message, schema)
    batch.validate()  # damaged lengths would end the process later
    return batch


def _is_compressed(metadata: pyarrow.Buffer) -> bool:
    """Whether a message's flatbuffer holds RecordBatch.compression, which pyarrow reads but does not show."""
    (message,) = struct.unpack_from("<I", metadata)
    header = _field(metadata, message, 2)  # after version and the header's type
    (offset,) = struct.unpack_from("<I", metadata, header)
    return _field(metadata, header + offset, 3) != 0  # after length, nodes and buffers


def _field(metadata: pyarrow.Buffer, table: int, number: int) -> int:
    """Place of a table's field, 0 where the field is absent."""
    (back,) = struct.unpack_from("<i", metadata, table)
    vtable = table - back
    (size,) = struct.unpack_from("<H", metadata, vtable)
    if 4 + 2 * number >= size:
        return 0
    (offset,) = struct.unpack_from("<H", metadata, vtable + 4 + 2 * number)
    return table + offset if offset else 0
