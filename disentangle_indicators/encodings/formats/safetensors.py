"""The safetensors format, our native one: `mean`, `logvar` and the metadata that explain them.

A file is eight bytes of header length, a JSON header with the offsets of every tensor, and the
tensors. The safetensors package validates it; the tensors are read by those offsets, so
that bfloat16, which numpy lacks, works too. Files are written here, since the package copies every
array into memory before release 0.8, shuffles the metadata, and raises no OSError on a full disk.
"""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators.encodings._stored import (
    Contents,
    Stored,
    check_count,
    on_disk,
    reading,
    refused,
)

SUFFIXES = (".safetensors",)
MEMORY = "a block"
HOLDS_TEXT = False

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}


_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items() if name != "BF16"}
_BYTES = 16 << 20

_CHECKSUM = "header_crc32"
"""Key of the metadata under which files that are written here keep a checksum of their header."""


def matches(path: Path, head: bytes) -> bool:
    """Whether a file begins with the length of a header of JSON."""
    return head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= path.stat().st_size


def read(path: Path) -> Contents:
    """Open a .safetensors file."""
    with reading(path), open(path, "rb") as stream:
        from safetensors import safe_open

        start = 8 + int.from_bytes(stream.read(8), "little")
        text = stream.read(min(start - 8, path.stat().st_size))
        check_count(text.count(b'"data_offsets"'))
        with safe_open(path, framework="np") as valid:
            metadata = dict(valid.metadata() or {})
        header = json.loads(text)
        written = metadata.pop(_CHECKSUM, None)
        if written is not None and written != _checksum(header):
            raise ValueError("the header is damaged: its checksum is another one")
        arrays = {
            name: _tensor(path, name, entry, start)
            for name, entry in header.items()
            if name != "__metadata__"
        }
    return Contents(arrays, metadata)


def write(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write arrays of numbers and their metadata, 16 MiB at a time."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    ordered = sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    for name, values in ordered:  # wide types first, so that every tensor is aligned
        begin, end = end, end + values.nbytes
        header[name] = {
            "dtype": _dtype_name(name, values.dtype),
            "shape": list(values.shape),
            "data_offsets": [begin, end],
        }
    header["__metadata__"][_CHECKSUM] = _checksum(header)
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for _, values in ordered:
            rows = max(1, _BYTES // max(1, values[:1].nbytes))
            for first in range(0, len(values), rows):
                block = values[first : first + rows]
                stream.write(np.ascontiguousarray(block, block.dtype.newbyteorder("<")).data)


def _checksum(header: Mapping[str, Any]) -> str:
    """Return the CRC-32 of a header without its checksum, whatever the order of its keys.

    The format has no checksum. A flipped bit in a name would drop an array without a word.
    """
    metadata = {k: v for k, v in header["__metadata__"].items() if k != _CHECKSUM}
    text = json.dumps({**header, "__metadata__": metadata}, sort_keys=True)
    return f"{zlib.crc32(text.encode()):08x}"


def _dtype_name(name: str, dtype: np.dtype[Any]) -> str:
    if dtype.kind not in "fiubc":
        raise ValueError(
            f"{name} holds text, which safetensors cannot store; give codes, or write .npz"
        )
    little = dtype.newbyteorder("<")
    if little not in _NAMES:
        raise ValueError(f"{name} has the dtype {dtype}, which safetensors cannot store")
    return _NAMES[little]


def _tensor(path: Path, name: str, entry: Mapping[str, Any], start: int) -> Stored:
    kind, shape = str(entry["dtype"]), tuple(entry["shape"])
    if kind not in _DTYPES:
        return refused(name, shape, kind, path, f"has the dtype {kind}; re-save it as float32")
    offset = start + int(entry["data_offsets"][0])
    return on_disk(path, name, shape, np.dtype(_DTYPES[kind]), offset, bfloat16=kind == "BF16")
