r"""How far a code keeps the order of a factor, or its classes apart, whatever the ties of the factor.

.. math:: R = \frac{\operatorname{cov}(r(z), r(v))}{\operatorname{var}(r(v))}, \qquad
    R^2 = \frac{\sum_c n_c (\bar r_c - \bar r)^2}{\sum_i (r_i(v) - \bar r)^2}

r is the mid-rank, and :math:`\bar r_c` the mean rank of the code in class c. The first is for
values with an order, the second for classes without one; with two values they are the same, the
square of 2 AUC - 1. Spearman's correlation has the spread of r(z) below as well, and no code
without ties can have that of a factor with ties: for a factor of 0 and 1 Spearman's square ends at
3 p (1 - p). Here every code that keeps the values of the factor in order, or its classes apart,
has 1.
"""

from typing import NamedTuple

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators._binning import Index

__all__ = ["Explained", "beyond_chance", "explained"]


class Explained(NamedTuple):
    """The squares R^2 of codes with one factor, and what codes without information have on average.

    Parameters
    ----------
    squares, chance : array, shape (d,)
    """

    squares: Float
    chance: Float


def explained(ranks: Float, classes: Index, *, ordered: bool) -> Explained:
    """Return R^2 of columns of ranks (n, d) and one factor.

    Parameters
    ----------
    ranks : array, shape (n, d)
        Mid-ranks of each code over these rows.
    classes : array of int, shape (n,)
        0, 1, ... in the order of the values.
    ordered : bool
    """
    n, size = len(ranks), np.bincount(classes).astype(np.float64)
    x = ranks - (n + 1) / 2
    most = float(n**3 - n - np.sum(size**3 - size)) / 12
    if most <= 0:
        return Explained(np.zeros(x.shape[1]), np.ones(x.shape[1]))
    if ordered:
        middle = np.cumsum(size) - (size - 1) / 2 - (n + 1) / 2
        squares, numbers = (middle[classes] @ x / most) ** 2, 1
    else:
        order, present = np.argsort(classes, kind="stable"), size[size > 0]
        sums = np.add.reduceat(x[order], (np.cumsum(present) - present).astype(np.int64), axis=0)
        squares, numbers = np.sum(sums**2 / present[:, None], axis=0) / most, len(present) - 1
    chance = numbers * np.sum(x**2, axis=0) / ((n - 1) * most)
    return Explained(np.clip(squares, 0.0, 1.0), chance)


def beyond_chance(found: Explained) -> Float:
    """Return R^2 rescaled so that chance is 0 and the greatest stays 1; less counts as 0."""
    room = 1 - found.chance
    share = (found.squares - found.chance) / np.where(room > 1e-12, room, 1.0)
    return np.where(room > 1e-12, np.maximum(share, 0.0), 0.0)
