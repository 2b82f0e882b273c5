"""Zarr, versions 2 and 3, as a folder or zipped: arrays and AnnData; through zarr."""

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators.encodings._stored import Contents, members, needs, reading
from disentangle_indicators.encodings.formats._tree import arrays_of, metadata_of

SUFFIXES = (".zarr", ".zarr.zip")
MEMORY = "a block of chunks"
EXTRA = "zarr"
HOLDS_TEXT = False
WRITTEN = (".zarr.zip",)
"""Suffixes that are written: a folder cannot appear whole or not at all."""
MARKS = ("zarr.json", ".zgroup", ".zarray")
"""Files in the folder of a group or an array."""

_BYTES = 1 << 20
"""Of a chunk that is written."""


def matches(path: Path, head: bytes) -> bool:
    """Whether a folder, or a zip archive, is a zarr group."""
    if path.is_dir():
        return any((path / mark).exists() for mark in MARKS)
    return any(name.rpartition("/")[2] in MARKS for name in members(path, head))


def read(path: Path) -> Contents:
    """Open a zarr group; the keys are the paths of its arrays."""
    zarr = needs("zarr", EXTRA, path)

    @contextmanager
    def opener() -> Iterator[Any]:
        if path.is_dir():
            yield zarr.open_group(str(path), mode="r")
            return
        store = zarr.storage.ZipStore(path, mode="r")
        try:
            yield zarr.open_group(store, mode="r")
        finally:
            store.close()

    with reading(path), opener() as root:
        return Contents(arrays_of(path, root, opener), metadata_of(root))


def write(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write a zipped group of numbers, with the metadata as its attributes."""
    zarr = needs("zarr", EXTRA, path)
    # zarr's own archive stores when it was written. Ours has the same bytes for the same arrays.
    made: dict[str, Any] = {}
    root = zarr.create_group(zarr.storage.MemoryStore(made), attributes=dict(metadata))
    with zipfile.ZipFile(path, "w") as archive:
        for name, values in arrays.items():
            if values.dtype.kind == "U":
                raise ValueError(f"{name} must be numbers in .zarr.zip; give codes, or write .npz")
            for _ in _chunks(root, name, values):
                _move(made, archive, [key for key in made if not key.endswith(MARKS)])
        _move(made, archive, list(made))


def _chunks(root: Any, name: str, values: NDArray[Any]) -> Iterator[None]:
    """Make an array and fill it, a chunk at a time."""
    height = min(len(values), max(1, _BYTES // max(1, values[:1].nbytes)))
    array = root.create_array(
        name, shape=values.shape, dtype=values.dtype, chunks=(height, *values.shape[1:])
    )
    for start in range(0, len(values), height):
        array[start : start + height] = np.ascontiguousarray(values[start : start + height])
        yield


def _move(made: dict[str, Any], archive: zipfile.ZipFile, keys: list[str]) -> None:
    """Move what was made into the archive, under a date of no meaning."""
    for key in keys:
        entry = zipfile.ZipInfo(key)
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, made.pop(key).to_bytes())
