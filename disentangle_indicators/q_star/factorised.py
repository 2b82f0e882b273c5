r"""Factorised Gaussian q*: explicit, and by the gradient descent that the paper prescribes.

With :math:`T_h` the second moment of the aggregated posterior about the mean of q*,

.. math:: \frac1n\sum_m D_{KL}(q_m\|N(a, s)) = \tfrac12\sum_h\big[\log s_h + T_h/s_h - 1
    - \ell_h\big]

is convex in :math:`\log s` and least at :math:`s = T`.
"""

from typing import Any

from disentangle_indicators._array import Array
from disentangle_indicators.moments import Moments

Fit = tuple[Array, Array, Array, int]
"""Mean, variance, residual and number of iterations."""


def closed(moments: Moments, *, centred: bool) -> Fit:
    """Fit in closed form: s = S about 0 (the paper's family), or s = S - b^2 about b.

    The residual is 0 by construction.
    """
    xp = moments.namespace
    mean = moments.mean if centred else xp.zeros_like(moments.mean)
    var = moments.variance if centred else moments.second_moment
    return mean, var, xp.zeros_like(var[..., 0]), 0


def gradient(moments: Moments, *, tol: float, max_iterations: int, step_size: float) -> Fit:
    r"""Fit by gradient descent on eq. (10) in log variance, from the prior s = 1.

    The gradient is :math:`\tfrac12(1 - S/s)`; the step is it times `step_size`, over the
    curvature 1/2 at the optimum, and at most one nat long, because far from the optimum the
    gradient grows like S/s.
    """
    xp = moments.namespace
    target = moments.second_moment
    log_var = xp.zeros_like(target)
    for iteration in range(max_iterations + 1):
        var = xp.exp(log_var)
        rest = residual(xp, target, var)
        if iteration == max_iterations or bool(xp.all(rest <= tol)):
            break
        log_var = log_var - xp.clip(step_size * (1 - target / var), -1.0, 1.0)
    return xp.zeros_like(target), var, rest, iteration


def residual(xp: Any, target: Array, var: Array) -> Array:
    """Largest |T/s - 1| over latents: the relative violation of the optimality condition."""
    return xp.max(xp.abs(target / var - 1), axis=-1)


def mean_kl_per_latent(moments: Moments, mean: Array, var: Array) -> Array:
    """Average KL of the posteriors to N(mean, var), per latent, in nats."""
    xp = moments.namespace
    about = moments.variance + (moments.mean - mean) ** 2
    return 0.5 * (xp.log(var) + about / var - 1 - moments.log_var)


def kl_prior_per_latent(xp: Any, mean: Array, var: Array) -> Array:
    """KL of N(mean, var) to the unit Gaussian, per latent, in nats."""
    return 0.5 * (var + mean**2 - 1 - xp.log(var))
