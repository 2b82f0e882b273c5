"""The safetensors format, our native one: `mean`, `logvar` and the metadata that explain them.

A file is eight bytes of header length, a JSON header with the offsets of every tensor, and the
tensors. The safetensors package validates it; the tensors are memory-mapped by those offsets, so
that bfloat16, which numpy lacks, works too.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators.encodings._stored import Contents, Stored, mapped, reading, refused

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


def read(path: Path) -> Contents:
    """Open a .safetensors file."""
    with reading(path):
        from safetensors import safe_open

        with safe_open(path, framework="np") as valid:
            metadata = dict(valid.metadata() or {})
        with open(path, "rb") as stream:
            start = 8 + int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(start - 8))
        arrays = {
            name: _tensor(path, name, entry, start)
            for name, entry in header.items()
            if name != "__metadata__"
        }
    return Contents(arrays, metadata)


def write(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write arrays of numbers and their metadata."""
    from safetensors.numpy import save_file

    for name, values in arrays.items():
        if values.dtype.kind not in "fiub":
            raise ValueError(
                f"{name} holds text, which safetensors cannot store; give codes, or write .npz"
            )
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, path, dict(metadata))


def _tensor(path: Path, name: str, entry: Mapping[str, Any], start: int) -> Stored:
    kind, shape = str(entry["dtype"]), tuple(entry["shape"])
    if kind not in _DTYPES:
        return refused(name, shape, kind, path, f"has the dtype {kind}; re-save it as float32")
    offset = start + int(entry["data_offsets"][0])
    return mapped(path, name, shape, np.dtype(_DTYPES[kind]), offset, bfloat16=kind == "BF16")
