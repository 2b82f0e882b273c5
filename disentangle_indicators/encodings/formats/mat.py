"""MATLAB files: up to version 7 through scipy, from 7.3 on, which is HDF5, through h5py."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators.encodings._stored import (
    Contents,
    Stored,
    check_count,
    check_size,
    cut,
    native,
    reading,
    refused,
)
from disentangle_indicators.encodings.formats import hdf5
from disentangle_indicators.encodings.names import role

SUFFIXES = (".mat",)
MEMORY = "the file"

_BYTES = 8
"""Of a number, at most."""


def matches(path: Path, head: bytes) -> bool:
    """Whether a file begins as MATLAB files do, of any version: other HDF5 has its axes unturned."""
    return head.startswith(b"MATLAB ")


def read(path: Path) -> Contents:
    """Open a .mat file, which is held in memory; fields of a structure are keys like "z/mu"."""
    with reading(path), open(path, "rb") as stream:
        stream.seek(hdf5.USER_BLOCK)
        if stream.read(len(hdf5.MAGIC)) == hdf5.MAGIC:
            contents = hdf5.read(path).arrays.values()
            arrays = [_reversed(array) for array in contents if not array.name.startswith("#")]
        else:
            from scipy.io import loadmat, whosmat

            listed = whosmat(path)
            check_count(len(listed))
            announced = sum(prod(shape) * _BYTES for _, shape, _ in listed)
            check_size(path, "all arrays together", announced)
            found = loadmat(path, struct_as_record=False, squeeze_me=False)
            arrays = list(_arrays(path, found, ""))
    rows = {array.shape[0] for array in arrays if array.shape}
    return Contents({array.name: _as_vector(array, rows) for array in arrays})


def _reversed(stored: Stored) -> Stored:
    """Return an array of version 7.3, whose axes are stored the other way round."""
    shape = stored.shape[::-1]
    return replace(stored, shape=shape, blocks=lambda rows: cut(stored.read().T, rows))


def _arrays(path: Path, values: Mapping[str, Any], prefix: str) -> Iterator[Stored]:
    for key, value in values.items():
        if key.startswith("__"):
            continue
        name, array = f"{prefix}{key}", np.asarray(value)
        if array.dtype.kind in "fiubU":
            yield _stored(name, native(array))
        elif array.size == 1 and hasattr(array.flat[0], "_fieldnames"):
            record = array.flat[0]
            fields = {field: getattr(record, field) for field in record._fieldnames}
            yield from _arrays(path, fields, f"{name}/")
        elif array.dtype == object and all(np.asarray(c).dtype.kind == "U" for c in array.flat):
            words = ["".join(np.asarray(cell).ravel()) for cell in array.flat]
            yield _stored(name, np.array(words, dtype=str).reshape(array.shape))
        else:
            rule = "is an object or a cell array; save it as a matrix of numbers"
            yield refused(name, array.shape, "object", path, rule)


def _stored(name: str, array: NDArray[Any]) -> Stored:
    return Stored(name, array.shape, array.dtype.name, lambda rows: cut(array, rows))


def _as_vector(stored: Stored, rows: set[int]) -> Stored:
    """Return a vector as what it is: in MATLAB every array has two axes.

    A row is a vector if another array has as many rows, and a column always is, unless the name is
    that of means or scales, which have one row or one latent then.
    """
    row = len(stored.shape) == 2 and stored.shape[0] == 1 and stored.shape[1] in rows
    if role(stored.name) is not None or not (row or stored.shape[1:] == (1,)):
        return stored
    return replace(
        stored, shape=(prod(stored.shape),), blocks=lambda n: cut(stored.read().ravel(), n)
    )
