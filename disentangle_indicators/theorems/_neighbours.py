"""Distances to the nearest rows."""

from typing import Any

import numpy as np

from disentangle_indicators._array import Float

__all__ = ["nearest"]

_BLOCK = 1 << 22
"""Numbers of a block of differences between rows."""


def nearest(x: Float, count: int) -> Float:
    """Return the distances (n, count) to the nearest other rows, from the least.

    Distances of scikit-learn are products of matrices, which cancel where rows are near each other;
    those of the rows that it finds are computed once more as differences.

    Examples
    --------
    >>> nearest(np.array([[0.0], [1.0], [3.0]]), 2)
    array([[1., 3.],
           [1., 2.],
           [2., 3.]])
    """
    from sklearn.neighbors import NearestNeighbors  # type: ignore[import-untyped]

    method = "kd_tree" if x.shape[1] <= 3 else "brute"
    fitted = NearestNeighbors(n_neighbors=count, algorithm=method).fit(x)
    found = fitted.kneighbors(return_distance=False)
    step = max(1, _BLOCK // (count * x.shape[1]))
    starts = range(0, len(x), step)
    apart = np.concatenate([_apart(x, found, slice(start, start + step)) for start in starts])
    return np.sort(apart, axis=1)


def _apart(x: Float, found: Any, rows: slice) -> Float:
    differences = x[found[rows]] - x[rows, None]
    return np.asarray(np.sqrt(np.einsum("nkd,nkd->nk", differences, differences)))
