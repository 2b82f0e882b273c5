"""Images as batches on the device: whole data sets kept there, or read a batch ahead."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dindic_models.data import Images, to_unit

__all__ = ["MEMORY", "Batches", "Progress", "Rows", "fits"]

Rows = NDArray[np.int64]
Progress = Callable[[Iterable[Any], str, int], Generator[Any, None, None]]

MEMORY = 4 << 30
"""Data sets up to this many bytes are kept in memory, as they are stored: one byte a value."""


class Batches:
    """Some rows of a data set, as float images (b, C, H, W) in [0, 1] on a device.

    Parameters
    ----------
    images : Images, shape (n, C, H, W)
    rows : array of int, shape (r,)
        The rows that positions 0 to r - 1 stand for.
    device : torch.device
    dtype : torch.dtype
    keep : bool
        Whether to read all rows now and hold them on the device.
    progress : callable, optional
        Shows the reading.
    """

    def __init__(
        self,
        images: Images,
        rows: Rows,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        *,
        keep: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.images, self.rows, self.device, self.dtype = images, rows, device, dtype
        self.kept: Tensor | None = None
        if keep:
            self.kept = torch.from_numpy(_read(images, rows, progress)).to(device)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def at(self, positions: Rows) -> Tensor:
        """Return the images at these positions."""
        if self.kept is not None:
            return self._take(torch.from_numpy(positions).to(self.device))
        values = torch.from_numpy(to_unit(self.images[self.rows[positions]]))
        return values.to(self.device, self.dtype)

    def _take(self, positions: Tensor) -> Tensor:
        assert self.kept is not None
        chosen = self.kept[positions]
        unit = 255 if chosen.dtype == torch.uint8 else 1
        return chosen.to(torch.float32).div_(unit).to(self.dtype)

    def each(self, batches: Sequence[Rows]) -> Iterator[Tensor]:
        """Yield the images of every batch of positions; one batch is read ahead."""
        if self.kept is not None:
            whole = torch.from_numpy(np.concatenate([*batches, np.empty(0, np.int64)]))
            parts = torch.split(whole.to(self.device), [len(b) for b in batches])
            yield from map(self._take, parts)
            return
        with ThreadPoolExecutor(1) as reader:
            pending = None
            for positions in batches:
                following = reader.submit(self.at, positions)
                if pending is not None:
                    yield pending.result()
                pending = following
            if pending is not None:
                yield pending.result()


def fits(images: Images, number: int) -> bool:
    """Return whether so many images may be kept in memory."""
    return number * prod(images.shape[1:]) * images.dtype.itemsize <= MEMORY


def _read(images: Images, rows: Rows, progress: Progress | None) -> NDArray[Any]:
    whole = np.empty((len(rows), *images.shape[1:]), images.dtype)
    blocks: Iterable[Rows] = np.split(np.arange(len(rows)), range(1000, len(rows), 1000))
    if progress is not None:
        blocks = progress(blocks, "reading images", -(-len(rows) // 1000))
    for block in blocks:
        whole[block] = images[rows[block]]
    if whole.dtype != np.uint8:
        to_unit(whole)
    return whole
