"""Log determinants of covariances."""

import numpy as np

from disentangle_indicators._array import Array, as_array, check_finite, namespace, transpose
from disentangle_indicators._errors import Undefined

__all__ = ["log_det"]


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
        When a matrix is not finite or not symmetric.
    Undefined
        When it is not positive definite to working precision.

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
        raise Undefined("the covariance must be positive definite; a variance is not positive")
    scale = xp.sqrt(diagonal)
    try:
        factor = xp.linalg.cholesky(cov / scale[..., :, None] / scale[..., None, :])
    except (np.linalg.LinAlgError, RuntimeError) as error:
        raise Undefined("the covariance must be positive definite; it is singular") from error
    return xp.sum(xp.log(diagonal) + 2 * xp.log(xp.linalg.diagonal(factor)), axis=-1)
