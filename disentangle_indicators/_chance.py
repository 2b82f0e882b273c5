r"""Chance: what a perfect match with the prior shows on average, because draws are few.

"Perfect match" means this encoder with latents that are independent of each other and have S = 1
in the population. Averages of few draws still differ from 1, and latents still correlate.

Two shares describe a latent: :math:`a_h` is Var(mean) over the variance of the aggregated
posterior, near 1 for a used latent and 0 for an unused one. An unused latent has no chance term.
"""

from dataclasses import dataclass

import numpy as np

from disentangle_indicators._array import Float, to_numpy
from disentangle_indicators.moments import Moments

__all__ = ["Spread", "chance", "wishart"]


@dataclass(frozen=True, eq=False)
class Spread:
    """How far averages over rows move with another sample of draws.

    Parameters
    ----------
    second : array, shape (d,)
        Variance of the average of u = mean^2 + var, which is S.
    mean : array, shape (d,)
        Variance of the average mean.
    draws : float or None
        Independent rows that would show as much correlation by chance; None where not known.

    Examples
    --------
    >>> moments = Moments.of(np.array([[1.0], [-1.0], [2.0]]), np.ones((3, 1)))
    >>> spread = Spread.of_rows(moments)
    >>> spread.draws, spread.mean.round(3)
    (3, array([0.778]))
    """

    second: Float
    mean: Float
    draws: float | None

    @classmethod
    def of_rows(cls, moments: Moments) -> "Spread":
        """Return the spread where rows are independent, from at least two of them.

        The factor (n + 2)/n makes Var(u)/S^2 right on average for Gaussian codes. Without
        the co-moments of rows, codes are taken as Gaussian.
        """
        n, scatter = moments.n, to_numpy(moments.mean_scatter)
        if moments.co_scatter is None:
            s = scatter / n
            second = 2 * s * s + 4 * to_numpy(moments.mean) ** 2 * s
        else:
            second = to_numpy(moments.co_scatter[..., 0, :]) * (n + 2) / n / (n - 1)
        return cls(second / n, scatter / n / (n - 1), n)


def chance(moments: Moments, spread: Spread) -> dict[str, float]:
    r"""Return what a perfect match shows on average, by the name of the indicator.

    .. math:: \text{Definition 4:}\; \sum_h \frac{\operatorname{Var}(\bar u_h)}{4 S_h^2}, \qquad
        \text{Gaussian TC:}\; W(a) - \sum_h W(a_h) \approx \sum_{i<j}\frac{a_i a_j}{2n}

    with W the expectation of :func:`wishart`. The full-covariance bound is low, and the full
    distance high, by the Gaussian total correlation and what each variance shows alone,
    :math:`\sum_h \operatorname{Var}(\bar c_h)/(4 C_h^2) + \operatorname{Var}(\bar\mu_h)/(2 C_h)`,
    where c is u about the latent's own mean and C the variance of the aggregated posterior.

    Parameters
    ----------
    moments : Moments
        With ``covariance=True``, indicators of the covariance are covered too.
    spread : Spread

    Returns
    -------
    dict of str to float
        Nats, at least 0. Empty for one draw. Without the indicators of the covariance where
        latents are nearly as many as draws, and where the spread does not say how many these are.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> mean = rng.normal(size=(1000, 3)) * [0.99, 0.99, 0.0]  # two used latents of three
    >>> moments = Moments.of(mean, np.tile([0.02, 0.02, 1.0], (1000, 1)), covariance=True)
    >>> found = chance(moments, Spread.of_rows(moments))
    >>> round(found["kl_aggregate_prior"], 4), round(found["gaussian_total_correlation"], 4)
    (0.001, 0.0005)
    """
    draws = spread.draws
    if draws is not None and not 1 < draws < np.inf:
        return {}
    second, variance = to_numpy(moments.second_moment), to_numpy(moments.variance)
    found = {"kl_aggregate_prior": float(np.sum(spread.second / (4 * second**2)))}
    share = to_numpy(moments.mean_scatter) / moments.n / variance
    if moments.scatter is None or draws is None or draws < np.sum(share) + 2:
        return found
    alone = [wishart(share[h : h + 1], draws - 1) for h in range(share.size)]
    correlation = max(wishart(share, draws - 1) - float(np.sum(alone)), 0.0)
    about_mean = _about_mean(moments, spread) / (4 * variance**2) + spread.mean / (2 * variance)
    whole = correlation + float(np.sum(about_mean))
    return found | {
        "gaussian_total_correlation": correlation,
        "mutual_information_full_mean": whole,
        "kl_aggregate_prior_full_mean": whole,
    }


def _about_mean(moments: Moments, spread: Spread) -> Float:
    """Return the variance of the average of u about the own mean of each latent.

    The average of u about zero moves with the mean as well, by 2 b times as much. Where the mean
    b is far from zero the rest drowns in that, and codes are taken as Gaussian.
    """
    offset = to_numpy(moments.mean) ** 2
    s = to_numpy(moments.mean_scatter) / moments.n
    left = np.maximum(spread.second - 4 * offset * spread.mean, 0.0)
    return np.asarray(np.where(offset <= s / 4, left, 2 * s * spread.mean))


def wishart(share: Float, freedom: float) -> float:
    r"""Return by how much a covariance of few draws lowers half the log determinant, on average.

    The covariance is :math:`1 - a + a W` in units of its expectation, W a Wishart matrix of N
    degrees of freedom over N, so that each latent takes part with its share. With delta the root of
    :math:`N\delta = \sum_h a_h(1 - \delta)/(1 - a_h\delta)`, and
    :math:`\gamma = \sum_h [a_h(1 - \delta)/(1 - a_h\delta)]^2 / N`,

    .. math:: \tfrac12\big[N\log(1-\delta) + N\delta - \sum_h\log(1-a_h\delta)\big]
        - \tfrac14\log(1-\gamma)

    Parameters
    ----------
    share : array, shape (d,)
        a, from 0 to 1.
    freedom : float
        N, above the sum of a.

    Returns
    -------
    float
        Nats, at least 0.

    Notes
    -----
    The first term is the limit for many rows and latents (Tulino and Verdu, 2004),
    the second its correction for real matrices (Bai and Silverstein, 2004). At a = 1 the value is
    that of digamma functions, :math:`\tfrac12\sum_{i<d}[\log\tfrac N2 - \psi(\tfrac{N-i}2)]`.

    Examples
    --------
    >>> from scipy.special import digamma
    >>> exact = 0.5 * np.sum(np.log(30 / 2) - digamma((30 - np.arange(10)) / 2))
    >>> round(wishart(np.ones(10), 30), 3), round(float(exact), 3)
    (1.047, 1.046)
    """
    from scipy.optimize import brentq

    def excess(delta: float) -> float:
        return freedom * delta - float(np.sum(share * (1 - delta) / (1 - share * delta)))

    if not np.any(share > 0):
        return 0.0
    top = np.nextafter(1.0, 0.0)
    delta = brentq(excess, 0.0, top, xtol=1e-300) if excess(top) > 0 else top
    gamma = float(np.sum((share * (1 - delta) / (1 - share * delta)) ** 2)) / freedom
    limit = freedom * (np.log1p(-delta) + delta) - np.sum(np.log1p(-share * delta))
    return float(limit / 2 - np.log1p(-min(gamma, top)) / 4)
