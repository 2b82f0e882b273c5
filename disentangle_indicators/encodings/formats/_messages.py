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


def check_messages(path: Path, start: int) -> None:
    """Refuse a file with a batch that inflates to far more than the size of the file.

    Parameters
    ----------
    path : Path
    start : int
        Byte of the first message.

    Raises
    ------
    ValueError
    """
    import pyarrow
    from pyarrow import ipc

    with pyarrow.memory_map(str(path)) as source:
        source.seek(start)
        for message in ipc.MessageReader.open_stream(source):
            if message.body is not None:
                check_size(path, "a batch", sum(_announced(message)))


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
