"""Values as numbers 0, 1, ... that count: levels, and bins of equal widths or equal counts."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import Float, as_array, check_finite, on_host

Index = NDArray[np.int64]


def as_factors(factors: Any, n: int) -> NDArray[Any]:
    """Check factors (n, K) or (n,) and return them as a numpy array (n, K) of their own type."""
    table = on_host(factors)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or len(table) != n or table.shape[1] == 0:
        raise ValueError(f"factors must have the shape ({n}, K); the shape is {table.shape}")
    if table.dtype.kind == "f":
        check_finite(as_array(table, "factors"), "factors")
    elif table.dtype.kind not in "iubUS":
        raise ValueError(f"factors must be numbers or strings; the dtype is {table.dtype}")
    return table


def as_numbers(factors: Any, n: int) -> Float:
    """Check factors that are numbers and return them as a numpy float64 array (n, K)."""
    table = as_factors(factors, n)
    if table.dtype.kind in "US":
        raise ValueError(f"factors must be numbers here; the dtype is {table.dtype}")
    return table.astype(np.float64)


def levels(factors: NDArray[Any]) -> tuple[Index, list[Index]]:
    """Return the number of each value (n, K), and for each factor how many rows have a value."""
    pairs = [np.unique(column, return_inverse=True, return_counts=True) for column in factors.T]
    numbers = np.stack([inverse.reshape(-1) for _, inverse, _ in pairs], axis=1)
    return numbers.astype(np.int64), [counts.astype(np.int64) for *_, counts in pairs]


def binned(values: Float, bins: int) -> Index:
    """Return the equal-width bin of each entry, by np.digitize with the edges of np.histogram.

    The first bin begins at the least value and the last one ends with the greatest, included. A
    constant column is in one bin.
    """
    low, high = values.min(axis=0), values.max(axis=0)
    with np.errstate(over="ignore"):
        width = high - low
    if not np.all(np.isfinite(width)):
        return binned(values * 2.0**-4, bins)  # exact, and within the range of the floats
    width = np.where(width > 0, width, 1.0)
    index: Index = ((values - low) / width * bins).astype(np.int64)
    np.minimum(index, bins - 1, out=index)
    edges = np.linspace(low, np.where(high > low, high, low + 1), bins + 1)
    edges[-1] = np.inf
    column = np.arange(values.shape[1])
    index -= values < edges[index, column]
    index += values >= edges[index + 1, column]
    return index


def equal_counts(values: Float, bins: int) -> Index:
    """Return the bin 0, 1, ... of each value in bins of about equal counts; equal values share one.

    Values that are no more than `bins` different ones keep a bin each. A value on the edge of two
    bins goes to the one nearer to the middle, and the middle one, if it is on an edge, has a bin of
    its own: so neither turned signs nor any other monotone map of the values change who shares one.
    """
    order = np.argsort(values)
    ordered = values[order]
    new = np.flatnonzero(ordered[1:] > ordered[:-1]) + 1
    first = np.concatenate([[0], new])
    counts = np.diff(np.concatenate([first, [len(values)]]))
    index = np.arange(len(first))
    if len(first) > bins:
        index, rest = np.divmod((2 * first + counts) * bins, 2 * len(values))
        edge = rest == 0
        # twice the bin, so that the middle value can be between two of them
        index = 2 * index - (edge & (2 * index >= bins)) - (edge & (2 * index > bins))
        index = np.cumsum(np.diff(index, prepend=index[0]) > 0)
    out = np.empty(len(values), dtype=np.int64)
    out[order] = np.repeat(index, counts)
    return out
