"""Some rows of a data set, which do not depend on how the data set was cut."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import Array, Float, to_numpy

__all__ = ["OF_SAMPLE", "SAMPLED", "Sample", "by_columns", "noting", "ranks_of"]

SAMPLED = 4096
"""Rows that are kept: standard errors of totals are made of them."""

OF_SAMPLE = "The joint is of"
"""How a joint of some of the rows begins to say so."""

_TILE = 256

_ODD = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio, of the mixing of splitmix64."""


class Sample(NamedTuple):
    """The rows of the least ranks. A rank is a hash of the numbers of a row.

    So the sample of a data set does not depend on how it was cut.

    Parameters
    ----------
    ranks : array of int, shape (s,)
        Sorted.
    mean, var : array, shape (s, d)
    """

    ranks: NDArray[np.uint64]
    mean: Float
    var: Float

    @classmethod
    def of(cls, mean: Float, var: Float, ranks: NDArray[np.uint64] | None = None) -> "Sample":
        """Return the sample of rows (n, d), whose ranks (n,) may be known."""
        ranks = ranks_of(mean, var) if ranks is None else ranks
        chosen = np.arange(len(ranks))
        if len(ranks) > SAMPLED:
            chosen = np.argpartition(ranks, SAMPLED - 1)[:SAMPLED]
        return cls(ranks[chosen], mean[chosen], var[chosen]).least()

    def __add__(self, other: Any) -> "Sample":
        """Return the sample of the rows of both."""
        pairs = zip(self, other, strict=True)
        return Sample(*(np.concatenate(pair) for pair in pairs)).least()

    def least(self) -> "Sample":
        """Return the rows of the least ranks, in their order."""
        order = np.argsort(self.ranks, kind="stable")[:SAMPLED]
        return Sample(self.ranks[order], self.mean[order], self.var[order])


def by_columns(rows: Array) -> Float:
    """Return rows (n, d) in float64, with each column in one piece of memory: array (n, d).

    A tile of rows stays in the cache while it is transposed.

    Examples
    --------
    >>> by_columns(np.arange(6.0).reshape(3, 2)).T.flags.c_contiguous
    True
    """
    array = rows if isinstance(rows, np.ndarray) else to_numpy(rows)
    if array.dtype == np.float64 and array.T.flags.c_contiguous and array.flags.aligned:
        return array
    columns = np.empty(array.shape[::-1])
    for first in range(0, len(array), _TILE):
        tile = slice(first, first + _TILE)
        columns[:, tile] = array[tile].T
    return columns.T


def ranks_of(mean: Float, var: Float) -> NDArray[np.uint64]:
    """Return a hash (n,) of the numbers of each row.

    Examples
    --------
    >>> mean = np.arange(6.0).reshape(3, 2)
    >>> bool(np.all(ranks_of(mean, mean) == ranks_of(mean[::-1], mean[::-1])[::-1]))
    True
    """
    found = np.zeros(len(mean), np.uint64)
    for array in (mean, var):
        for column in by_columns(array).T:
            found ^= column.view(np.uint64)
            found *= _ODD
            found ^= found >> np.uint64(29)
    found *= _ODD
    return found ^ (found >> np.uint64(32))


def noting(
    batches: Iterable[tuple[Array, Array]], rows: NDArray[np.int64], mean: Float, var: Float
) -> Iterator[tuple[Array, Array]]:
    """Yield batches, and write the rows of sorted numbers to mean and var (s, d) on the way.

    Examples
    --------
    >>> mean, var = np.empty((2, 1)), np.empty((2, 1))
    >>> parts = [(np.full((2, 1), k), np.ones((2, 1))) for k in range(3)]
    >>> for _ in noting(parts, np.array([1, 4]), mean, var):
    ...     pass
    >>> mean[:, 0]
    array([0., 2.])
    """
    first = 0
    for m, v in batches:
        last = first + m.shape[0]
        a, b = np.searchsorted(rows, [first, last])
        here = rows[a:b] - first
        mean[a:b], var[a:b] = to_numpy(m)[here], to_numpy(v)[here]
        yield m, v
        first = last
