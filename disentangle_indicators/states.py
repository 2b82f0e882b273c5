"""States of latents: used, weak, unused; by the thresholds of thresholds.py.

"Used" has one rule: :func:`used`. The information of a latent is Definition 3 about its own mean;
where there are exact marginals, :func:`used_exact` counts by I(x; z_h); without variances there is
no information, and :func:`active` takes its place.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import Float, to_numpy
from disentangle_indicators.moments import Moments
from disentangle_indicators.thresholds import (
    ACTIVE_UNIT,
    HEAVY_TAIL,
    NEAR_DETERMINISTIC,
    NORMAL_VARIANCE,
    OFF_ZERO,
    OTHER_SPREAD,
    SATURATED,
    UNSETTLED_TAILS,
    USED,
    WEAK,
)

__all__ = [
    "ACTIVE_UNIT",
    "NEAR_DETERMINISTIC",
    "NORMAL_VARIANCE",
    "SATURATED",
    "STATES",
    "USED",
    "WEAK",
    "active",
    "has_heavy_tails",
    "has_normal_variance",
    "has_other_spread",
    "information_about_mean",
    "is_saturated",
    "kurtosis",
    "off_zero",
    "states",
    "tails_are_unsettled",
    "used",
    "used_exact",
    "used_range",
]

STATES = ("near-deterministic", "used", "offset", "weak", "unused")
"""States of a latent, of which the first two count as used.

An offset latent passes the threshold only because its mean is off zero: Definition 3 takes the
offset for information, and about its own mean the latent has less than the threshold. A latent
whose offset adds at most 0.05 nats is weak.
"""


def check_threshold(threshold: float) -> None:
    """Refuse a threshold that is no positive number."""
    if not 0 < threshold < math.inf:
        raise ValueError(f"threshold must be positive and finite; got {threshold:g}")


def states(moments: Moments, threshold: float = USED) -> tuple[str, ...]:
    """Name the state of each latent.

    Parameters
    ----------
    moments : Moments
    threshold : float
        Least information of a used latent, in nats.

    Returns
    -------
    tuple of str, length d

    Examples
    --------
    >>> moments = Moments.of(np.array([[1.0, 5.0], [-1.0, 5.0]]), np.full((2, 2), 0.5))
    >>> states(moments, 0.5)
    ('used', 'offset')
    """
    log_var = to_numpy(moments.log_var)
    about_zero = 0.5 * (np.log(to_numpy(moments.second_moment)) - log_var)
    about_mean = information_about_mean(moments)
    share = np.exp(log_var) / to_numpy(moments.variance)
    named = np.select(
        [
            (about_mean > threshold) & (share < NEAR_DETERMINISTIC),
            about_mean > threshold,
            (about_zero > threshold) & (about_zero - about_mean > OFF_ZERO),
            about_zero > WEAK,
        ],
        STATES[:4],
        STATES[4],
    )
    return tuple(named.tolist())


def used(moments: Moments, threshold: float = USED) -> list[int]:
    """Return the used latents: Definition 3 about the latent's own mean exceeds the threshold.

    Parameters
    ----------
    moments : Moments
    threshold : float
        Nats.

    Returns
    -------
    list of int

    Examples
    --------
    >>> used(Moments.of(np.array([[1.0, 5.0], [-1.0, 5.0]]), np.full((2, 2), 0.5)))
    [0]
    """
    return [int(h) for h in np.flatnonzero(information_about_mean(moments) > threshold)]


def used_exact(information: NDArray[np.floating[Any]], threshold: float = USED) -> list[int]:
    """Return the latents whose exact I(x; z_h), array (d,) in nats, exceeds the threshold."""
    return [int(h) for h in np.flatnonzero(information > threshold)]


def active(mean_variance: Float) -> list[int]:
    """Return the active units: Var(mean), array (d,) in units of the prior, is at least 0.01."""
    return [int(h) for h in np.flatnonzero(mean_variance >= ACTIVE_UNIT)]


def has_normal_variance(second_moment: Float) -> Any:
    """Return whether S of each latent is within 0.1 of the prior's 1: array (d,) of bool."""
    return np.abs(second_moment - 1) <= NORMAL_VARIANCE


def has_other_spread(variance: Float) -> bool:
    """Whether most latents spread otherwise than the prior: log variance more than 0.4 from 0."""
    return float(np.median(np.abs(np.log(variance)))) > OTHER_SPREAD


def is_saturated(information: Any, draws: float) -> Any:
    """Whether fewer than ten posteriors overlap, at this information above 0.

    Rows of one cluster count as one draw.
    """
    return (np.expm1(np.maximum(information, 0.0)) > SATURATED * draws) | (draws == 1)


def kurtosis(moments: Moments) -> Float:
    r"""Return the kurtosis of the means of each latent: array (d,), at least 1.

    .. math:: 1 + \operatorname{Var}((\mu - b)^2 + v) / \operatorname{Var}(\mu)^2

    It is 3 for Gaussian codes. It counts as 3 where it is not known: for unused latents, for
    means far from zero, and without the co-moments of rows.
    """
    s = to_numpy(moments.mean_scatter) / moments.n
    offset = to_numpy(moments.mean) ** 2
    if moments.co_scatter is None:
        return np.full_like(s, 3.0)
    spread = to_numpy(moments.co_scatter[..., 0, :]) / moments.n
    known = (s > 0.1 * to_numpy(moments.variance)) & (offset <= s / 4)
    square = np.where(known, s * s, 1.0)
    return np.where(known, 1 + np.maximum(spread - 4 * offset * s, 0.0) / square, 3.0)


def has_heavy_tails(moments: Moments) -> Any:
    """Return for which latents a few rows far out decide the standard errors: array (d,) of bool.

    Examples
    --------
    >>> mean = np.random.default_rng(0).standard_t(3, size=(2000, 1))
    >>> has_heavy_tails(Moments.of(mean, np.full_like(mean, 0.1)))
    array([ True])
    """
    return kurtosis(moments) > HEAVY_TAIL


def tails_are_unsettled(moments: Moments) -> bool:
    """Whether chance terms are only known to be at least what the rows show.

    They stand on fourth moments, of which a sample from a heavy tail shows too little.
    """
    weight = (to_numpy(moments.mean_scatter) / moments.n / to_numpy(moments.variance)) ** 2
    each = kurtosis(moments)
    average = np.sum(weight * each) / max(float(np.sum(weight)), np.finfo(float).tiny)
    return bool(average > UNSETTLED_TAILS or np.any(each > HEAVY_TAIL))


def information_about_mean(moments: Moments) -> Float:
    """Return the factorised-mean bound of I(x; z_h), at most Definition 3: array (d,), nats."""
    variance = to_numpy(moments.variance)
    return 0.5 * (np.log(variance) - to_numpy(moments.log_var))


def off_zero(moments: Moments) -> list[int]:
    """Return the latents whose mean is off zero: the offset adds 0.05 nats to Definition 3.

    Examples
    --------
    >>> off_zero(Moments.of(np.array([[1.0, 5.0], [-1.0, 5.0]]), np.full((2, 2), 0.5)))
    [1]
    """
    about_zero = 0.5 * np.log(to_numpy(moments.second_moment) / to_numpy(moments.variance))
    return [int(h) for h in np.flatnonzero(about_zero > OFF_ZERO)]


def used_range(information: Float, threshold: float) -> tuple[float, float]:
    """Return the thresholds, from the first to below the second, that give the same count.

    Parameters
    ----------
    information : array, shape (d,)
        What counts as the information of each latent, in nats.
    threshold : float

    Returns
    -------
    (float, float)
        Nats; the second is infinite when no latent is used.

    Examples
    --------
    >>> used_range(np.array([0.1, 0.7, 1.2]), 0.5)
    (0.1, 0.7)
    """
    below = information[information <= threshold]
    above = information[information > threshold]
    low = float(below.max()) if below.size else 0.0
    return max(low, 0.0), float(above.min()) if above.size else float("inf")
