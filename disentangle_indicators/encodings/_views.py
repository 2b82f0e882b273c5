"""Stored arrays seen in another shape: halves of a packed one, repeated ones, transposed ones."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._scales import SCALES
from disentangle_indicators.encodings._stored import Stored


def packed_as(words: str) -> tuple[str, str]:
    """Return what the first and the second half of a packed array are.

    Examples
    --------
    >>> packed_as("mean,logvar")
    ('mean', 'logvar')
    """
    first, _, second = (part.strip() for part in words.partition(","))
    if sorted(part in SCALES for part in (first, second)) != [False, True] or "mean" not in (
        first,
        second,
    ):
        raise ValueError(
            f"packed must be mean,SCALE or SCALE,mean with a scale of {', '.join(SCALES)}; got "
            f"{words!r}"
        )
    return first, second


def halves(stored: Stored, *, last: bool = False) -> tuple[Stored, Stored]:
    """Return the first and the second half of an array along an axis, or the two of (2, n, d).

    Parameters
    ----------
    stored : Stored
    last : bool
        Whether the axis is the last one, and not axis 1.

    Raises
    ------
    ValueError
        When that axis has no two halves.
    """
    shape = stored.shape
    if len(shape) == 3 and shape[0] == 2:
        return _one_of_two(stored, 0), _one_of_two(stored, 1)
    axis = len(shape) - 1 if last else 1
    if len(shape) < 2 or shape[axis] % 2 or shape[axis] == 0:
        raise ValueError(
            f"a packed array has an even number of entries on axis {axis}; it is {stored}"
        )
    half = shape[axis] // 2
    before = (slice(None),) * axis
    dots = ":, " * axis

    def part(which: slice, words: str) -> Stored:
        def blocks(rows: int) -> Iterator[NDArray[Any]]:
            for block in stored.blocks(rows):
                yield block[(*before, which)]

        size = (*shape[:axis], half, *shape[axis + 1 :])
        return replace(stored, name=f"{stored.name}[{dots}{words}]", shape=size, blocks=blocks)

    return part(slice(half), f":{half}"), part(slice(half, None), f"{half}:")


def _one_of_two(stored: Stored, which: int) -> Stored:
    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        whole = stored.read()[which]
        for start in range(0, len(whole), rows):
            yield whole[start : start + rows]

    return replace(stored, name=f"{stored.name}[{which}]", shape=stored.shape[1:], blocks=blocks)


def repeated_to(stored: Stored, fit: tuple[int, ...], shape: tuple[int, ...]) -> Stored:
    """Return an array that is broadcast to a shape; `fit` is its own with all axes."""

    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        whole = stored.read().reshape(fit)
        for start in range(0, shape[0], rows):
            part = whole[start : start + rows] if fit[0] > 1 else whole
            yield np.broadcast_to(part, (min(rows, shape[0] - start), *shape[1:]))

    return replace(stored, shape=shape, blocks=blocks)


def transposed(stored: Stored) -> Stored:
    """Return a table whose rows are the columns of another; it is read whole."""

    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        whole = stored.read().T
        for start in range(0, len(whole), rows):
            yield whole[start : start + rows]

    return replace(stored, shape=stored.shape[::-1], blocks=blocks)
