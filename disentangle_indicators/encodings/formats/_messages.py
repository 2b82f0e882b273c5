"""What the messages of Arrow files announce: the bytes that their compressed buffers inflate to.

A message is a table of FlatBuffers with the places of its buffers, and each compressed buffer
begins with its own size. pyarrow allocates that size before it inflates anything.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from disentangle_indicators.encodings._stored import check_size

_DICTIONARIES, _BATCH = 2, 3
"""Numbers of the kinds of messages that have buffers."""

_BUFFER = struct.Struct("<qq")
"""Offset and length of a buffer in the body of its message."""


_BLOCK = struct.Struct("<q16x")
"""Where a message begins, and lengths, in the table of contents of a file."""

_END = struct.Struct("<i6s")
"""Length of the table of contents and the mark behind it, which end a file."""


def check_messages(path: Path, *, stream: bool) -> None:
    """Refuse a file with a batch that inflates to far more than the size of the file.

    Parameters
    ----------
    path : Path
    stream : bool
        Whether messages follow each other, without a table of contents.

    Raises
    ------
    ValueError
    """
    import pyarrow
    from pyarrow import ipc

    with pyarrow.memory_map(str(path)) as source:
        messages = ipc.MessageReader.open_stream(source) if stream else _listed(source)
        for message in messages:
            if message.body is not None:
                check_size(path, "a batch", sum(_announced(message)))


def _listed(source: Any) -> Iterator[Any]:
    """Yield the messages of dictionaries and batches in the table of contents of a file.

    polars writes others between them, which are no messages.
    """
    from pyarrow import ipc

    source.seek(source.size() - _END.size)
    length, _ = _END.unpack(source.read(_END.size))
    source.seek(source.size() - _END.size - length)
    table = source.read(length)
    root = struct.unpack_from("<i", table)[0]
    for number in (2, 3):
        if at := _field(table, root, number):
            blocks = _target(table, at)
            for block in range(struct.unpack_from("<i", table, blocks)[0]):
                source.seek(_BLOCK.unpack_from(table, blocks + 4 + _BLOCK.size * block)[0])
                yield ipc.read_message(source)


def _announced(message: Any) -> Iterator[int]:
    """Yield the bytes that the buffers of a message take when they are inflated."""
    table, body = bytes(message.metadata), memoryview(message.body)
    root = struct.unpack_from("<i", table)[0]
    kind = table[at] if (at := _field(table, root, 1)) else 0
    if kind not in (_DICTIONARIES, _BATCH):
        return
    batch = _target(table, _field(table, root, 2))
    if kind == _DICTIONARIES:
        batch = _target(table, _field(table, batch, 1))
    if not _field(table, batch, 3):  # nothing is compressed
        return
    buffers = _target(table, _field(table, batch, 2))
    for number in range(struct.unpack_from("<i", table, buffers)[0]):
        offset, length = _BUFFER.unpack_from(table, buffers + 4 + _BUFFER.size * number)
        if length >= 8:
            size = struct.unpack_from("<q", body, offset)[0]
            yield length if size < 0 else size  # -1 for a buffer that is as it was


def _field(table: bytes, root: int, number: int) -> int:
    """Return where a field of a table of FlatBuffers is, 0 for one that is not there."""
    layout = root - struct.unpack_from("<i", table, root)[0]
    size = struct.unpack_from("<H", table, layout)[0]
    at = 4 + 2 * number
    offset = struct.unpack_from("<H", table, layout + at)[0] if at < size else 0
    return root + offset if offset else 0


def _target(table: bytes, at: int) -> int:
    """Return where a field of another table or of a list points to."""
    return at + int(struct.unpack_from("<I", table, at)[0])
