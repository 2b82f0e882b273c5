"""States of latents: what each of them does, and over which thresholds that holds."""

import numpy as np

from disentangle_indicators._array import Float, to_numpy
from disentangle_indicators.moments import Moments

__all__ = ["STATES", "states", "used_range"]

USED = 0.5
"""Least information of a used latent, in nats: the paper's threshold."""

WEAK = 0.01
"""Least information of a weak latent, in nats; below it the latent is unused."""

NEAR_DETERMINISTIC = 1e-6
"""Greatest share of a near-deterministic latent's posterior variance in its aggregated one."""

STATES = ("near-deterministic", "used", "offset", "weak", "unused")
"""States of a latent, of which the first two count as used.

An offset latent passes the threshold only because its mean is off zero: Definition 3 takes the
offset for information, and about its own mean the latent has less than the threshold.
"""


def states(moments: Moments, information: Float, threshold: float) -> tuple[str, ...]:
    """Name the state of each latent.

    Parameters
    ----------
    moments : Moments
    information : array, shape (d,)
        Definition 3, in nats.
    threshold : float
        Least information of a used latent, in nats.

    Returns
    -------
    tuple of str, length d

    Examples
    --------
    >>> moments = Moments.of(np.array([[1.0, 5.0], [-1.0, 5.0]]), np.full((2, 2), 0.5))
    >>> states(moments, np.array([0.55, 1.97]), 0.5)
    ('used', 'offset')
    """
    centred = information_about_mean(moments)
    share = np.exp(to_numpy(moments.log_var)) / to_numpy(moments.variance)

    def state(about_zero: float, about_mean: float, part: float) -> str:
        if about_mean > threshold:
            return "near-deterministic" if part < NEAR_DETERMINISTIC else "used"
        if about_zero > threshold:
            return "offset"
        return "weak" if about_zero > WEAK else "unused"

    return tuple(map(state, information.tolist(), centred.tolist(), share.tolist()))


def information_about_mean(moments: Moments) -> Float:
    """Return the factorised-mean bound of I(x; z_h), at most Definition 3: array (d,), nats."""
    variance = to_numpy(moments.variance)
    return 0.5 * (np.log(variance) - to_numpy(moments.log_var))


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
