"""Separated attribute predictability: whether one latent, and only one, predicts a factor."""

from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float
from disentangle_indicators.supervised._columns import as_codes, as_numbers

__all__ = ["r_squared_matrix", "sap"]


def sap(codes: Array, factors: Any, *, rng: np.random.Generator | int = 0) -> float:
    r"""Separated attribute predictability of factors on a numeric scale, averaged over them.

    .. math:: \frac1K \sum_k \big(R^2_{(1) k} - R^2_{(2) k}\big)

    where :math:`R^2_{hk}` is the squared correlation of latent h and factor k, and (1) and (2) are
    the two latents for which it is largest.

    Parameters
    ----------
    codes : array, shape (n, d)
        Mean codes. With one latent the second square is 0.
    factors : array, shape (n, K) or (n,)
        Numbers whose order and distances mean something. Constant factors are left out.
    rng : numpy.random.Generator or int
        Not used: nothing is drawn. All metrics take it.

    Returns
    -------
    float
        Between 0 and 1, where 1 is best. No unit.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on codes and factors that are not finite numbers,
        and when all factors are constant.

    Notes
    -----
    Kumar et al. (2018), section 3, the version for continuous factors: all rows, no train and test
    split. For factors that are mere classes they take the accuracy of a linear SVM on each latent
    instead, which this function does not.

    Examples
    --------
    >>> import numpy as np
    >>> factors = np.stack(np.divmod(np.arange(12), 4), axis=1)
    >>> round(sap(-2.0 * factors, factors), 12), round(sap(factors[:, :1], factors), 12)
    (1.0, 0.5)
    """
    r_squared = r_squared_matrix(codes, factors)
    table = as_numbers(factors, len(codes))
    moving = table.min(axis=0) < table.max(axis=0)
    if not np.any(moving):
        raise ValueError(
            f"factors must vary; each of the {len(moving)} columns holds a single value"
        )
    top = np.sort(np.vstack([np.zeros_like(r_squared[:1]), r_squared]), axis=0)[-2:, moving]
    return float(np.mean(top[1] - top[0]))


def r_squared_matrix(codes: Array, factors: Any) -> Float:
    r"""Squared correlation of each latent with each factor.

    .. math:: R^2_{hk} = \frac{\operatorname{cov}(z_h, v_k)^2}
        {\operatorname{var}(z_h)\operatorname{var}(v_k)}

    Parameters
    ----------
    codes : array, shape (n, d)
    factors : array, shape (n, K) or (n,)

    Returns
    -------
    array, shape (d, K)
        Between 0 and 1; 0 for constant latents and factors.

    Raises
    ------
    ValueError
        On arrays that do not belong together and on numbers that are not finite.

    Notes
    -----
    Kumar et al. (2018), section 3.

    Examples
    --------
    >>> r_squared_matrix([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]], [2, 1, 0]).round(4)
    array([[1.],
           [0.]])
    """
    z = as_codes(codes)
    r = _standardise(z).T @ _standardise(as_numbers(factors, len(z)))
    return np.asarray(np.clip(r, -1.0, 1.0) ** 2)


def _standardise(columns: Float) -> Float:
    """Centre each column and scale it to length one; constant columns become zeros."""
    largest = np.max(np.abs(columns), axis=0)
    scaled = columns / np.where(largest > 0, largest, 1.0)  # a constant becomes 1: no rounding
    centred = scaled - scaled.mean(axis=0)
    spread = np.max(np.abs(centred), axis=0)
    centred = centred / np.where(spread > 0, spread, 1.0)
    length = np.sqrt(np.sum(centred**2, axis=0))
    return np.asarray(centred / np.where(length > 0, length, 1.0))
