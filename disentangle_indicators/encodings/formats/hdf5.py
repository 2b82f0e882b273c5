"""HDF5 through h5py: the keys are the paths of its arrays."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import FileIO
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
    """Open a new file.

    Raises
    ------
    OSError
        Where a write fails.
    """
    h5py = needs("h5py", EXTRA, path)
    with _Stream(path, "w+b") as stream:
        try:
            with h5py.File(stream, "w") as root:
                yield root
        except Exception as error:  # of any kind: HDF5 stumbles over what was dropped
            if stream.error is None:
                raise
            raise stream.error from error
        if stream.error is not None:
            raise stream.error


class _Stream(FileIO):
    """A file that keeps its first failure, after which it drops what is written.

    HDF5 is not shown the failure: it loses it, leaves a broken file, or ends the process when the process exits.
    """

    error: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write everything, also where the system takes a part at a time."""
        left = memoryview(data)
        try:
            while self.error is None and len(left):
                left = left[super().write(left) :]
        except OSError as error:
            self.error = error
        return len(data)

    def readinto(self, data: Any, /) -> int:
        """Read what HDF5 wrote before; zeros stand for what was dropped."""
        view = memoryview(data)
        count = super().readinto(view) or 0
        view[count:] = bytes(len(view) - count)
        return len(view)

    def truncate(self, size: int | None = None, /) -> int:
        """Cut or extend the file."""
        try:
            return super().truncate(size) if self.error is None else 0
        except OSError as error:
            self.error = error
            return 0


def store(group: Any, name: str, values: NDArray[Any]) -> Any:
    """Write one array, of numbers or text, and return its data set."""
    import h5py

    if values.dtype.kind == "U":
        return group.create_dataset(name, data=values.astype(object), dtype=h5py.string_dtype())
    return group.create_dataset(name, data=np.ascontiguousarray(values))
