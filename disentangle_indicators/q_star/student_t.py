r"""Factorised zero-mean Student-t q*, for aggregated posteriors with heavy tails.

The scale follows from EM (Lange, Little and Taylor, 1989), monotone:

.. math:: s_h \leftarrow \frac1n\sum_m E_{q_m}\Big[\frac{\nu+1}{\nu+z_h^2/s_h}\,z_h^2\Big]
    = \frac{(\nu+1)\,s_h}n \sum_m \big[1 - \pi a\,V(\mu_{mh}; \sigma_{mh}, a)\big]

with :math:`a^2 = \nu s_h` and V the Voigt profile, the density of the sum of a Gaussian and a
Cauchy variable. The mean of :math:`\log(1 + z^2/a^2)` is a trapezoidal sum in t, z = a sinh t,
which resolves posteriors that are narrow or wide beside a.

Its value is an upper bound of the mutual information like any other, and Definitions 4 and 5
differ here, because the prior is not in the family.
"""

import math
from typing import Any

import array_api_compat
import numpy as np

from disentangle_indicators._array import Array, Float, namespace, row_blocks, to_numpy, widen

_NODES = 96
_REACH = 8.5
"""Standard deviations that are covered on both sides; beyond lie 2e-17 of a posterior."""

_SMALL = 1e-4
"""E z^2 / a^2 below which three terms of a series are more precise than the Voigt profile."""

Fit = tuple[Array, Array, int, Array]
"""Squared scale, residual, number of iterations, mean KL of the posteriors per latent."""


def em(mean: Array, var: Array, nu: float, *, tol: float, max_iterations: int) -> Fit:
    """Fit the squared scales s until max|s_new/s - 1| is below `tol`.

    In numpy after one transfer; the results are arrays of the library of the means.
    """
    m, v = to_numpy(mean), to_numpy(var)
    scale = np.mean(m * m + v, axis=-2)
    for iteration in range(max_iterations + 1):
        share = _average(m, v, np.sqrt(nu * scale), _mean_share)
        new = (nu + 1) * scale * share
        rest = np.max(np.abs(new / scale - 1), axis=-1)
        if iteration == max_iterations or np.all(rest <= tol):
            break
        scale = new
    log_terms = _average(m, v, np.sqrt(nu * scale), _mean_log)
    cross_entropy = log_constant(nu) + 0.5 * np.log(scale) + 0.5 * (nu + 1) * log_terms
    entropy = 0.5 * (math.log(2 * math.pi * math.e) + np.mean(np.log(v), axis=-2))
    scale, rest, kl = (_like(mean, x) for x in (scale, rest, cross_entropy - entropy))
    return scale, rest, iteration, kl


def _like(array: Array, values: Float) -> Array:
    """Return values in the library of an array, in float64 on the host where it has no other."""
    widened = widen(namespace(array), array)
    return namespace(array).asarray(values, device=array_api_compat.device(widened))


def log_constant(nu: float) -> float:
    r"""Log normaliser of the standard Student-t, :math:`\log(\sqrt\nu\,B(\nu/2, 1/2))`."""
    from scipy.special import betaln

    return 0.5 * math.log(nu) + float(betaln(nu / 2, 0.5))


def kl_prior(xp: Any, scale: Array, nu: float) -> Array:
    r"""KL of the Student-t to the unit Gaussian, per latent; infinite for nu <= 2.

    .. math:: \tfrac12\log 2\pi + \tfrac12\frac{s\nu}{\nu-2} - H(t)
    """
    from scipy.special import digamma

    if nu <= 2:
        return xp.full_like(scale, math.inf)
    spread = float(digamma((nu + 1) / 2) - digamma(nu / 2))
    entropy = 0.5 * (nu + 1) * spread + log_constant(nu) + 0.5 * xp.log(scale)
    return 0.5 * (math.log(2 * math.pi) + scale * (nu / (nu - 2))) - entropy


def _average(mean: Float, var: Float, a: Float, f: Any) -> Float:
    """Average f(mean, sd, a) over rows, per latent."""
    total: Any = 0.0
    for rows in row_blocks(mean):
        part = f(mean[..., rows, :], np.sqrt(var[..., rows, :]), a[..., None, :])
        total = total + part.sum(axis=-2)
    return np.asarray(total / mean.shape[-2])


def _mean_share(mean: Float, sd: Float, a: Float) -> Float:
    r"""Return :math:`E[z^2 / (a^2 + z^2)]` of Gaussians."""
    from scipy.special import voigt_profile

    x, w = (mean / a) ** 2, (sd / a) ** 2
    fourth = x * x + 6 * x * w + 3 * w * w
    sixth = x**3 + 15 * x * x * w + 45 * x * w * w + 15 * w**3
    profile = 1 - math.pi * a * voigt_profile(mean, sd, a)
    return np.where(x + w < _SMALL, x + w - fourth + sixth, profile)


def _mean_log(mean: Float, sd: Float, a: Float) -> Float:
    r"""Return :math:`E \log(1 + z^2 / a^2)` of Gaussians."""
    low, high = (np.arcsinh((mean + side * _REACH * sd) / a) for side in (-1, 1))
    total, mass = np.zeros_like(mean), np.zeros_like(mean)
    for place in np.linspace(0, 1, _NODES):
        t = low + place * (high - low)
        z = a * np.sinh(t)
        weight = np.exp(-0.5 * ((z - mean) / sd) ** 2) * np.cosh(t)
        total += weight * np.log1p((z / a) ** 2)
        mass += weight
    return total / mass
