"""The .npz format: a zip archive of .npy members, streamed.

np.load reads a member whole (and ignores mmap_mode on archives); here the member is decompressed
as far as the next block needs.
"""

import json
import os
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from disentangle_indicators.encodings._stored import (
    OBJECTS,
    Contents,
    Stored,
    check_count,
    check_size,
    cut,
    cut_anew,
    members,
    native,
    npy_header,
    reading,
    refused,
)

SUFFIXES = (".npz",)
MEMORY = "a block, or the array if it is in Fortran order"
HOLDS_TEXT = True

_END = struct.Struct("<4s6xH10x")
"""The last record of an archive without a comment: its mark and the number of members."""

_MANY = 0xFFFF
"""That number where there are more members than it can count."""


def matches(path: Path, head: bytes) -> bool:
    """Whether a file is an archive with .npy members."""
    return any(name.endswith(".npy") for name in members(path, head))


def read(path: Path) -> Contents:
    """Open an .npz archive, whose members may be stored or deflated."""
    with reading(path), open(path, "rb") as raw, zipfile.ZipFile(raw) as archive:
        inner = [info for info in archive.infolist() if info.filename.endswith(".npy")]
        of_samples = len(inner) > 1 and all("/" in info.filename for info in inner)
        if not of_samples:
            check_count(len(inner))
        _check_directory(raw, archive)
        if of_samples:
            return _of_samples(path, archive, inner)
        arrays = {
            info.filename.removesuffix(".npy"): _member(path, archive, info) for info in inner
        }
        return Contents(arrays, _metadata(arrays.get("metadata")))


def _of_samples(path: Path, archive: zipfile.ZipFile, inner: list[zipfile.ZipInfo]) -> Contents:
    """Return the members in folders of an archive, one a row, as one array in their order.

    That is how EDM2 and its like store an image set: 00000/img-mean-std-00000000.npy, ...
    """
    inner = sorted(inner, key=lambda info: info.filename)
    first = _member(path, archive, inner[0])
    name = re.sub(r"[-_.]?\d+$", "", Path(inner[0].filename).stem) or path.stem

    def samples() -> Iterator[NDArray[Any]]:
        with zipfile.ZipFile(path) as source:
            for info in inner:
                with source.open(info) as stream:
                    sample = npy_format.read_array(stream, allow_pickle=False)
                if sample.shape != first.shape:
                    raise ValueError(
                        f"{info.filename} has the shape {sample.shape}, not {first.shape}"
                    )
                yield native(sample)[None]

    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        with reading(path):
            yield from cut_anew(samples(), rows)

    stacked = Stored(name, (len(inner), *first.shape), first.dtype, blocks)
    return Contents(
        {name: stacked},
        notes=(f"{len(inner)} arrays of {path.name} are stacked, one row each",),
    )


def _check_directory(raw: IO[bytes], archive: zipfile.ZipFile) -> None:
    """Refuse a directory that has lost or renamed a member: no checksum covers it.

    The last record of the archive counts the members, and each member repeats its name.
    """
    for info in archive.infolist():
        archive.open(info).close()  # this compares the two names
    raw.seek(-_END.size, os.SEEK_END)
    mark, count = _END.unpack(raw.read())
    if mark == b"PK\x05\x06" and count not in (len(archive.infolist()), _MANY):
        raise ValueError(
            f"the archive is damaged: it announces {count} members and lists "
            f"{len(archive.infolist())}"
        )


def write(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write arrays and metadata; the metadata are one JSON string, since .npz has no place."""
    # not by np.savez, which pickles objects, and in numpy 2.0 leaves its archive open on failure
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in {**arrays, "metadata": np.array(json.dumps(metadata))}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                npy_format.write_array(stream, np.asanyarray(array), allow_pickle=False)


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Stored:
    name = info.filename.removesuffix(".npy")
    with archive.open(info) as stream:
        shape, fortran, dtype = npy_header(stream)
        need = stream.tell() + prod(shape) * dtype.itemsize
    if dtype.names:
        first = dtype.names[0]
        rule = (
            f"holds records; save each field alone, as np.savez(path, {first}={name}['{first}'])"
        )
        return refused(name, shape, "object", path, rule)
    if dtype.hasobject:
        return refused(name, shape, "object", path, OBJECTS)
    if need != info.file_size:
        word = "truncated" if need > info.file_size else "damaged"
        raise ValueError(f"{name!r} is {word}: {info.file_size} bytes, {need} announced")

    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        with reading(path), zipfile.ZipFile(path) as source, source.open(info.filename) as stream:
            if fortran or not shape:
                check_size(path, name, prod(shape) * dtype.itemsize)
                yield from cut(native(npy_format.read_array(stream, allow_pickle=False)), rows)
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
