r"""By how much more rows would raise I(x; z_h), where posteriors of different draws overlap.

A mixture of n posteriors is lumpy: near each row, the row's own posterior is a share s of the
density. The information of the rows is lower than that of the population by

.. math:: E\big[\tfrac38 s - \tfrac18\log(1 - s)\big], \qquad
    s = \frac{\sum_{m' \in c(m)} q_{m'}(z)}{n\,q(z)}, \quad z \sim q_m

less its value for posteriors that are all alike. c(m) is the row itself, or its cluster. Where many
draws overlap, this is half the chi-square divergence, :math:`\tfrac1{2n}E\int q_m^2/q - \tfrac1{2n}`.
Where few do, the rest of a leave-one-out density, :math:`-\log(1 - s)`, counts; both are weighted so
that the sum is right for Gaussian, uniform, Laplace and t codes.
"""

from functools import cache
from typing import Any, Protocol

import numpy as np

from disentangle_indicators._array import Float

__all__ = ["Neighbours", "shortfall"]

ROWS, NODES, OTHERS = 1024, 4, 32
"""Rows that are looked at, Gauss-Hermite nodes of each, and rows of their cluster beside them."""

_BLOCK = 1 << 16


class Mixture(Protocol):
    """The density of n posteriors on a line."""

    @property
    def n(self) -> int:
        """Number of posteriors."""

    def density(self, z: Float) -> Float:
        """Return the density at points z (s,)."""


class Neighbours:
    """Some rows, and rows of the same cluster as each of them.

    Parameters
    ----------
    n : int
    codes : (int, array) or None
        The number of clusters and the code of each row's.
    """

    def __init__(self, n: int, codes: tuple[int, Any] | None) -> None:
        self.rows = np.linspace(0, n - 1, min(n, ROWS)).astype(np.int64)
        self.size = np.ones(self.rows.size)
        self.others: Any = None
        if codes is None:
            return
        count, code = codes
        order = np.argsort(code, kind="stable")
        number = np.bincount(code, minlength=count)
        first, place = np.cumsum(number) - number, np.empty(n, np.int64)
        place[order] = np.arange(n)
        own = code[self.rows]
        self.size = number[own].astype(float)
        # one row of each of 32 equal parts of the rest of the cluster, at random
        part = np.arange(OTHERS) + np.random.default_rng(0).random((self.rows.size, OTHERS))
        step = 1 + np.floor(part / OTHERS * (self.size - 1)[:, None]).astype(np.int64)
        at = (place[self.rows] - first[own])[:, None] + step
        self.others = order[first[own][:, None] + at % number[own][:, None]]


def shortfall(
    mixture: Mixture, mean: Float, var: Float, near: Neighbours, alone: float = 1.0
) -> float:
    """Return by how much I(x; z_h) of these rows is lower than that of the population.

    Parameters
    ----------
    mixture : Mixture
        Of all rows.
    mean, var : array, shape (n,)
    near : Neighbours
    alone : float
        Share of a row's own posterior in the density, from which on the density is summed up anew,
        over all rows: what is left of it is a small difference.

    Returns
    -------
    float
        Nats, at least 0. An estimate for rows that are not saturated.

    Examples
    --------
    >>> from disentangle_indicators.aggregate._grid import grid
    >>> mean, var = np.random.default_rng(0).normal(size=1000), np.full(1000, 0.1)
    >>> round(shortfall(grid(mean, var), mean, var, Neighbours(1000, None)), 3)
    0.003
    """
    t, weights = _hermite()
    m, v = mean[near.rows, None], var[near.rows, None]
    z = m + np.sqrt(2 * v) * t
    own = _normal(z, m, v)
    if near.others is not None:
        others, each = near.others[:, :, None], (near.size - 1) / OTHERS
        beside = _normal(z[:, None, :], mean[others], var[others]).sum(axis=1)
        own = own + each[:, None] * beside
    whole = mixture.n * mixture.density(z.reshape(-1)).reshape(z.shape)
    rough = own > alone * whole
    whole[rough] = _summed(z[rough], mean, var)
    share = np.divide(own, whole, out=np.ones_like(own), where=whole > 0)
    found = _lost(np.minimum(share, 1.0)) @ weights / np.sqrt(np.pi)
    return max(float(np.mean(found - _lost(near.size / mixture.n))), 0.0)


@cache
def _hermite() -> tuple[Float, Float]:
    return np.polynomial.hermite.hermgauss(NODES)


def _summed(z: Float, mean: Float, var: Float) -> Float:
    """Return the sum of all posteriors at points (s,), in blocks that fit the cache."""
    blocks = np.array_split(z, 1 + len(z) * len(mean) // _BLOCK)
    return np.concatenate([_normal(z[:, None], mean, var).sum(axis=1) for z in blocks])


def _lost(share: Float) -> Float:
    most = 1 - np.finfo(float).eps
    return (3 * share - np.log1p(-np.minimum(share, most))) / 8


def _normal(z: Float, mean: Float, var: Float) -> Float:
    return np.exp(-0.5 * (z - mean) ** 2 / var) / np.sqrt(2 * np.pi * var)
