"""The .npz format: a zip archive of .npy members, streamed.

np.load reads a member whole (and ignores mmap_mode on archives); here the member is decompressed
as far as the next block needs.
"""

import json
import zipfile
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from disentangle_indicators.encodings._stored import (
    RESAVE,
    Contents,
    Stored,
    native,
    npy_header,
    reading,
    refused,
)

SUFFIXES = (".npz",)
HOLDS_TEXT = True


def read(path: Path) -> Contents:
    """Open an .npz archive, whose members may be stored or deflated."""
    with reading(path), open(path, "rb") as raw, zipfile.ZipFile(raw) as archive:
        arrays = {
            info.filename.removesuffix(".npy"): _member(path, archive, info)
            for info in archive.infolist()
            if info.filename.endswith(".npy")
        }
        return Contents(arrays, _metadata(arrays.get("metadata")))


def write(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write arrays and metadata; the metadata are one JSON string, since .npz has no place."""
    with open(path, "wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays, metadata=np.array(json.dumps(metadata)))


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Stored:
    name = info.filename.removesuffix(".npy")
    with archive.open(info) as stream:
        shape, fortran, dtype = npy_header(stream)
        need = stream.tell() + prod(shape) * dtype.itemsize
    if dtype.hasobject:
        return refused(name, shape, "object", path, f"holds Python objects; {RESAVE}")
    if need > info.file_size:
        raise ValueError(f"{name!r} is truncated: {info.file_size} bytes, {need} announced")

    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        with reading(path), zipfile.ZipFile(path) as source, source.open(info.filename) as stream:
            if fortran or not shape:
                whole = native(npy_format.read_array(stream, allow_pickle=False))
                for start in range(0, shape[0] if shape else 1, rows):
                    yield whole[start : start + rows] if shape else whole
            else:
                npy_header(stream)
                for start in range(0, shape[0], rows):
                    part = (min(rows, shape[0] - start), *shape[1:])
                    data = stream.read(prod(part) * dtype.itemsize)
                    yield native(np.frombuffer(data, dtype, prod(part)).reshape(part))
            stream.read(1)  # reaching the end of the member is what checks its CRC

    return Stored(name, shape, dtype.name, blocks)


def _metadata(array: Stored | None) -> dict[str, str]:
    """Return what `write` stored, and nothing when the key means something else."""
    if array is None or array.shape != () or not array.dtype.startswith("str"):
        return {}
    text = str(array.read())  # a damaged member is refused here
    try:
        values = json.loads(text)
    except json.JSONDecodeError:  # a key of the same name that is not ours
        return {}
    return {k: str(v) for k, v in values.items()} if isinstance(values, dict) else {}
