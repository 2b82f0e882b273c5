r"""Factorised zero-mean Student-t q*, for aggregated posteriors with heavy tails.

The posteriors are Gaussian, so expectations under them are Gauss-Hermite sums of 40 nodes, and
the scale follows from EM (Lange, Little and Taylor, 1989), monotone:

.. math:: s_h \leftarrow \frac1n\sum_m E_{q_m}\Big[\frac{\nu+1}{\nu+z_h^2/s_h}\,z_h^2\Big]

Its value is an upper bound of the mutual information like any other, and Definitions 4 and 5
differ here, because the prior is not in the family.
"""

import math
from typing import Any

import numpy as np

from disentangle_indicators._array import Array, namespace, row_blocks, widen

_NODES = 40

Fit = tuple[Array, Array, int, Array]
"""Squared scale, residual, number of iterations, mean KL of the posteriors per latent."""


def em(mean: Array, var: Array, nu: float, *, tol: float, max_iterations: int) -> Fit:
    """Fit the squared scales s until max|s_new/s - 1| is below `tol`."""
    xp = namespace(mean)
    scale = _average(xp, mean, var, lambda z2: z2)
    for iteration in range(max_iterations + 1):
        weighted = _average(
            xp, mean, var, lambda z2, s=scale: (nu + 1) * z2 / (nu + z2 / s[..., None, :])
        )
        rest = xp.max(xp.abs(weighted / scale - 1), axis=-1)
        if iteration == max_iterations or bool(xp.all(rest <= tol)):
            break
        scale = weighted
    log_terms = _average(xp, mean, var, lambda z2: xp.log1p(z2 / (nu * scale[..., None, :])))
    log_var = (
        sum(xp.sum(xp.log(widen(xp, var[..., rows, :])), axis=-2) for rows in row_blocks(var))
        / var.shape[-2]
    )
    cross_entropy = log_constant(nu) + 0.5 * xp.log(scale) + 0.5 * (nu + 1) * log_terms
    entropy = 0.5 * (math.log(2 * math.pi * math.e) + log_var)
    return scale, rest, iteration, cross_entropy - entropy


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


def _average(xp: Any, mean: Array, var: Array, f: Any) -> Array:
    """Average over samples and posteriors of f(z^2), per latent."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    weights = weights / weights.sum()
    total: Any = 0.0
    for rows in row_blocks(mean):
        centre = widen(xp, mean[..., rows, :])
        spread = xp.sqrt(widen(xp, var[..., rows, :]))
        for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
            z = centre + node * spread
            total = total + weight * xp.sum(f(z * z), axis=-2)
    return total / mean.shape[-2]
