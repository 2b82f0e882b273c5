"""Values as numbers 0, 1, ... that count: levels, and bins of equal widths or equal counts."""

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import Float

Index = NDArray[np.int64]


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


def equal_widths(values: Float, bins: int) -> Index:
    """Return the equal-width bin 0, 1, ... of each value of a factor, (n,).

    A value on an edge goes up, and so does one that is on an edge but for rounding: values have the
    bins of their numbers 0, 1, ... where they are as far apart.
    """
    scaled = np.ldexp(values, -int(np.frexp(np.abs(values).max())[1]))
    low, width = scaled.min(), np.ptp(scaled)
    place = (scaled - low) / (width if width > 0 else 1.0) * bins
    index: Index = np.minimum((place + 1e-9).astype(np.int64), bins - 1)
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
