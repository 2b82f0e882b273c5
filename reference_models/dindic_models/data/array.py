"""Images in a .npy file, or in an .npz archive with one array of images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dindic_models.data._data import (
    Data,
    Images,
    Index,
    OnDisk,
    digest_array,
    extent,
    mapped,
    to_unit,
)
from dindic_models.data._resize import resized
from disentangle_indicators.encodings._stored import Stored, reading
from disentangle_indicators.encodings.formats import npz

WHERE = (
    "Save the images by numpy.save as an array (n, H, W), (n, C, H, W) or (n, H, W, C), of uint8 "
    "or of floats in [0, 1], and give the .npy file"
)

_CHANNELS = (1, 2, 3, 4)
_LOOK = 256


def here(path: Path) -> bool:
    """Say whether this is a file of numpy."""
    return path.is_file() and path.suffix.lower() in (".npy", ".npz")


def open_array(path: Path | None = None, size: tuple[int, int] | None = None) -> Data:
    """Open an array of images (n, H, W), (n, C, H, W) or (n, H, W, C); C is 1 to 4.

    A .npy file is memory-mapped. Of an .npz archive the array with more than two axes is read; its
    `labels` (n,), `factors` (n, k) and `factor_names` are taken when they are there.

    Raises
    ------
    ValueError
        If the file is damaged or holds objects, if it is not clear which array or which axis is
        meant, or if the values are neither uint8 nor floats in [0, 1].
    FileNotFoundError
        If there is no such file.
    """
    if path is None or not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file. {WHERE}")
    with reading(path):
        archive = path.suffix.lower() == ".npz"
        columns = npz.read(path).arrays if archive else {}
        values = _one(columns) if archive else mapped(path)
        images = _images(values, None if archive else path)
        labels = _column(columns, "labels", (len(values),))
        factors = _column(columns, "factors", (len(values), -1))
        k = 0 if factors is None else factors.shape[1]
        names = _column(columns, "factor_names", (k,))
    return Data(
        name="array",
        images=resized(images, size),
        source=f"an array {values.shape} of {values.dtype}, {extent(images.shape)}, from {path}",
        fingerprint=digest_array(values),
        labels=labels,
        factors=factors,
        factor_names=tuple(map(str, names if names is not None else range(k))),
    )


class AsFloat32:
    """An array of floats of another precision as images of float32."""

    dtype = np.dtype(np.float32)

    def __init__(self, values: NDArray[Any] | OnDisk) -> None:
        self.values, self.shape = values, values.shape

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.values)

    def __getitem__(self, index: Index) -> NDArray[Any]:
        """Convert the images at these positions."""
        return np.asarray(self.values[index], np.float32)


def _one(columns: Mapping[str, Stored]) -> NDArray[Any]:
    """Read the array of an archive that alone has more than two axes."""
    found = [array for array in columns.values() if len(array.shape) > 2]
    if len(found) != 1:
        listing = ", ".join(map(str, columns.values())) or "none"
        raise ValueError(f"not one array with more than two axes; its arrays: {listing}. {WHERE}")
    return found[0].read()


def _column(
    columns: Mapping[str, Stored], name: str, shape: tuple[int, ...]
) -> NDArray[Any] | None:
    """Read what describes the images; -1 stands for any size."""
    array = columns.get(name)
    if array is None:
        return None
    fits = len(array.shape) == len(shape) and all(
        want in (-1, size) for want, size in zip(shape, array.shape, strict=True)
    )
    if not fits or (name == "factors" and "int" not in array.dtype):
        rule = "integers " if name == "factors" else ""
        raise ValueError(f"{name} must be {rule}{shape}".replace("-1", "k") + f"; it is {array}")
    return array.read()


def _images(values: NDArray[Any], path: Path | None) -> Images:
    """Find the axes and the scale of an array, mapped from a file or not, by its first rows."""
    values = _channels_first(values)
    images = values if path is None else OnDisk(values, path)
    if values.dtype.kind == "f":
        to_unit(values[:_LOOK])
        return images if values.dtype == np.float32 else AsFloat32(images)
    if values.dtype != np.uint8:
        raise ValueError(f"images must be uint8 or floats; these are {values.dtype}. {WHERE}")
    if values[:_LOOK].max() == 1:
        raise ValueError(
            "uint8 images are taken as 0 to 255, but the largest value in the first rows is 1: "
            "save them times 255, or as floats"
        )
    return images


def _channels_first(values: NDArray[Any]) -> NDArray[Any]:
    """Return the array as (n, C, H, W), or ask where only its owner knows which axis is which."""
    shape = values.shape
    if 0 in shape:
        raise ValueError(f"the array {shape} is empty")
    if len(shape) == 3 and not {shape[1], shape[2]} & set(_CHANNELS):
        return values[:, None]
    if len(shape) == 4 and (shape[1] in _CHANNELS) != (shape[3] in _CHANNELS):
        return values if shape[1] in _CHANNELS else values.transpose(0, 3, 1, 2)
    raise ValueError(f"which axis of {shape} is which is not clear. {WHERE}, with C from 1 to 4")
