r"""An upper bound of the population's I(x; z): densities r_m that do not know row m.

For any such density, :math:`E\,D_{KL}(q_m \| r_m) \ge I(x; z)`, because the aggregated posterior
of the population is the best r that does not depend on m. The bound is tight where r_m comes near
it, so r_m is a mixture of what may: the other rows' posteriors, the same with their means shrunk
and their variances widened (which keeps the first two moments of q), the product of marginals,
a Gaussian, and the prior. Everything that is fitted is fitted on other folds of the rows.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators.aggregate._grid import grid
from disentangle_indicators.aggregate._monte_carlo import Draw

_STEPS = 300

_LEAST = 1e-12
"""Least weight of a density: none is ruled out by the points that happen to be there."""


def folds_of(draw: Draw, folds: Any) -> Iterator[tuple[Any, Any]]:
    """Give the points of each fold, and the rows of all others: boolean (s,) and (n,)."""
    fold = folds[draw.rows]
    for k in np.unique(fold):
        rest = folds != k
        yield fold == k, rest if rest.any() else ~rest


def shrunk(mean: Float, var: Float, share: float, rest: Any) -> tuple[Float, Float]:
    """Move a share of the variance of the means into the posteriors (West, 1993).

    Centre and variance are those of the rows `rest`.
    """
    if share == 0:
        return mean, var
    centre, spread = mean[rest].mean(axis=0), mean[rest].var(axis=0)
    return centre + np.sqrt(1 - share) * (mean - centre), var + share * spread


def leave_one_out(draw: Draw, log_q_h: Float, mean: Float, var: Float, folds: Any) -> Float:
    r"""Return the log of the product of marginals (s,) that leave each point's own row out.

    A marginal is :math:`(1 - \frac1n) \frac{n q(z_h) - q_m(z_h)}{n - 1} + \frac1n N(z_h)`, with
    a Gaussian fitted on other folds, so that no row is infinitely far from all others.
    """
    n = len(mean)
    own = np.minimum(np.exp(draw.log_own - log_q_h) / n, 1.0)
    with np.errstate(divide="ignore"):
        others = log_q_h + np.log1p(-own)
    log_gaussian = _gaussian_marginals(draw, mean, var, folds)
    return np.asarray(np.logaddexp(others, log_gaussian - np.log(n)).sum(axis=1))


def leave_fold_out(draw: Draw, mean: Float, var: Float, folds: Any) -> Float:
    r"""Return the log of the product of marginals (s,) of the rows in other folds.

    A marginal is :math:`(1 - \frac1n) q_{-k}(z_h) + \frac1n N(z_h)` with k the fold of the
    point's row. Where rows are in groups, it is cheaper than to leave each group out.
    """
    n = len(mean)
    density = np.empty_like(draw.z)
    for here, rest in folds_of(draw, folds):
        for h in range(mean.shape[1]):
            density[here, h] = grid(mean[rest, h], var[rest, h]).density(draw.z[here, h])
    others = np.log(np.maximum(density, np.finfo(float).tiny)) + np.log1p(-1 / n)
    log_gaussian = _gaussian_marginals(draw, mean, var, folds)
    return np.asarray(np.logaddexp(others, log_gaussian - np.log(n)).sum(axis=1))


def _gaussian_marginals(draw: Draw, mean: Float, var: Float, folds: Any) -> Float:
    """Return the log densities (s, d) of Gaussians with the moments of the other folds."""
    out = np.empty_like(draw.z)
    for here, rest in folds_of(draw, folds):
        z = draw.z[here] - mean[rest].mean(axis=0)
        variance = mean[rest].var(axis=0) + var[rest].mean(axis=0)
        out[here] = -0.5 * (z * z / variance + np.log(2 * np.pi * variance))
    return out


def gaussian(draw: Draw, mean: Float, var: Float, folds: Any) -> Float:
    """Return the log density (s,) of the Gaussian fitted to all folds but the point's own."""
    out = np.empty(len(draw.z))
    for here, rest in folds_of(draw, folds):
        centre = mean[rest].mean(axis=0)
        covariance = np.cov(mean[rest].T, bias=True).reshape(mean.shape[1], -1)
        covariance = covariance + np.diag(var[rest].mean(axis=0))
        try:
            factor = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:
            factor = np.diag(np.sqrt(np.diag(covariance)))
        x = np.linalg.solve(factor, (draw.z[here] - centre).T)
        constant = np.log(np.diag(factor)).sum() + 0.5 * mean.shape[1] * np.log(2 * np.pi)
        out[here] = -0.5 * np.sum(x * x, axis=0) - constant
    return out


def mix(log_density: Float, fold: Any) -> tuple[Float, Float]:
    """Return the log of the mixture (s,) with weights from other folds, and weights (k,) from all.

    Parameters
    ----------
    log_density : array, shape (s, k)
    fold : array, shape (s,)
    """
    from scipy.special import logsumexp

    out = np.empty(len(log_density))
    for k in np.unique(fold):
        rest = fold != k if np.any(fold != k) else fold == k
        weights = _weights(log_density[rest])
        out[fold == k] = logsumexp(log_density[fold == k], axis=1, b=weights)
    return out, _weights(log_density)


def _weights(log_density: Float) -> Float:
    """Return the weights of greatest likelihood, by EM."""
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    weights = np.full(density.shape[1], 1 / density.shape[1])
    for _ in range(_STEPS):
        weights *= (1 / (density @ weights)) @ density / len(density)
        weights = np.maximum(weights, _LEAST)
    return np.asarray(weights / weights.sum())
