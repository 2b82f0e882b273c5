"""What a format hands over: the named arrays of a file, each readable a block of rows at a time."""

import errno
import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from disentangle_indicators._errors import NoRows, lacks_memory
from disentangle_indicators._memory import check_room

OBJECTS = (
    "holds Python objects; re-save text as np.asarray(values, dtype=str) and numbers as "
    "np.asarray(values, dtype=float)"
)
RESAVE = "re-save it as float arrays, for instance np.savez(path, mean=mean, logvar=logvar)"

ENCODE = "run its encoder first, then np.savez(path, mean=mean, logvar=logvar)"
"""What to do with a file that holds a network."""

IMAGES = "encode these images with their model first"
"""What to do with a file that holds images."""

OF_ONE_SAMPLE = ("original_size", "crop_ltrb")
"""Keys of vectors beside the latents of one image, as sd-scripts stores them."""

_SIZE = re.compile(r"_\d+x\d+$")
"""The height and the width of latents, with which newer keys of sd-scripts end."""

WHOLE = 1 << 28
"""Bytes that an array may always take in memory."""

BROKEN = (errno.EIO, errno.ESTALE)
"""Numbers of errors of a disk and of a network's file system."""

RATIO = 100
"""Beyond them, the bytes that an array may take in memory for each byte of its file."""


ARRAYS = 10_000
"""Arrays and groups of one file at most."""


class AmbiguousEncodings(ValueError):
    """The file can be read in more than one way; the message ends with the argument that decides."""


def one_of(values: Iterable[str]) -> str:
    """Return the values of an argument from which the reader chooses, for messages."""
    return " or ".join(map(repr, values))


@dataclass(frozen=True)
class Stored:
    """One array of a file, not read yet.

    Attributes
    ----------
    name : str
    shape : tuple of int
    dtype : str
        A numpy name, or "bfloat16".
    blocks : callable
        ``blocks(rows)`` yields the array in consecutive slices of `rows` along its first axis, in
        native byte order. Every call starts again.
    path : Path, optional
        The file, whose size limits what :meth:`read` inflates.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    blocks: Callable[[int], Iterator[NDArray[Any]]] = field(repr=False)
    path: Path | None = field(default=None, repr=False)

    def read(self) -> NDArray[Any]:
        """Return the whole array, unless it is much larger than its file."""
        if self.path is not None:
            bits = re.search(r"\d+$", self.dtype)
            check_size(self.path, self.name, prod(self.shape) * (int(bits[0]) // 8 if bits else 8))
        parts = list(self.blocks(max(1, *self.shape[:1]) if self.shape else 1))
        return parts[0] if parts else np.empty(self.shape)

    def __str__(self) -> str:
        """Return the name, the shape and the dtype, for messages."""
        return f"{self.name!r} {self.shape} {self.dtype}"


@dataclass(frozen=True)
class Contents:
    """The arrays and the metadata of one file, and what must be said about how they were read."""

    arrays: Mapping[str, Stored]
    metadata: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def one_row(self) -> bool:
        """Whether the arrays are those of one row, without an axis of rows."""
        return any(
            _SIZE.sub("", key) in OF_ONE_SAMPLE and len(array.shape) == 1
            for key, array in self.arrays.items()
        )

    def without_sizes(self) -> "Contents":
        """Return the arrays of one image under keys without its size, unless it is there in several."""
        short = {_SIZE.sub("", key): key for key in self.arrays}
        if len(short) < len(self.arrays):
            return self
        arrays = {name: replace(self.arrays[key], name=name) for name, key in short.items()}
        return replace(self, arrays=arrays)

    def find(self, key: str) -> str | None:
        """Return the key of that name, else the only one that ends with it, in `obs` first.

        None when there is no such key, or there are several.
        """
        if key in self.arrays:
            return key
        found = [name for name in self.arrays if name.endswith(f"/{key}")]
        return f"obs/{key}" if f"obs/{key}" in found else found[0] if len(found) == 1 else None

    def listing(self) -> str:
        """Return the keys with their shapes and dtypes, for messages."""
        words = [str(array) for array in self.arrays.values()]
        more = [f"and {len(words) - 20} more"] if len(words) > 20 else []
        return ", ".join(words[:20] + more) or "none"


def check_size(path: Path, name: str, announced: int) -> None:
    """Refuse an array that is read whole, and is above the bound or far larger than its file.

    Parameters
    ----------
    path : Path
        A file, or a folder of files.
    name : str
    announced : int
        Bytes of the array, before any of them is read.

    Raises
    ------
    ValueError
    MemoryError
        Above the bound on memory.
    """
    instead = "save it as .safetensors, which is read by blocks"
    check_room(announced, f"{path}: {name!r} is held whole", instead)
    if announced <= WHOLE:
        return
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    if announced > RATIO * size:
        raise ValueError(
            f"{path}: {name!r} announces {announced / 1e9:.3g} GB, and the file has {size:,} bytes: "
            "it is damaged, or it must be saved again without compression or expanded tensors"
        )


def check_count(count: int) -> None:
    """Refuse a file of more arrays than encodings have: each takes time and memory to look at.

    Raises
    ------
    ValueError
    """
    if count > ARRAYS:
        raise ValueError(
            f"the file has {count:,} arrays and groups, and at most {ARRAYS:,} are looked at; save the "
            "means and the scale as two arrays of a file of their own"
        )


def check_length(path: Path, size: int) -> None:
    """Refuse a mapped file that is shorter than it was: beyond its end a signal ends the process.

    Raises
    ------
    ValueError
    """
    found = os.path.getsize(path)
    if found < size:
        raise ValueError(f"{path}: the file was cut short from {size} to {found} bytes meanwhile")


def first_bytes(path: Path) -> bytes:
    """Return the beginning of a file, by which its format is recognised; of a folder nothing."""
    if not path.is_file():
        return b""
    with open(path, "rb") as stream:
        return stream.read(1 << 10)


def members(path: Path, head: bytes) -> list[str]:
    """Return the names in a zip archive; none if the file is no archive, or is damaged."""
    if not head.startswith(b"PK\x03\x04"):
        return []
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return []


def needs(module: str, extra: str, path: Path) -> Any:
    """Import the library that reads a format.

    Raises
    ------
    ValueError
        If it is not installed; the message has the line that installs it.
    """
    from importlib import import_module

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{path}: {module} is needed to read it: pip install 'disentangle-indicators[{extra}]'"
        ) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a damaged file raises into a ValueError that names the file.

    Too little memory and a broken disk are no damage: they stay what they are, and name the file too.
    """
    try:
        yield
    except ValueError as error:
        if str(error).startswith(str(path)):
            raise
        kind = next((k for k in (AmbiguousEncodings, NoRows) if isinstance(error, k)), ValueError)
        raise kind(f"{path}: {error}") from error
    except Exception as error:
        if lacks_memory(error):
            if str(error).startswith(str(path)):
                raise
            text = f"{path}: there is not enough memory to read it ({error})"
            raise MemoryError(text) from error
        if isinstance(error, OSError) and error.filename:
            raise
        if isinstance(error, OSError) and error.errno in BROKEN:
            raise OSError(error.errno, error.strerror, str(path)) from error
        said = str(error).partition("\n")[0]
        raise ValueError(f"{path}: the file is damaged or not of this format ({said})") from error


def npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of an .npy stream: shape, whether it is Fortran-ordered, dtype."""
    version = npy_format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the .npy format holds records; {RESAVE}")
    one = version == (1, 0)
    read = npy_format.read_array_header_1_0 if one else npy_format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    if any(size < 0 for size in shape):
        raise ValueError(f"the shape {shape} is impossible")
    return shape, fortran, dtype


def cut_anew(parts: Iterator[NDArray[Any]], rows: int) -> Iterator[NDArray[Any]]:
    """Cut consecutive parts anew, into blocks of exactly that many rows but for the last one."""
    held: list[NDArray[Any]] = []
    count = 0
    for part in parts:
        start = 0
        while count + len(part) - start >= rows:
            take = rows - count
            held.append(part[start : start + take])
            yield held[0] if len(held) == 1 else np.concatenate(held)
            held, count, start = [], 0, start + take
        if start < len(part):
            held.append(part[start:])
            count += len(part) - start
    if held:
        yield held[0] if len(held) == 1 else np.concatenate(held)


def stack(name: str, parts: Sequence[Stored]) -> Stored:
    """Return arrays of one row each as one array of all rows."""
    shape = one_shape(name, [part.shape for part in parts])

    def samples() -> Iterator[NDArray[Any]]:
        for part in parts:
            yield part.read()[None]

    return Stored(
        name, (len(parts), *shape), parts[0].dtype, lambda rows: cut_anew(samples(), rows)
    )


def one_shape(name: str, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Return the one shape that the parts of an array have."""
    if len(set(shapes)) > 1:
        raise ValueError(
            f"{name!r} must have one shape in all files; there are {sorted(set(shapes))}"
        )
    return shapes[0]


def continued(name: str, parts: Sequence[Stored]) -> Stored:
    """Return arrays of several files one after the other."""
    if not parts[0].shape:
        return parts[0]
    rest = one_shape(name, [part.shape[1:] for part in parts])
    n = sum(part.shape[0] for part in parts)

    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        return cut_anew((block for part in parts for block in part.blocks(rows)), rows)

    return Stored(name, (n, *rest), parts[0].dtype, blocks)


def cut(whole: NDArray[Any], rows: int) -> Iterator[NDArray[Any]]:
    """Yield an array in slices of so many rows; a single number as it is."""
    if not whole.ndim:
        yield whole
    for start in range(0, len(whole) if whole.ndim else 0, rows):
        yield whole[start : start + rows]


def native(values: NDArray[Any]) -> NDArray[Any]:
    """Return the values in the byte order of this machine."""
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def bfloat16_to_float32(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Widen bfloat16, which is the upper half of a float32 and which numpy does not know."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def on_disk(
    path: Path,
    name: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    offset: int,
    *,
    fortran: bool = False,
    bfloat16: bool = False,
) -> Stored:
    """Return an array that lies uncompressed in a file, of which a block at a time is read.

    A memory map would end the process by a signal where the file becomes shorter meanwhile.
    """
    size = os.path.getsize(path)
    need = offset + prod(shape) * dtype.itemsize
    if need > size:
        raise ValueError(f"the file is truncated: {name!r} ends at byte {need} of {size}")

    def fill(stream: IO[bytes], values: NDArray[Any], first: int) -> None:
        stream.seek(offset + first * dtype.itemsize)
        if stream.readinto(values.view(np.uint8)) < values.nbytes:  # type: ignore[attr-defined]
            raise ValueError(f"the file was cut short while {name!r} was read")

    def part_of(stream: IO[bytes], start: int, count: int) -> NDArray[Any]:
        """Return rows; those of Fortran order lie apart, and each column of them together."""
        size = prod(shape[1:])
        values = np.empty((size, count) if fortran else count * size, dtype)
        if values.nbytes and fortran:
            for column in range(size):
                fill(stream, values[column], column * shape[0] + start)
        elif values.nbytes:
            fill(stream, values, start * size)
        rows = (count, *shape[1:])
        return values.ravel().reshape(rows, order="F") if fortran else values.reshape(rows)

    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        with reading(path), open(path, "rb") as stream:
            for start in range(0, shape[0] if shape else 1, rows):
                block = part_of(stream, start, min(rows, shape[0] - start) if shape else 1)
                block = block if shape else block.reshape(())
                yield bfloat16_to_float32(block) if bfloat16 else native(block)

    return Stored(name, shape, "bfloat16" if bfloat16 else dtype.name, blocks)


def refused(name: str, shape: tuple[int, ...], dtype: str, path: Path, rule: str) -> Stored:
    """Return an array that is listed but says on reading why it cannot be read."""

    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        raise ValueError(f"{path}: {name!r} {rule}")

    return Stored(name, shape, dtype, blocks)
