"""Mosaics: images of a data set set beside and below each other as one array of pixels."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dindic_models.data import to_unit

Floats = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]

BUDGET = 24_000_000
"""Most pixels of a picture."""


def mosaic(images: NDArray[Any]) -> Pixels:
    """Return images (rows, columns, C, H, W), clipped to [0, 1], as one picture (h, w, 3)."""
    return tiled(rgb(images, 1))


def rgb(images: NDArray[Any], shrink: int) -> Pixels:
    """Return images (..., C, H, W), clipped to [0, 1], as colours (..., H, W, 3)."""
    if images.shape[-3] not in (1, 3):
        raise ValueError(f"images of 1 or 3 channels are drawn, not of {images.shape[-3]}")
    pixels = np.round(255 * shrunk(unit(images), shrink)).astype(np.uint8)
    pixels = np.moveaxis(pixels, -3, -1)
    return np.broadcast_to(pixels, (*pixels.shape[:-1], 3))


def unit(images: NDArray[Any]) -> NDArray[Any]:
    """Return images as numbers from 0 to 1."""
    return to_unit(images) if images.dtype == np.uint8 else np.clip(images, 0, 1)


def shrunk(images: NDArray[Any], by: int) -> NDArray[Any]:
    """Average squares of pixels; what is left over at the right and the bottom is dropped."""
    if by == 1:
        return images
    height, width = (side // by for side in images.shape[-2:])
    cut = images[..., : by * height, : by * width]
    mean: NDArray[Any] = cut.reshape(*images.shape[:-2], height, by, width, by).mean((-3, -1))
    return mean


def enlargement(shape: tuple[int, ...], tiles: int, side: int) -> tuple[int, int]:
    """Return by how much pixels are enlarged, and by how much images are shrunk before."""
    zoom, shrink = max(1, round(side / min(shape))), 1
    while zoom > 1 and tiles * prod(shape) * zoom**2 > BUDGET:
        zoom -= 1
    while min(shape) > 1.5 * side * shrink or tiles * prod(shape) > BUDGET * shrink**2:
        shrink += 1
    return zoom, shrink


def tiled(tiles: Pixels, gap: int = 255) -> Pixels:
    """Set tiles (rows, columns, H, W, 3) beside and below each other, a pixel of `gap` apart."""
    rows, columns, height, width, _ = tiles.shape
    padded = np.pad(tiles, ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)), constant_values=gap)
    size = rows * (height + 1), columns * (width + 1), 3
    return padded.swapaxes(1, 2).reshape(size)[:-1, :-1]


def gap_of(tiles: Pixels) -> int:
    """Return the grey that sets tiles (..., H, W, 3) apart: white, or grey if their edges are bright.

    Examples
    --------
    >>> gap_of(np.zeros((2, 8, 8, 3), np.uint8)), gap_of(np.full((2, 8, 8, 3), 250, np.uint8))
    (255, 128)
    """
    return 128 if tiles[..., -1, :, :].mean() > 192 else 255


def beside(left: Pixels, right: Pixels) -> Pixels:
    """Set two pictures of the same height beside each other, four white pixels apart."""
    white = np.full((len(left), 4, 3), 255, np.uint8)
    return np.concatenate([left, white, right], axis=1)
