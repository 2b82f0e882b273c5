"""A lone .npy file: one array."""

import os
from math import prod
from pathlib import Path

from disentangle_indicators.encodings._stored import (
    OBJECTS,
    Contents,
    npy_header,
    on_disk,
    reading,
)

SUFFIXES = (".npy",)
MEMORY = "a block"


def matches(path: Path, head: bytes) -> bool:
    """Whether the first bytes of a file are those of this format."""
    return head.startswith(b"\x93NUMPY")


def read(path: Path) -> Contents:
    """Open an .npy file; its array is called "mean", because it can be nothing else alone."""
    with reading(path), open(path, "rb") as stream:
        shape, fortran, dtype = npy_header(stream)
        if dtype.hasobject:
            raise ValueError(f"'mean' {OBJECTS}")
        array = on_disk(path, "mean", shape, dtype, stream.tell(), fortran=fortran)
        end = stream.tell() + prod(shape) * dtype.itemsize
        if end != os.path.getsize(path):
            raise ValueError(
                f"the array ends at byte {end} of {os.path.getsize(path)}: the header is "
                "damaged, or several arrays were saved into one file; save each to its own"
            )
    note = (
        f"{path.name} contains one array, taken as posterior means; for the scale, add "
        "logvar='FILE.npy' (or var=, std=, logstd=)"
    )
    return Contents({"mean": array}, notes=(note,))
