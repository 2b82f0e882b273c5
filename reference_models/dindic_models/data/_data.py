"""What every data set is opened as, and the few things that are done with images."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators.encodings._stored import check_length, reading
from disentangle_indicators.encodings.formats import npy

Index = NDArray[np.integer[Any]] | slice

Ratio = tuple[float, float, float]

_WHOLE = 1 << 28


class Images(Protocol):
    """Images that are read by position: an array, a memory map, or files decoded when asked for.

    ``images[index]``, with a 1-D array of b positions, is an array (b, C, H, W) of `dtype`, which
    is uint8 (0 to 255) or float32 (0 to 1).
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, C, H, W)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 or float32."""

    def __len__(self) -> int:
        """Return n."""

    def __getitem__(self, index: Index, /) -> NDArray[Any]:
        """Return the images at these positions."""


def mapped(path: Path) -> NDArray[Any]:
    """Map a .npy file, once it is known to be whole and without objects.

    Raises
    ------
    OSError, ValueError
        If it cannot be read, and if it is damaged.
    """
    npy.read(path)
    with reading(path):
        values: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return values


class OnDisk:
    """Rows of a memory map; a file that became shorter is a ValueError, and no signal.

    Parameters
    ----------
    values : memory map, or a view of one
    path : Path
        Its file.

    Raises
    ------
    ValueError
        When rows are asked for and the file is shorter than it was.
    """

    def __init__(self, values: NDArray[Any], path: Path) -> None:
        self._values, self._path, self._size = values, path, path.stat().st_size
        self.shape, self.dtype = values.shape, values.dtype

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._values)

    def __getitem__(self, index: Index) -> NDArray[Any]:
        """Read the rows at these positions."""
        check_length(self._path, self._size)
        return np.array(self._values[index])


@dataclass(frozen=True, eq=False, kw_only=True)
class Data:
    """A data set, opened; its images may not have been read yet.

    Attributes
    ----------
    name : str
        A key of `DATASETS`.
    images : Images, shape (n, C, H, W)
    source : str
        One sentence: what was recognised, how many images, from where.
    fingerprint : str
        "sha256:" and a digest: of the pixels where they lie in an array (from 256 MiB on, of 256
        slices of them), of the directory with its check sums for an archive, of relative names
        and sizes for files of images, of the geometry for the sprites. Taken before any resizing.
    official : dict of arrays of positions
        The official parts of the data set, "train", "validation" and "test" as far as it has them.
    labels : array, shape (n,), optional
    factors : integer array, shape (n, k), optional
    factor_names : tuple of str, length k
    ratio : three floats
        The paper's shares of training, validation and test (appendix D.2 to D.4).
    """

    name: str
    images: Images = field(repr=False)
    source: str
    fingerprint: str = field(repr=False)
    official: Mapping[str, NDArray[np.int64]] = field(default_factory=dict, repr=False)
    labels: NDArray[Any] | None = field(default=None, repr=False)
    factors: NDArray[np.integer[Any]] | None = field(default=None, repr=False)
    factor_names: tuple[str, ...] = ()
    ratio: Ratio = field(default=(0.8, 0.1, 0.1), repr=False)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)


def to_unit(images: NDArray[Any]) -> NDArray[np.float32]:
    """Return images as float32 in [0, 1], "linear normalized" (appendix D): uint8 / 255.

    Parameters
    ----------
    images : array of uint8, or of floats in [0, 1]

    Raises
    ------
    ValueError
        If a float lies outside [0, 1] or the images have another type.

    Examples
    --------
    >>> import numpy as np
    >>> from dindic_models.data import to_unit
    >>> to_unit(np.array([0, 51, 255], np.uint8))
    array([0. , 0.2, 1. ], dtype=float32)
    """
    if images.dtype == np.uint8:
        return images.astype(np.float32) / np.float32(255)
    if images.dtype.kind != "f":
        raise ValueError(f"images must be uint8 or floats in [0, 1]; they are {images.dtype}")
    for extreme in (np.min, np.max):
        value = float(extreme(images)) if images.size else 0.0
        if not 0 <= value <= 1:
            raise ValueError(f"images must lie in [0, 1]; one value is {value:g}")
    return np.asarray(images, np.float32)


def positions(index: Index, n: int) -> NDArray[np.int64]:
    """Return what a 1-D index or a slice selects of n rows, as positions from 0 to n - 1."""
    if isinstance(index, slice):
        return np.arange(*index.indices(n))
    index = np.asarray(index)
    if index.dtype.kind not in "iu" or index.ndim != 1:
        if index.shape != (0,):
            raise IndexError(
                f"images are taken by a 1-D array of integers; got {index.dtype} {index.shape}"
            )
        index = index.astype(np.int64)
    if index.size and not -n <= index.min() <= index.max() < n:
        raise IndexError(f"there are {n} images; got positions {index.min()} to {index.max()}")
    return np.where(index < 0, index + n, index).astype(np.int64, copy=False)


def digest(parts: Iterable[bytes | str]) -> str:
    """Return "sha256:" and the digest of the parts, each with its length before it."""
    total = hashlib.sha256()
    for part in parts:
        part = part.encode() if isinstance(part, str) else part
        total.update(len(part).to_bytes(8, "little"))
        total.update(part)
    return f"sha256:{total.hexdigest()}"


def digest_array(values: NDArray[Any]) -> str:
    """Return the digest of an array: shape, dtype and bytes, of 256 slices when it is large."""
    rows = np.arange(len(values))
    blocks = np.array_split(rows, max(1, min(256, len(values))))
    if values.nbytes >= _WHOLE:
        share = max(1, _WHOLE * len(values) // values.nbytes // 256)
        blocks = [block[:share] for block in blocks]
    selected = (values[block[0] : block[-1] + 1] for block in blocks if len(block))
    contents = (np.ascontiguousarray(part).tobytes() for part in selected)
    return digest([f"{values.shape} {values.dtype.str}", *contents])


def extent(shape: tuple[int, ...]) -> str:
    """Say how many images there are and of what size: "70000 images of 1x28x28"."""
    return f"{shape[0]} image{'s' * (shape[0] != 1)} of {'x'.join(map(str, shape[1:]))}"
