r"""The q*(z) solver: the distribution of a family that is nearest to the aggregated posterior.

.. math:: q^* = \arg\min_Q \frac1n \sum_m D_{KL}(q(z|x_m) \,\|\, Q(z))

is eq. (10) of the paper. Over zero-mean factorised Gaussians, the paper's family, the minimum is
the second moment :math:`S_h = \frac1n\sum_m(\mu_{mh}^2 + v_{mh})`; the other Gaussian families
are as explicit, and only the factor analysis and the Student-t need iterations.
"""

import math
from numbers import Integral

from disentangle_indicators._array import Array, as_posteriors, namespace, one_scale, scalar
from disentangle_indicators.moments import Moments
from disentangle_indicators.q_star import factorised, full, low_rank
from disentangle_indicators.q_star import student_t as student
from disentangle_indicators.q_star._solution import QStar

__all__ = ["FAMILIES", "QStar", "estimate_q_star"]

FAMILIES = {
    "factorised": ("closed", "gradient"),
    "factorised-mean": ("closed",),
    "full": ("closed",),
    "full-mean": ("closed",),
    "low-rank": ("em",),
    "student-t": ("em",),
}
"""The families of q* and the methods that fit each; the first method is the default."""


def estimate_q_star(
    mean: Array = None,
    var: Array = None,
    *,
    std: Array = None,
    logvar: Array = None,
    logstd: Array = None,
    moments: Moments | None = None,
    family: str = "factorised",
    method: str | None = None,
    rank: int | None = None,
    nu: float | None = None,
    tol: float = 1e-6,
    max_iterations: int = 2000,
    step_size: float = 1.0,
) -> QStar:
    r"""Fit q*(z) to encodings, many at once.

    Parameters
    ----------
    mean, var : array, shape (..., n, d)
        Posterior means and variances. Leading axes are separate problems: models, training
        steps. Torch tensors are detached.
    std, logvar, logstd : array, shape (..., n, d), optional
        In place of `var`: standard deviations, log variances, log standard deviations.
    moments : Moments, optional
        Their summary, in place of the arrays; not for the Student-t, which needs the arrays.
    family : str
        ``factorised`` (zero mean, the paper's), ``factorised-mean``, ``full``, ``full-mean``,
        ``low-rank`` (zero mean, needs `rank`) or ``student-t`` (zero mean, needs `nu`).
    method : str, optional
        ``closed`` where it is exact; ``gradient``, the paper's eq. (10) in log variance, for the
        factorised family; ``em`` for the last two.
    rank : int, optional
        Columns of the loadings of the low-rank family, 1 to d - 1.
    nu : float, optional
        Degrees of freedom of the Student-t, at least 1. Its values are good to 1e-8 nats, and to
        1e-5 where posteriors are a million times wider than q*.
    tol : float
        An iterative fit is converged when its residual is at most this.
    max_iterations : int
        Where an iterative fit gives up, and says so in the result.
    step_size : float
        Of the gradient method, relative to the curvature at the optimum: 1 ends like Newton,
        smaller steps contract the error by 1 - step_size.

    Returns
    -------
    QStar

    Raises
    ------
    ValueError
        On invalid arrays, an unknown family, a method that does not apply, and a missing or
        impossible `rank` or `nu`.

    Notes
    -----
    Definition of q*: eq. (10); its use in Definitions 2-4: eqs. (6)-(8). Values are ordered:
    full-mean <= full and factorised-mean <= factorised, and low-rank lies between full and
    factorised. All are upper bounds of I(x; z).

    Examples
    --------
    >>> import numpy as np
    >>> mean, var = np.array([[1.0, 0.0], [-1.0, 0.0]]), np.full((2, 2), 0.5)
    >>> estimate_q_star(mean, var).var
    array([1.5, 0.5])
    >>> estimate_q_star(mean, var, method="gradient").converged
    True
    """
    if family not in FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}; got {family!r}")
    method = FAMILIES[family][0] if method is None else method
    if method not in FAMILIES[family]:
        raise ValueError(
            f"the {family} family is fitted by {' or '.join(FAMILIES[family])}; got {method!r}"
        )
    for name, value, user in (("rank", rank, "low-rank"), ("nu", nu, "student-t")):
        if value is not None and family != user:
            raise ValueError(f"{name}= belongs to the {user} family, not to {family}")
    if not (0 < step_size < math.inf and tol > 0 and max_iterations >= 0):
        raise ValueError("step_size and tol must be positive, max_iterations at least 0")
    scale, _ = one_scale(var, std, logvar, logstd)
    if (moments is None) == (mean is None) or (moments is not None and scale):
        raise ValueError("give either mean and var or moments=")
    if moments is None:
        _, mean, var = as_posteriors(mean, var, std, logvar, logstd)
    if family == "student-t":
        return _student_t(mean, var, moments, nu, tol, max_iterations)
    if moments is None:
        covariance = family in ("full", "full-mean", "low-rank")
        moments = Moments.of(mean, var, errors=False, covariance=covariance)
    if family.startswith("factorised"):
        return _factorised(moments, family, method, tol, max_iterations, step_size)
    if family == "low-rank":
        return _with_covariance(moments, family, rank, tol, max_iterations)
    kept = vars(moments).setdefault("_fits", {})  # each fit costs d^3, and several bounds ask
    if (family, tol) not in kept:
        kept[family, tol] = _with_covariance(moments, family, rank, tol, max_iterations)
    fit: QStar = kept[family, tol]
    return fit


def _factorised(
    moments: Moments, family: str, method: str, tol: float, max_iterations: int, step_size: float
) -> QStar:
    xp = moments.namespace
    if method == "gradient":
        fit = factorised.gradient(
            moments, tol=tol, max_iterations=max_iterations, step_size=step_size
        )
    else:
        fit = factorised.closed(moments, centred=family == "factorised-mean")
    mean, var, residual, iterations = fit
    mean_kl = xp.sum(factorised.mean_kl_per_latent(moments, mean, var), axis=-1)
    kl_prior = xp.sum(factorised.kl_prior_per_latent(xp, mean, var), axis=-1)
    return QStar(
        family=family,
        method=method,
        mean=mean,
        var=var,
        covariance=None,
        loadings=None,
        nu=None,
        converged=scalar(residual <= tol),
        n_iterations=iterations,
        residual=scalar(residual),
        mean_kl=scalar(mean_kl),
        kl_prior=scalar(kl_prior),
    )


def _with_covariance(
    moments: Moments, family: str, rank: int | None, tol: float, max_iterations: int
) -> QStar:
    xp = moments.namespace
    d = moments.mean.shape[-1]
    loadings = None
    if family == "low-rank":
        if not isinstance(rank, Integral) or not 1 <= rank < d:
            raise ValueError(f"the low-rank family needs rank= from 1 to {d - 1}; got {rank}")
        mean = xp.zeros_like(moments.mean)
        fit = low_rank.em(moments, int(rank), tol=tol, max_iterations=max_iterations)
        loadings, covariance, residual, iterations = fit
    else:
        mean, covariance, residual, iterations = full.closed(
            moments, centred=family == "full-mean"
        )
    return QStar(
        family=family,
        method=FAMILIES[family][0],
        mean=mean,
        var=xp.linalg.diagonal(covariance),
        covariance=covariance,
        loadings=loadings,
        nu=None,
        converged=scalar(residual <= tol),
        n_iterations=iterations,
        residual=scalar(residual),
        mean_kl=scalar(full.mean_kl(moments, mean, covariance)),
        kl_prior=scalar(full.kl_prior(mean, covariance)),
    )


def _student_t(
    mean: Array,
    var: Array,
    moments: Moments | None,
    nu: float | None,
    tol: float,
    max_iterations: int,
) -> QStar:
    if moments is not None:
        raise ValueError("the student-t family needs the arrays, not their moments")
    if nu is None or not 1 <= nu < math.inf:
        raise ValueError(f"the student-t family needs a finite nu= of at least 1; got {nu}")
    Moments.of(mean, var, errors=False)  # refuses what is not finite or not positive
    xp = namespace(mean)
    scale, residual, iterations, mean_kl = student.em(
        mean, var, nu, tol=tol, max_iterations=max_iterations
    )
    return QStar(
        family="student-t",
        method="em",
        mean=xp.zeros_like(scale),
        var=scale,
        covariance=None,
        loadings=None,
        nu=float(nu),
        converged=scalar(residual <= tol),
        n_iterations=iterations,
        residual=scalar(residual),
        mean_kl=scalar(xp.sum(mean_kl, axis=-1)),
        kl_prior=scalar(xp.sum(student.kl_prior(xp, scale, nu), axis=-1)),
    )
