r"""Counts of latents that are like a rank, and what means and variances show of single latents."""

import math
from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float, as_pair, to_numpy
from disentangle_indicators.thresholds import ALMOST_ALL, USED

__all__ = [
    "VARIABLES",
    "entropy_of_means",
    "isometric_importance",
    "participation_ratio",
    "share_of_rows",
    "variables",
]

VARIABLES = ("active", "mixed", "passive")
"""Kinds of latents in the polarised regime (Bonheme and Grzes, 2023)."""


def participation_ratio(values: Any) -> float:
    r"""Count how many of some values share their sum.

    .. math:: \frac{(\sum_h x_h)^2}{\sum_h x_h^2}

    Parameters
    ----------
    values : array, shape (d,)
        At least 0, such as Definition 3 in nats.

    Returns
    -------
    float
        From 1, where one latent has all, to d, where all have the same; 0 where all values are 0.

    Examples
    --------
    >>> participation_ratio([2.0, 2.0, 0.0]), participation_ratio([3.0, 0.0])
    (2.0, 1.0)
    """
    x = np.asarray(values, dtype=np.float64)
    square = float(np.sum(x**2))
    return float(np.sum(x)) ** 2 / square if square > 0 else 0.0


def share_of_rows(var: Array, threshold: float = USED) -> Float:
    r"""Return the share of rows that use each latent.

    .. math:: \frac1n\sum_m 1\{-\tfrac12 \log v_{mh} > t\}

    Parameters
    ----------
    var : array, shape (n, d)
        Posterior variances, in units of the prior.
    threshold : float
        Least information t of a row that uses a latent, in nats.

    Returns
    -------
    array, shape (d,)
        From 0 to 1.

    Examples
    --------
    >>> share_of_rows(np.array([[0.1, 1.0], [0.9, 1.0]]))
    array([0.5, 0. ])
    """
    return np.asarray(np.mean(-0.5 * np.log(to_numpy(var)) > threshold, axis=0))


def variables(share: Float) -> tuple[str, ...]:
    """Name the kind of each latent: active, mixed or passive.

    Parameters
    ----------
    share : array, shape (d,)
        Share of rows that use the latent, as of :func:`share_of_rows`.

    Returns
    -------
    tuple of str, length d
        "active": used by 95% of the rows or more; "passive": by 5% or fewer; "mixed": by some.

    Notes
    -----
    Bonheme and Grzes (2023, section 3) define the kinds by variances that are near 0 for all rows,
    near 1 for all, and either. What counts as near is a choice of this package.

    Examples
    --------
    >>> variables(np.array([1.0, 0.4, 0.0]))
    ('active', 'mixed', 'passive')
    """
    kinds = np.select([share >= ALMOST_ALL, share > 1 - ALMOST_ALL], VARIABLES[:2], VARIABLES[2])
    return tuple(kinds.tolist())


def isometric_importance(var: Array, noise: float | None = None) -> Float:
    r"""Return the importance of each latent from the variances of its posteriors alone.

    .. math:: \lambda_h = s \, \frac1n \sum_m \frac{1}{v_{mh}}

    A trained VAE embeds its data so that every latent, measured in units of its own posterior
    width, is as long as the data are in units of the noise variance s = beta sigma^2. So this is
    the variance of the data along the latent, as an eigenvalue of principal components is.

    Parameters
    ----------
    var : array, shape (n, d)
        Posterior variances, in units of the prior.
    noise : float, optional
        The normalised noise variance s = beta sigma^2 of the decoder.

    Returns
    -------
    array, shape (d,)
        With `noise`, variances of the data, at least about s; without, shares that sum to 1.

    Raises
    ------
    ValueError
        On a noise variance that is not positive, and on variances that are not.

    Notes
    -----
    Nakagawa and Kato (2021, arXiv 2007.15190). For the optimal linear VAE it is the eigenvalue of
    the data's covariance exactly, and s for unused latents.

    Examples
    --------
    >>> isometric_importance(np.array([[0.25, 1.0], [0.25, 1.0]]), noise=0.5)
    array([2. , 0.5])
    >>> isometric_importance(np.array([[0.25, 1.0], [0.25, 1.0]]))
    array([0.8, 0.2])
    """
    if noise is not None and not 0 < noise < math.inf:
        raise ValueError(f"noise must be positive and finite; got {noise:g}")
    v = np.asarray(to_numpy(as_pair(var, var)[2]), dtype=np.float64)
    if not np.all(v > 0):
        row, column = np.argwhere(~(v > 0))[0]
        raise ValueError(f"var must be positive; var[{row}, {column}] = {v[row, column]:g}")
    precision = np.mean(1 / v, axis=0)
    return np.asarray(precision / precision.sum() if noise is None else noise * precision)


def entropy_of_means(mean: Array) -> Float:
    r"""Return the differential entropy of the posterior means of each latent.

    .. math:: h(\mu_h) \le \tfrac12 \log(2 \pi e \operatorname{Var} \mu_h)

    Parameters
    ----------
    mean : array, shape (n, d)
        Of rows that are distinct: copies lower it.

    Returns
    -------
    array, shape (d,)
        Nats; minus infinity for a latent whose means are constant.

    Notes
    -----
    From spacings of the sorted means (Vasicek, 1976, and later corrections of its bias). Clapham,
    Bonheme and Grzes (2026, arXiv 2605.15965) call latents passive whose entropy is low. The means
    alone cannot tell an active latent from a mixed one, as they write; the variances can
    (:func:`share_of_rows`).

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(4000, 1))
    >>> entropy_of_means(np.hstack([x, 0 * x])).round(2)  # 1.42 for N(0, 1)
    array([1.42, -inf])
    """
    from scipy.stats import differential_entropy

    x = np.asarray(to_numpy(mean), dtype=np.float64)
    moves = x.min(axis=0) < x.max(axis=0)
    out = np.full(x.shape[1], -np.inf)
    with np.errstate(divide="ignore"):
        out[moves] = differential_entropy(x[:, moves], axis=0)
    return out
