r"""Gaussian q* with a full covariance matrix.

The optimum about 0 is the second-moment matrix C of the aggregated posterior, about the mean its
covariance. These families see correlation between latents, so that their value is lower than the
factorised one by the Gaussian total correlation, and they do not depend on the axes.
"""

import numpy as np

from disentangle_indicators._array import Array, eye_like, namespace
from disentangle_indicators._errors import Undefined
from disentangle_indicators.gaussian import log_det
from disentangle_indicators.moments import Moments

Fit = tuple[Array, Array, Array, int]
"""Mean, covariance, residual and number of iterations."""


def closed(moments: Moments, *, centred: bool) -> Fit:
    """Fit in closed form; the residual is the rounding of the inverse, max|R R^-1 - I|.

    R is the correlation matrix of the optimum, so that the units of the latents do not matter.
    """
    xp = moments.namespace
    mean = moments.mean if centred else xp.zeros_like(moments.mean)
    target = target_covariance(moments, mean)
    log_det(target)
    scale = xp.sqrt(xp.linalg.diagonal(target))
    correlation = target / scale[..., :, None] / scale[..., None, :]
    rest = xp.abs(correlation @ xp.linalg.inv(correlation) - eye_like(target))
    return mean, target, xp.max(rest, axis=(-2, -1)), 0


def target_covariance(moments: Moments, mean: Array) -> Array:
    """Second-moment matrix of the aggregated posterior about `mean`."""
    shift = moments.mean - mean
    return moments.covariance + shift[..., :, None] * shift[..., None, :]


def mean_kl(moments: Moments, mean: Array, covariance: Array) -> Array:
    """Average KL of the posteriors to N(mean, covariance), in nats."""
    xp = moments.namespace
    try:
        ratio = xp.linalg.solve(covariance, target_covariance(moments, mean))
    except (np.linalg.LinAlgError, RuntimeError) as error:  # of numpy, and of torch
        raise Undefined("the covariance of q* is singular to working precision") from error
    d = mean.shape[-1]
    return 0.5 * (
        log_det(covariance) + xp.linalg.trace(ratio) - d - xp.sum(moments.log_var, axis=-1)
    )


def kl_prior(mean: Array, covariance: Array) -> Array:
    """KL of N(mean, covariance) to the unit Gaussian, in nats."""
    xp = namespace(covariance)
    d = mean.shape[-1]
    return 0.5 * (xp.linalg.trace(covariance) + xp.sum(mean**2, axis=-1) - d - log_det(covariance))
