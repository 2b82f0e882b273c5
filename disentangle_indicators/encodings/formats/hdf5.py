"""HDF5 through h5py: the keys are the paths of its arrays."""

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators.encodings._stored import Contents, needs, reading
from disentangle_indicators.encodings.formats._tree import arrays_of, metadata_of

SUFFIXES = (".h5", ".hdf5")
MEMORY = "a block of chunks"
HOLDS_TEXT = True
EXTRA = "h5"
MAGIC = b"\x89HDF\r\n\x1a\n"
"""First bytes of the file, or of what comes after a user block."""

USER_BLOCK = 512
"""Bytes of text that MATLAB and mudata write before it."""


def matches(path: Path, head: bytes) -> bool:
    """Whether the first bytes of a file are those of this format."""
    return head.startswith(MAGIC) or head[USER_BLOCK:].startswith(MAGIC)


def read(path: Path) -> Contents:
    """Open an HDF5 file; the keys are the paths of its arrays."""
    h5py = needs("h5py", EXTRA, path)

    @contextmanager
    def opener() -> Iterator[Any]:
        with h5py.File(path, "r") as root:
            yield root

    with reading(path), opener() as root:
        return Contents(arrays_of(path, root, opener), metadata_of(root))


def write(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write arrays under their names, and the metadata as attributes of the file."""
    with created(path) as root:
        root.attrs.update(metadata)
        for name, values in arrays.items():
            store(root, name, values)


@contextmanager
def created(path: Path) -> Iterator[Any]:
    """Open a new file; h5py raises a RuntimeError that names no file where a disk is full."""
    h5py = needs("h5py", EXTRA, path)
    try:
        with h5py.File(path, "w") as root:
            yield root
    except RuntimeError as error:
        found = re.search(r"errno = (\d+)", str(error))
        number = int(found[1]) if found else errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from error


def store(group: Any, name: str, values: NDArray[Any]) -> Any:
    """Write one array, of numbers or text, and return its data set."""
    import h5py

    if values.dtype.kind == "U":
        return group.create_dataset(name, data=values.astype(object), dtype=h5py.string_dtype())
    return group.create_dataset(name, data=np.ascontiguousarray(values))
