"""What a fit of q* returns."""

from dataclasses import dataclass

from disentangle_indicators._array import Array
from disentangle_indicators._result import Result


@dataclass(frozen=True, eq=False, repr=False)
class QStar(Result):
    r"""A fitted q*(z), how well it fits, and how the fit ended.

    Parameters
    ----------
    family, method : str
        A key of ``FAMILIES`` and one of its methods.
    mean : array, shape (..., d)
        Mean of q*.
    var : array, shape (..., d)
        Variances of q*, the diagonal of its covariance; for a Student-t its squared scales.
    covariance : array, shape (..., d, d), or None
        Covariance, for the families that are not factorised.
    loadings : array, shape (..., d, rank), or None
        W of the low-rank family, whose covariance is W W^T + diag(psi).
    nu : float or None
        Degrees of freedom of the Student-t.
    converged : bool or array of bool, shape (...)
        Whether `residual` fell below the tolerance. False is an answer, not an error.
    n_iterations : int
    residual : float or array, shape (...)
        Distance from the stationarity conditions, 0 at the optimum: max|S/s - 1| for the
        factorised family; each family's fit says its own.
    mean_kl : float or array, shape (...)
        Nats: :math:`\frac1n\sum_m D_{KL}(q(z|x_m)\|q^*)`, an upper bound of I(x; z).
    kl_prior : float or array, shape (...)
        Nats: :math:`D_{KL}(q^*\|N(0, I))`.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import estimate_q_star
    >>> q = estimate_q_star(np.array([[1.0], [-1.0]]), np.full((2, 1), 0.5))
    >>> q.converged, q.var
    (True, array([1.5]))
    """

    family: str
    method: str
    mean: Array
    var: Array
    covariance: Array | None
    loadings: Array | None
    nu: float | None
    converged: bool | Array
    n_iterations: int
    residual: float | Array
    mean_kl: float | Array
    kl_prior: float | Array
