r"""Errors of numbers that are no sums over rows: the jackknife that leaves out groups of draws.

Draws, which are rows or whole clusters, are dealt at random into G groups of nearly equal size. A
number :math:`\theta_{-g}` is computed without each group. Its standard error is

.. math:: w \sqrt{\tfrac{G - 1}{G} \sum_g (\theta_{-g} - \bar\theta)^2},

with w what Student's t asks for G groups. Leaving out groups is subsampling without replacement, so
no row is ever doubled: the bootstrap would give nearest neighbours at distance zero.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import Float
from disentangle_indicators._clusters import widening

__all__ = ["GROUPS", "deal", "error"]

GROUPS = 20
"""Groups of draws: an error is known to about a sixth."""


def deal(
    n: int, codes: tuple[int, Any] | None, rng: np.random.Generator, groups: int = GROUPS
) -> NDArray[np.int64]:
    """Deal n rows, or whole clusters, at random into groups.

    Parameters
    ----------
    n : int
    codes : (int, array of int, shape (n,)), or None
        Number of clusters and the code of each row's; None where rows are independent.
    rng : numpy.random.Generator
    groups : int
        At most; there are no more groups than draws.

    Returns
    -------
    array of int, shape (n,)
        From 0.

    Examples
    --------
    >>> np.bincount(deal(7, None, np.random.default_rng(0), 3))
    array([3, 2, 2])
    """
    draws, of_row = (n, np.arange(n)) if codes is None else codes
    return np.asarray((rng.permutation(draws) % min(groups, draws))[of_row])


def error(left: Any) -> Float:
    """Return the standard error of numbers from their values without each group.

    Parameters
    ----------
    left : array, shape (G, ...)

    Returns
    -------
    array, shape (...)
        Infinite for one group.

    Examples
    --------
    >>> round(float(error([1.0, 2.0, 3.0])), 2)  # of three groups, t is 4.3
    2.53
    """
    left = np.asarray(left, dtype=np.float64)
    count = len(left)
    if count < 2:
        return np.full(left.shape[1:], np.inf)
    spread = np.sum((left - left.mean(axis=0)) ** 2, axis=0)
    return np.asarray(widening(count) * np.sqrt((count - 1) / count * spread))
