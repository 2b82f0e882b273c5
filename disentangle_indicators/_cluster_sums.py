"""Sums over the rows of each cluster, which add up over shards that cut no cluster."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import Float

__all__ = ["ClusterSums", "adding"]


class ClusterSums(NamedTuple):
    """Rows and sums of each of G clusters, in the order of their names.

    Parameters
    ----------
    names : array of str, shape (G,)
    rows : array of int, shape (G,)
    sums : array, shape (G, 3, d)
        Of mean, mean² + variance, and log variance.
    """

    names: NDArray[np.str_]
    rows: NDArray[np.int64]
    sums: Float

    def cut_between(self, other: "ClusterSums") -> list[str]:
        """Return the names of clusters that are in both."""
        return [str(name) for name in np.intersect1d(self.names, other.names)]

    def joined(self, other: "ClusterSums") -> "ClusterSums":
        """Return the clusters of both, which have none in common."""
        both = [np.concatenate(pair) for pair in zip(self, other, strict=True)]
        order = np.argsort(both[0])
        return ClusterSums(*(each[order] for each in both))


def adding(
    batches: Iterable[tuple[Float, Float]], clusters: NDArray[Any], codes: NDArray[Any], d: int
) -> tuple[Iterator[tuple[Float, Float]], ClusterSums]:
    """Return batches to go through, and the sums that are complete when that is done.

    Parameters
    ----------
    batches : iterable of (array, array), each of shape (b, d)
        Means and variances.
    clusters : array, shape (n,)
    codes : array of int, shape (n,)
        Place of each row's cluster among the sorted ones.
    d : int

    Examples
    --------
    >>> rows = [(np.array([[1.0], [2.0]]), np.ones((2, 1))), (np.array([[4.0]]), np.ones((1, 1)))]
    >>> seen, sums = adding(rows, np.array([7, 3, 7]), np.array([1, 0, 1]), 1)
    >>> len(list(seen)), sums.names.tolist(), sums.rows.tolist(), sums.sums[:, 0, 0].tolist()
    (2, ['3', '7'], [1, 2], [2.0, 5.0])
    """
    from scipy import sparse

    values = np.unique(clusters)
    count = len(values)
    order = np.argsort(names := np.array([_name(value) for value in values]))
    place = np.argsort(order)[codes]
    found = ClusterSums(names[order], np.bincount(place, minlength=count), np.zeros((count, 3, d)))

    def seen() -> Iterator[tuple[Float, Float]]:
        first = 0
        for mean, var in batches:
            b = len(mean)
            at = place[first : first + b], np.arange(b)
            member = sparse.csr_array((np.ones(b), at), shape=(count, b))
            for k, each in enumerate((mean, mean * mean + var, np.log(var))):
                found.sums[:, k] += member @ each
            first += b
            yield mean, var

    return seen(), found


def _name(value: Any) -> str:
    """Return the name of a cluster: of a number the same one, whatever its type."""
    whole = isinstance(value, np.floating) and float(value).is_integer()
    return str(int(value) if whole else value)
