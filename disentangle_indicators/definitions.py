r"""The indicators: Definitions 1-7 of the paper as functions of (Moments, QStar).

Definitions 2-4 measure the posteriors against q*, Definitions 5-7 measure q* against the prior.
At the exact optimum 4 and 5, 2 and 6, 3 and 7 are equal for every Gaussian family (the prior is
one of its members, so that q* is a projection). Both sides are computed on their own here: their
difference checks the solver and is no evidence about the model.

All values are in nats. Per-latent values exist for the factorised families only.
"""

from disentangle_indicators._array import Array, scalar
from disentangle_indicators._errors import Undefined
from disentangle_indicators.gaussian import log_det
from disentangle_indicators.moments import Moments
from disentangle_indicators.q_star import QStar, estimate_q_star, factorised, full

__all__ = [
    "gaussian_total_correlation",
    "kl_aggregate_prior",
    "kl_aggregate_prior_full_mean",
    "kl_aggregate_prior_per_latent",
    "kl_posterior_prior",
    "kl_posterior_prior_per_latent",
    "kl_q_star_prior",
    "mutual_information",
    "mutual_information_full_mean",
    "mutual_information_per_latent",
    "mutual_information_per_latent_via_q_star",
    "mutual_information_via_q_star",
    "upper_bounds",
]


def kl_posterior_prior(moments: Moments, q_star: QStar | None = None) -> float | Array:
    r"""Definition 1, eq. (5): average KL divergence of the posteriors to the prior.

    .. math:: \frac1n\sum_m D_{KL}(q(z|x_m)\|p(z)) = \tfrac12\sum_h(S_h - 1 - \ell_h)

    Parameters
    ----------
    moments : Moments
    q_star : QStar, optional
        Ignored: Definition 1 does not use q*.

    Returns
    -------
    float, or array of shape (...)
        Nats, at least 0. An upper bound of Definition 2.

    Examples
    --------
    >>> import numpy as np
    >>> kl_posterior_prior(Moments.of(np.zeros((4, 2)), np.ones((4, 2))))
    0.0
    """
    return _total(moments, kl_posterior_prior_per_latent(moments))


def kl_posterior_prior_per_latent(moments: Moments, q_star: QStar | None = None) -> Array:
    """Definition 1, eq. (5), of each latent.

    Parameters
    ----------
    moments : Moments
    q_star : QStar, optional
        Ignored: Definition 1 does not use q*.

    Returns
    -------
    array, shape (..., d)
        Nats, at least 0. It sums to Definition 1.

    Examples
    --------
    >>> import numpy as np
    >>> kl_posterior_prior_per_latent(Moments.of(np.eye(2), np.ones((2, 2))))
    array([0.25, 0.25])
    """
    return 0.5 * (moments.second_moment - 1 - moments.log_var)


def mutual_information(moments: Moments, q_star: QStar) -> float | Array:
    r"""Definition 2, eq. (6): average KL divergence of the posteriors to q*.

    .. math:: \frac1n\sum_m D_{KL}(q(z|x_m)\|q^*(z))

    Parameters
    ----------
    moments : Moments
    q_star : QStar
        Any fit, also one that has not converged; a fit of a full covariance needs moments with
        ``covariance=True``.

    Returns
    -------
    float, or array of shape (...)
        Nats, at least 0. An upper bound of I(x; z), loose by KL(q(z) || q*).

    Examples
    --------
    >>> import numpy as np
    >>> moments = Moments.of(np.array([[1.0], [-1.0]]), np.full((2, 1), 0.5))
    >>> round(mutual_information(moments, estimate_q_star(moments=moments)), 4)
    0.5493
    """
    if q_star.covariance is not None:
        return scalar(full.mean_kl(moments, q_star.mean, q_star.covariance))
    if q_star.nu is not None:
        return q_star.mean_kl
    return _total(moments, mutual_information_per_latent(moments, q_star))


def mutual_information_per_latent(moments: Moments, q_star: QStar) -> Array:
    r"""Definition 3, eq. (7): average KL divergence of each latent's posteriors to its q*.

    .. math:: \frac1n\sum_m D_{KL}(q(z_h|x_m)\|q^*(z_h)) = \tfrac12(\log S_h - \ell_h)

    Parameters
    ----------
    moments : Moments
    q_star : QStar
        Factorised.

    Returns
    -------
    array, shape (..., d)
        Nats, at least 0; 0 if and only if the latent ignores x. An upper bound of I(x; z_h).
        It sums to Definition 2 because q* is factorised, for every encoder.

    Raises
    ------
    ValueError
        When `q_star` is not a factorised Gaussian.

    Examples
    --------
    >>> import numpy as np
    >>> moments = Moments.of(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.full((2, 2), 0.5))
    >>> mutual_information_per_latent(moments, estimate_q_star(moments=moments)).round(4)
    array([0.5493, 0.    ])
    """
    _need_factorised(q_star, "Definition 3")
    values = factorised.mean_kl_per_latent(moments, q_star.mean, q_star.var)
    return moments.namespace.clip(values, 0, None)


def kl_aggregate_prior(moments: Moments, q_star: QStar) -> float | Array:
    """Definition 4, eq. (8): Definition 1 less Definition 2.

    Parameters
    ----------
    moments : Moments
    q_star : QStar

    Returns
    -------
    float, or array of shape (...)
        Nats. A lower bound of KL(q(z) || p) by Corollary 2; it sees second moments only, so 0
        does not mean that the aggregated posterior is the prior.

    Examples
    --------
    >>> import numpy as np
    >>> moments = Moments.of(np.array([[1.0], [-1.0]]), np.full((2, 1), 0.5))
    >>> round(kl_aggregate_prior(moments, estimate_q_star(moments=moments)), 4)
    0.0473
    """
    return kl_posterior_prior(moments) - mutual_information(moments, q_star)


def kl_aggregate_prior_per_latent(moments: Moments, q_star: QStar) -> Array:
    """Definition 4, eq. (8), of each latent: Definition 1 less Definition 3.

    Parameters
    ----------
    moments : Moments
    q_star : QStar
        Factorised.

    Returns
    -------
    array, shape (..., d)
        Nats. A lower bound of KL(q(z_h) || p). It sums to Definition 4.

    Raises
    ------
    ValueError
        When `q_star` is not a factorised Gaussian.

    Examples
    --------
    >>> import numpy as np
    >>> moments = Moments.of(np.array([[1.0], [-1.0]]), np.full((2, 1), 0.5))
    >>> kl_aggregate_prior_per_latent(moments, estimate_q_star(moments=moments)).round(4)
    array([0.0473])
    """
    return kl_posterior_prior_per_latent(moments) - mutual_information_per_latent(moments, q_star)


def kl_q_star_prior(moments: Moments, q_star: QStar) -> float | Array:
    """Definition 5, eq. (30): KL divergence of q* to the prior.

    Parameters
    ----------
    moments : Moments
        Ignored: Definition 5 uses q* only.
    q_star : QStar

    Returns
    -------
    float, or array of shape (...)
        Nats, at least 0. Equal to Definition 4 at the optimum of a Gaussian family.

    Examples
    --------
    >>> import numpy as np
    >>> moments = Moments.of(np.array([[1.0], [-1.0]]), np.full((2, 1), 0.5))
    >>> round(kl_q_star_prior(moments, estimate_q_star(moments=moments)), 4)
    0.0473
    """
    return q_star.kl_prior


def mutual_information_via_q_star(moments: Moments, q_star: QStar) -> float | Array:
    r"""Definition 6, eq. (31): Definition 1 less Definition 5.

    .. math:: \tfrac12\sum_h(S_h - s_h + \log s_h - \ell_h)

    for a factorised q* with variances s. Far from zero, both Definitions are large and nearly
    equal, so that their S and s are subtracted first.

    Parameters
    ----------
    moments : Moments
    q_star : QStar

    Returns
    -------
    float, or array of shape (...)
        Nats. Equal to Definition 2 at the optimum of a Gaussian family.

    Examples
    --------
    >>> import numpy as np
    >>> moments = Moments.of(np.array([[1.0], [-1.0]]), np.full((2, 1), 0.5))
    >>> round(mutual_information_via_q_star(moments, estimate_q_star(moments=moments)), 4)
    0.5493
    """
    if q_star.covariance is not None or q_star.nu is not None:
        return kl_posterior_prior(moments) - kl_q_star_prior(moments, q_star)
    return _total(moments, mutual_information_per_latent_via_q_star(moments, q_star))


def mutual_information_per_latent_via_q_star(moments: Moments, q_star: QStar) -> Array:
    r"""Definition 7, eq. (32): Definition 1 less Definition 5, of each latent.

    .. math:: \tfrac12(S_h - s_h + \log s_h - \ell_h)

    with s the variances of q* about zero. S and s are subtracted first, as in Definition 6.

    Parameters
    ----------
    moments : Moments
    q_star : QStar
        Factorised.

    Returns
    -------
    array, shape (..., d)
        Nats. Equal to Definition 3 at the optimum.

    Raises
    ------
    ValueError
        When `q_star` is not a factorised Gaussian.

    Examples
    --------
    >>> import numpy as np
    >>> moments = Moments.of(np.array([[1.0], [-1.0]]), np.full((2, 1), 0.5))
    >>> q_star = estimate_q_star(moments=moments)
    >>> mutual_information_per_latent_via_q_star(moments, q_star).round(4)
    array([0.5493])
    """
    _need_factorised(q_star, "Definition 7")
    log_s = moments.namespace.log(q_star.var)
    apart = moments.second_moment - q_star.var - q_star.mean**2
    return 0.5 * (apart + log_s - moments.log_var)


def gaussian_total_correlation(moments: Moments, q_star: QStar | None = None) -> float | Array:
    r"""Total correlation that a Gaussian with the covariance of q(z) would have.

    .. math:: -\tfrac12\log\det\operatorname{corr}(C_c)

    Parameters
    ----------
    moments : Moments
        With ``covariance=True``.
    q_star : QStar, optional
        Ignored.

    Returns
    -------
    float, or array of shape (...)
        Nats, at least 0; 0 if and only if no two latents are correlated. It sees no other
        dependence, and is high by about d(d-1)/(4n), d used latents, when there is none.

    Notes
    -----
    From the centred covariance: Definition 2 less the full-covariance family about 0 also counts
    how the means of the latents point the same way.

    Examples
    --------
    >>> import numpy as np
    >>> mean = np.array([[1.0, 1.0], [-1.0, -1.0]])
    >>> moments = Moments.of(mean, np.ones((2, 2)), covariance=True)
    >>> round(gaussian_total_correlation(moments), 4)
    0.1438
    """
    xp = moments.namespace
    covariance = moments.covariance
    apart = xp.sum(xp.log(xp.linalg.diagonal(covariance)), axis=-1)
    return scalar(0.5 * (apart - log_det(covariance)))


def mutual_information_full_mean(moments: Moments, q_star: QStar | None = None) -> float | Array:
    """Average KL divergence of the posteriors to the Gaussian with the moments of q(z).

    Parameters
    ----------
    moments : Moments
        With ``covariance=True``.
    q_star : QStar, optional
        Ignored: this bound has a q* of its own, the family ``full-mean``.

    Returns
    -------
    float, or array of shape (...)
        Nats, at least 0. The tightest Gaussian upper bound of I(x; z).

    Raises
    ------
    Undefined
        When the covariance is singular to working precision.

    Examples
    --------
    >>> import numpy as np
    >>> mean, var = np.array([[1.0, 1.0], [-1.0, -1.0]]), np.ones((2, 2))
    >>> round(mutual_information_full_mean(Moments.of(mean, var, covariance=True)), 4)
    0.5493
    """
    fit = estimate_q_star(moments=moments, family="full-mean")
    if not bool(moments.namespace.all(moments.namespace.asarray(fit.converged))):
        raise Undefined("the covariance of the aggregated posterior is singular")
    return fit.mean_kl


def kl_aggregate_prior_full_mean(moments: Moments, q_star: QStar | None = None) -> float | Array:
    """Definition 1 less the full-mean bound: the distance to the prior that mean and C show.

    Parameters
    ----------
    moments : Moments
        With ``covariance=True``.
    q_star : QStar, optional
        Ignored.

    Returns
    -------
    float, or array of shape (...)
        Nats, at least 0. A lower bound of KL(q(z) || p) that counts mean and correlation.

    Raises
    ------
    Undefined
        When the covariance is singular to working precision.

    Examples
    --------
    >>> import numpy as np
    >>> mean, var = np.array([[1.0, 1.0], [-1.0, -1.0]]), np.ones((2, 2))
    >>> round(kl_aggregate_prior_full_mean(Moments.of(mean, var, covariance=True)), 4)
    0.4507
    """
    return kl_posterior_prior(moments) - mutual_information_full_mean(moments)


def upper_bounds(moments: Moments) -> dict[str, float | Array]:
    """Return the chain of upper bounds of I(x; z), the tightest first.

    Parameters
    ----------
    moments : Moments
        With ``covariance=True``.

    Returns
    -------
    dict of str to float or array
        Nats. ``full-mean`` is at most ``full`` and ``factorised-mean``, which are at most
        ``factorised`` (Definition 2), which is at most ``prior`` (Definition 1). A family whose
        covariance is singular to working precision is left out.

    Raises
    ------
    ValueError
        When the summary was made without ``covariance=True``.

    Notes
    -----
    Corollary 1, eq. (28), for each family: its value is I(x; z) + KL(q(z) || q*).

    Examples
    --------
    >>> import numpy as np
    >>> moments = Moments.of(np.eye(2), np.ones((2, 2)), covariance=True)
    >>> [name for name in upper_bounds(moments)]
    ['full-mean', 'full', 'factorised-mean', 'factorised', 'prior']
    """
    _ = moments.covariance  # asked for
    names = ("full-mean", "full", "factorised-mean", "factorised")
    bounds: dict[str, float | Array] = {}
    for name in names:
        try:
            fit = estimate_q_star(moments=moments, family=name)
        except Undefined:
            continue
        if bool(moments.namespace.all(moments.namespace.asarray(fit.converged))):
            bounds[name] = fit.mean_kl
    return bounds | {"prior": kl_posterior_prior(moments)}


def _need_factorised(q_star: QStar, what: str) -> None:
    if q_star.covariance is not None or q_star.nu is not None:
        raise ValueError(f"{what} needs a factorised Gaussian q*; this one is {q_star.family}")


def _total(moments: Moments, per_latent: Array) -> float | Array:
    return scalar(moments.namespace.sum(per_latent, axis=-1))
