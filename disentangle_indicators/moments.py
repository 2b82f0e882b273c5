r"""The sums that the indicators need, as an immutable summary that adds up.

With :math:`u = \mu^2 + v` and :math:`\ell = \log v`, every one of Definitions 1-7 is a function
of the averages of :math:`u` and :math:`\ell`, every per-latent standard error one of their
variances and covariance, and every Gaussian family beyond the factorised ones needs the scatter
matrix of the means. :class:`~disentangle_indicators.Moments` holds these numbers centred, so that
nothing cancels when two of them are merged (Chan, Golub and LeVeque, 1983).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import array_api_compat

from disentangle_indicators._array import (
    Array,
    as_pair,
    as_posteriors,
    check_finite,
    check_positive,
    eye_like,
    widen,
)
from disentangle_indicators._sums import pivot_of, scale_of, sum_blocks, width_of

__all__ = ["Moments"]


@dataclass(frozen=True, eq=False)
class Moments:
    r"""Centred first and second moments of encodings; ``a + b`` is the summary of both.

    Parameters
    ----------
    n : int
        Number of samples.
    mean : array, shape (..., d)
        Average posterior mean, :math:`b`.
    mean_scatter : array, shape (..., d)
        :math:`\sum_m (\mu_m - b)^2`.
    var : array, shape (..., d)
        Average posterior variance.
    log_var : array, shape (..., d)
        Average log posterior variance, :math:`\ell`.
    co_scatter : array, shape (..., 3, d), or None
        Centred sums :math:`\sum uu`, :math:`\sum u \log v`, :math:`\sum \log v \log v`, where
        :math:`u = \mu^2 + v`: what the standard errors need.
    scatter : array, shape (..., d, d), or None
        :math:`\sum_m (\mu_m - b)(\mu_m - b)^\top`: what the full-covariance families need.

    Notes
    -----
    All arrays are float64. Standard errors treat rows as independent.

    Examples
    --------
    >>> import numpy as np
    >>> mean, var = np.array([[1.0], [-1.0], [3.0]]), np.full((3, 1), 0.5)
    >>> whole = Moments.of(mean, var)
    >>> parts = Moments.of(mean[:1], var[:1]) + Moments.of(mean[1:], var[1:])
    >>> bool(np.allclose(whole.second_moment, parts.second_moment))
    True
    >>> sum(Moments.of(mean[rows], var[rows]) for rows in (slice(0, 1), slice(1, 3))).n
    3
    """

    n: int
    mean: Array
    mean_scatter: Array
    var: Array
    log_var: Array
    co_scatter: Array | None = None
    scatter: Array | None = None

    @classmethod
    def of(
        cls,
        mean: Array,
        var: Array = None,
        *,
        std: Array = None,
        logvar: Array = None,
        logstd: Array = None,
        errors: bool = True,
        covariance: bool = False,
        threads: int = 1,
        first_row: int = 0,
    ) -> "Moments":
        """Summarise encodings, in blocks that fit the cache and without copying them.

        Parameters
        ----------
        mean, var : array, shape (..., n, d)
            Posterior means and variances. Half precision is widened to float32.
        std, logvar, logstd : array, shape (..., n, d), optional
            In place of `var`: standard deviations, log variances, log standard deviations. In half
            precision a variance of e^-20 is 0, and its logarithm is not.
        errors : bool
            Keep what the standard errors need; about twice the work.
        covariance : bool
            Keep the scatter matrix of the means; one matrix product more.
        threads : int
            Threads over blocks; the result does not depend on it, to the last bit.
        first_row : int
            Number of the first row, for error messages when this is one batch of many.

        Returns
        -------
        Moments

        Raises
        ------
        ValueError
            On shapes that differ, empty arrays, numbers that are not finite and variances that
            are not positive; the message names the first offending entry.

        Examples
        --------
        >>> import numpy as np
        >>> Moments.of(np.zeros((4, 2)), np.ones((4, 2))).second_moment
        array([1., 1.])
        """
        _, mean, var = as_posteriors(mean, var, std, logvar, logstd, first_row)
        if threads < 1:
            raise ValueError(f"threads must be at least 1; got {threads}")
        return cls._of(mean, var, errors, covariance, threads, first_row)

    @classmethod
    def _of(
        cls, mean: Array, var: Array, errors: bool, covariance: bool, threads: int, first_row: int
    ) -> "Moments":
        """Summarise arrays of one shape; the sums show whether an entry needs to be looked for."""
        xp = array_api_compat.array_namespace(mean)
        pivot, width = pivot_of(xp, mean), width_of(xp, var)
        about = pivot, width, scale_of(xp, width, var.dtype)
        sums = sum_blocks(xp, mean, var, *about, errors, covariance, threads)
        if not all(bool(xp.all(xp.isfinite(s))) for s in sums if s is not None):
            check_finite(mean, "mean", first_row)
            check_positive(var, "var", first_row)
            mean, var = widen(xp, mean), widen(xp, var)
            sums = sum_blocks(xp, mean, var, *about, errors, covariance, threads)
            if not all(bool(xp.all(xp.isfinite(s))) for s in sums if s is not None):
                raise ValueError("the squares of mean or var overflow float64")
        return _centre(cls, xp, mean.shape[-2], *about, *sums)

    @classmethod
    def of_batches(
        cls,
        batches: Iterable[tuple[Array, Array]],
        *,
        errors: bool = True,
        covariance: bool = False,
        threads: int = 1,
    ) -> "Moments":
        """Summarise an iterable of (mean, var) batches, one batch in memory at a time.

        Parameters
        ----------
        batches : iterable of (array, array), each of shape (..., b, d)
        errors, covariance, threads
            As for :meth:`of`.

        Returns
        -------
        Moments

        Raises
        ------
        ValueError
            As for :meth:`of`, with rows counted over all batches; and when there is no batch.

        Examples
        --------
        >>> import numpy as np
        >>> batch = np.zeros((4, 2)), np.ones((4, 2))
        >>> Moments.of_batches([batch, batch]).n
        8
        """
        if threads < 1:
            raise ValueError(f"threads must be at least 1; got {threads}")
        pairs = (as_pair(mean, var)[1:] for mean, var in batches)
        return cls.of_checked(pairs, errors=errors, covariance=covariance, threads=threads)

    @classmethod
    def of_checked(
        cls,
        batches: Iterable[tuple[Array, Array]],
        *,
        errors: bool,
        covariance: bool,
        threads: int,
    ) -> "Moments":
        """Summarise batches whose arrays are known to belong together."""
        summary: Moments | None = None
        for mean, var in batches:
            row = 0 if summary is None else summary.n
            part = cls._of(mean, var, errors, covariance, threads, row)
            summary = part if summary is None else summary + part
        if summary is None:
            raise ValueError("there is no batch to summarise")
        return summary

    def __add__(self, other: "Moments | int") -> "Moments":
        """Merge two summaries of the same latents; 0 is the summary of no rows."""
        if isinstance(other, int) and other == 0:
            return self
        if not isinstance(other, Moments):
            return NotImplemented
        if tuple(self.mean.shape) != tuple(other.mean.shape):
            raise ValueError(
                f"only summaries of the same latents add up; their shapes are "
                f"{tuple(self.mean.shape)} and {tuple(other.mean.shape)}"
            )
        xp = self.namespace
        n = self.n + other.n
        share = other.n / n
        weight = self.n * share
        d_mean = other.mean - self.mean
        d_log_var = other.log_var - self.log_var
        d_u = d_mean * (self.mean + other.mean) + other.variance - self.variance
        co_scatter = scatter = None
        if self.co_scatter is not None and other.co_scatter is not None:
            jumps = xp.stack([d_u * d_u, d_u * d_log_var, d_log_var * d_log_var], axis=-2)
            co_scatter = self.co_scatter + other.co_scatter + weight * jumps
        if self.scatter is not None and other.scatter is not None:
            outer = d_mean[..., :, None] * d_mean[..., None, :]
            scatter = self.scatter + other.scatter + weight * outer
        return Moments(
            n=n,
            mean=self.mean + share * d_mean,
            mean_scatter=self.mean_scatter + other.mean_scatter + weight * d_mean * d_mean,
            var=self.var + share * (other.var - self.var),
            log_var=self.log_var + share * d_log_var,
            co_scatter=co_scatter,
            scatter=scatter,
        )

    __radd__ = __add__

    def __repr__(self) -> str:
        """Return one line: rows, latents, and what is kept beside averages."""
        kept = [name for name in ("co_scatter", "scatter") if getattr(self, name) is not None]
        return f"Moments(n={self.n}, d={self.mean.shape[-1]}{''.join(f', {k}' for k in kept)})"

    @property
    def namespace(self) -> Any:
        """Array namespace of the fields."""
        return array_api_compat.array_namespace(self.mean)

    @property
    def second_moment(self) -> Array:
        r"""Array (..., d), :math:`S = \frac1n\sum_m(\mu_m^2 + v_m)`: the variance of q*."""
        return self.mean * self.mean + self.variance

    @property
    def variance(self) -> Array:
        """Array (..., d): variance of the aggregated posterior, S - b^2."""
        return self.mean_scatter / self.n + self.var

    @property
    def mean_variance(self) -> Array:
        """Array (..., d): unbiased variance of the posterior means, of the active units.

        It is 0 for a single sample.
        """
        return self.mean_scatter / max(self.n - 1, 1)

    @property
    def covariance(self) -> Array:
        """Array (..., d, d): covariance of the aggregated posterior, S_full - b b^T.

        Raises
        ------
        ValueError
            When the summary was made without ``covariance=True``.
        """
        if self.scatter is None:
            raise ValueError("this summary holds no scatter matrix: ask for covariance=True")
        return self.scatter / self.n + eye_like(self.scatter) * self.var[..., None, :]


def _centre(
    cls: type[Moments],
    xp: Any,
    n: int,
    pivot: Array | None,
    width: Array,
    scale: Array,
    sums: Array,
    outer: Array | None,
) -> Moments:
    """Turn sums about the pivot, in the scale, into averages and centred sums."""
    c = xp.zeros_like(sums[..., 0, :]) if pivot is None else pivot[..., 0, :]
    x, square, var, log_var = (sums[..., i, :] / n for i in range(4))
    scatter = None if outer is None else outer - n * x[..., :, None] * x[..., None, :]
    co_scatter = None
    if sums.shape[-2] > 4:
        u = square + (var - width[..., 0, :]) + 2 * c * x
        products = xp.stack([u * u, u * log_var, log_var * log_var], axis=-2)
        co_scatter = sums[..., 4:, :] - n * products
    return cls(
        n=n,
        mean=c + x,
        mean_scatter=xp.clip(n * square - n * x * x, 0, None),
        var=var,
        log_var=log_var - xp.log(scale[..., 0, :]),
        co_scatter=co_scatter,
        scatter=scatter,
    )
