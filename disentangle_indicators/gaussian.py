r"""KL divergence, entropy and log density of Gaussians, diagonal and full.

A diagonal Gaussian is a mean and a variance, and its functions answer per latent, because the
sum over latents is the reader's to take. A full Gaussian is a mean and a covariance matrix, and
its functions answer with one number. Leading axes broadcast; everything is in nats.
"""

import numpy as np

from disentangle_indicators._array import (
    LOG_2PI,
    Array,
    as_array,
    as_pair,
    check_finite,
    check_positive,
    namespace,
    transpose,
)

__all__ = ["entropy", "entropy_full", "kl", "kl_full", "log_density", "log_density_full"]


def kl(mean: Array, var: Array, mean_q: Array = 0.0, var_q: Array = 1.0) -> Array:
    r"""KL divergence between two diagonal Gaussians, per latent.

    .. math:: \tfrac12\Big[\frac{v + (\mu - \mu_q)^2}{v_q} - 1 - \log\frac{v}{v_q}\Big]

    Parameters
    ----------
    mean, var : array, shape (..., n, d)
        The first Gaussian, from which the expectation is taken.
    mean_q, var_q : array or float
        The second one, broadcast against the first; the unit Gaussian prior by default.

    Returns
    -------
    array, shape (..., n, d)
        Nats, at least 0; 0 where both are the same.

    Raises
    ------
    ValueError
        On shapes that differ, numbers that are not finite and variances that are not positive.

    Notes
    -----
    The summand of Definition 1, eq. (5), with the default prior.

    Examples
    --------
    >>> import numpy as np
    >>> kl(np.array([[1.0, 0.0]]), np.array([[1.0, 0.5]])).round(4)
    array([[0.5   , 0.0966]])
    """
    xp, mean, var = as_pair(mean, var)
    check_finite(mean, "mean")
    check_positive(var, "var")
    check_finite(as_array(mean_q, "mean_q"), "mean_q")
    check_positive(as_array(var_q, "var_q"), "var_q")
    ratio = var / var_q
    return 0.5 * (ratio - 1 - xp.log(ratio) + (mean - mean_q) ** 2 / var_q)


def entropy(var: Array) -> Array:
    r"""Differential entropy of a diagonal Gaussian, per latent.

    .. math:: \tfrac12 \log(2 \pi e v)

    Parameters
    ----------
    var : array, shape (..., d)

    Returns
    -------
    array, shape (..., d)
        Nats, any sign.

    Raises
    ------
    ValueError
        On variances that are not positive.

    Examples
    --------
    >>> import numpy as np
    >>> entropy(np.ones((1, 2))).round(4)
    array([[1.4189, 1.4189]])
    """
    var = as_array(var, "var")
    check_positive(var, "var")
    xp = namespace(var)
    return 0.5 * (LOG_2PI + 1 + xp.log(var))


def log_density(z: Array, mean: Array, var: Array) -> Array:
    r"""Log density of a diagonal Gaussian at `z`, per latent.

    .. math:: -\tfrac12\Big[\frac{(z - \mu)^2}{v} + \log(2 \pi v)\Big]

    Parameters
    ----------
    z, mean, var : array, shapes that broadcast

    Returns
    -------
    array
        Nats.

    Raises
    ------
    ValueError
        On variances that are not positive.

    Examples
    --------
    >>> import numpy as np
    >>> log_density(np.zeros(1), np.zeros(1), np.ones(1)).round(4)
    array([-0.9189])
    """
    z, mean, var = (as_array(x, name) for x, name in ((z, "z"), (mean, "mean"), (var, "var")))
    check_finite(z, "z")
    check_finite(mean, "mean")
    check_positive(var, "var")
    xp = namespace(z)
    return -0.5 * ((z - mean) ** 2 / var + xp.log(var) + LOG_2PI)


def kl_full(mean: Array, cov: Array, mean_q: Array, cov_q: Array) -> Array:
    r"""KL divergence between two Gaussians with full covariance.

    .. math:: \tfrac12\big[\operatorname{tr}(\Sigma_q^{-1}\Sigma) - d
        + \delta^\top \Sigma_q^{-1} \delta - \log\det\Sigma + \log\det\Sigma_q\big],
        \quad \delta = \mu - \mu_q

    Parameters
    ----------
    mean, mean_q : array, shape (..., d)
    cov, cov_q : array, shape (..., d, d)

    Returns
    -------
    array, shape (...)
        Nats, at least 0.

    Raises
    ------
    ValueError
        On numbers that are not finite, and covariances that are not symmetric or not positive
        definite.

    Examples
    --------
    >>> import numpy as np
    >>> zero, eye = np.zeros(2), np.eye(2)
    >>> round(float(kl_full(zero, np.diag([1.0, 0.5]), zero, eye)), 4)
    0.0966
    """
    mean, mean_q = as_array(mean, "mean"), as_array(mean_q, "mean_q")
    cov, cov_q = as_array(cov, "cov"), as_array(cov_q, "cov_q")
    check_finite(mean, "mean")
    check_finite(mean_q, "mean_q")
    divergence = log_det(cov_q) - log_det(cov)
    xp = namespace(mean)
    delta = (mean - mean_q)[..., None]
    spread = xp.linalg.solve(cov_q, cov + delta @ transpose(delta))
    return 0.5 * (xp.linalg.trace(spread) - mean.shape[-1] + divergence)


def entropy_full(cov: Array) -> Array:
    r"""Differential entropy of a Gaussian with full covariance.

    .. math:: \tfrac12 \log\det(2 \pi e \Sigma)

    Parameters
    ----------
    cov : array, shape (..., d, d)

    Returns
    -------
    array, shape (...)
        Nats, any sign.

    Raises
    ------
    ValueError
        On numbers that are not finite, and covariances that are not symmetric or not positive
        definite.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(entropy_full(np.eye(2))), 4)
    2.8379
    """
    cov = as_array(cov, "cov")
    return 0.5 * (cov.shape[-1] * (LOG_2PI + 1) + log_det(cov))


def log_density_full(z: Array, mean: Array, cov: Array) -> Array:
    r"""Log density of a Gaussian with full covariance at the rows of `z`.

    .. math:: -\tfrac12\big[(z-\mu)^\top\Sigma^{-1}(z-\mu) + \log\det(2\pi\Sigma)\big]

    Parameters
    ----------
    z : array, shape (..., n, d)
    mean : array, shape (..., d)
    cov : array, shape (..., d, d)

    Returns
    -------
    array, shape (..., n)
        Nats.

    Raises
    ------
    ValueError
        On numbers that are not finite, and covariances that are not symmetric or not positive
        definite.

    Examples
    --------
    >>> import numpy as np
    >>> log_density_full(np.zeros((1, 2)), np.zeros(2), np.eye(2)).round(4)
    array([-1.8379])
    """
    z, mean, cov = (as_array(x, name) for x, name in ((z, "z"), (mean, "mean"), (cov, "cov")))
    check_finite(z, "z")
    check_finite(mean, "mean")
    determinant = log_det(cov)
    xp = namespace(z)
    delta = z - mean[..., None, :]
    solved = transpose(xp.linalg.solve(cov, transpose(delta)))
    mahalanobis = xp.sum(delta * solved, axis=-1)
    return -0.5 * (mahalanobis + determinant[..., None] + z.shape[-1] * LOG_2PI)


def log_det(cov: Array) -> Array:
    """Log determinant of positive definite matrices, by Cholesky.

    Parameters
    ----------
    cov : array, shape (..., d, d)

    Returns
    -------
    array, shape (...)

    Raises
    ------
    ValueError
        When a matrix is not finite, not symmetric or not positive definite.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(log_det(np.diag([2.0, 3.0]))), 4)
    1.7918
    """
    cov = as_array(cov, "cov")
    xp = namespace(cov)
    check_finite(cov, "cov")
    diagonal = xp.linalg.diagonal(cov)
    slack = 1e-6 * xp.max(xp.abs(diagonal))
    if bool(xp.any(xp.abs(cov - transpose(cov)) > slack)):
        raise ValueError("the covariance must be symmetric")
    if not bool(xp.all(diagonal > 0)):
        raise ValueError("the covariance must be positive definite; a variance is not positive")
    scale = xp.sqrt(diagonal)
    try:
        factor = xp.linalg.cholesky(cov / scale[..., :, None] / scale[..., None, :])
    except (np.linalg.LinAlgError, RuntimeError) as error:
        raise ValueError("the covariance must be positive definite; it is singular") from error
    return xp.sum(xp.log(diagonal) + 2 * xp.log(xp.linalg.diagonal(factor)), axis=-1)
