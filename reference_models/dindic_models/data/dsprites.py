"""The real archive of dSprites, which is opened without reading its images."""

import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dindic_models.data._data import Data, Index, digest, extent, positions
from dindic_models.data._resize import resized
from dindic_models.data.sprites import FACTORS
from disentangle_indicators.encodings._stored import Stored, first_bytes, members, reading
from disentangle_indicators.encodings.formats import npz

WHERE = (
    "dSprites is the file dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz, from "
    "https://github.com/google-deepmind/dsprites-dataset: give that file, or its folder; "
    "dataset=sprites renders the same images without it"
)

_BLOCK = 1024


def here(path: Path) -> bool:
    """Say whether this is the archive, or a folder that it lies in."""
    return _archive(path) is not None


def open_dsprites(path: Path | None = None, size: tuple[int, int] | None = None) -> Data:
    """Open the archive; its images are read when the first of them is asked for.

    Colour, which is constant, is left out of the factors. The pickled metadata are never loaded.

    Raises
    ------
    FileNotFoundError
        If there is no such archive.
    ValueError
        If it is damaged, or images and factors do not fit together.
    """
    archive = None if path is None else _archive(path)
    if archive is None:
        raise FileNotFoundError(f"{path}: there is no archive of dSprites. {WHERE}")
    with reading(archive):
        stored = npz.read(archive).arrays
        images = BinaryImages(stored["imgs"], archive)
        classes = stored["latents_classes"].read()
        if classes.shape != (len(images), 6) or classes.dtype.kind not in "iu":
            raise ValueError(
                f"latents_classes must be integers ({len(images)}, 6); they are {classes.dtype} "
                f"{classes.shape}"
            )
    with zipfile.ZipFile(archive) as parts:
        sums = [f"{part.filename} {part.file_size} {part.CRC}" for part in parts.infolist()]
    return Data(
        name="dsprites",
        images=resized(images, size),
        source=f"dSprites, {extent(images.shape)}, from {archive}",
        fingerprint=digest(sums),
        factors=classes[:, 1:].astype(np.int16),
        factor_names=tuple(FACTORS),
    )


class BinaryImages:
    """Binary images (n, H, W) of an archive, as uint8 (n, 1, H, W), 0 or 255.

    They are kept as bits once they are read: dSprites takes 0.4 GB in place of 3.

    Raises
    ------
    ValueError
        If the images are not uint8 (n, H, W), or one is found to hold other values than 0 and 1.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, stored: Stored, path: Path) -> None:
        if len(stored.shape) != 3 or stored.dtype != "uint8":
            raise ValueError(f"imgs must be uint8 (n, H, W); they are {stored}")
        n, height, width = stored.shape
        self.shape = (n, 1, height, width)
        self._stored, self._path = stored, path

    def __len__(self) -> int:
        """Return the number of images."""
        return self.shape[0]

    def __getitem__(self, index: Index) -> NDArray[Any]:
        """Unpack the images at these positions."""
        bits = self._bits[positions(index, len(self))]
        pixels = np.unpackbits(bits, axis=-1, count=self.shape[-1])
        return np.negative(pixels, out=pixels)[:, None]

    @cached_property
    def _bits(self) -> NDArray[np.uint8]:
        n, _, height, width = self.shape
        bits = np.empty((n, height, -(-width // 8)), np.uint8)
        start = 0
        for block in self._stored.blocks(_BLOCK):
            if block.size and block.max() > 1:
                raise ValueError(f"{self._path}: imgs must be 0 or 1; one is {block.max()}")
            bits[start : start + len(block)] = np.packbits(block, axis=-1)
            start += len(block)
        return bits


def _archive(path: Path) -> Path | None:
    if path.is_dir():
        found = sorted(path.glob("dsprites_ndarray*.npz"))
        return found[0] if len(found) == 1 else None
    names = members(path, first_bytes(path)) if path.suffix == ".npz" else []
    return path if {"imgs.npy", "latents_classes.npy"} <= set(names) else None
