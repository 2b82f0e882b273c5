r"""The sums that the indicators need, as an immutable summary that adds up.

With :math:`u = \mu^2 + v` and :math:`\ell = \log v`, every one of Definitions 1-7 is a function
of the averages of :math:`u` and :math:`\ell`, every per-latent standard error one of their
variances and covariance, and every Gaussian family beyond the factorised ones needs the scatter
matrix of the means. :class:`Moments` holds these numbers centred, so that nothing cancels when
two of them are merged (Chan, Golub and LeVeque, 1983).
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import array_api_compat
import numpy as np

from disentangle_indicators._array import (
    Array,
    as_pair,
    check_finite,
    check_positive,
    eye_like,
    row_blocks,
    transpose,
    widen,
)

__all__ = ["Moments", "log_sum"]

_OUTER_ROWS = 1 << 15
"""Rows of one matrix product: enough to run at full speed, few enough for float32."""

_ROWS = 64
"""Rows that one partial sum in the input's own precision may cover; beyond, float64."""


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
        var: Array,
        *,
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
        xp, mean, var = as_pair(mean, var)
        pivot = _pivot(xp, mean)
        sums = _sum_blocks(xp, mean, var, pivot, errors, covariance, threads)
        if not all(bool(xp.all(xp.isfinite(s))) for s in sums if s is not None):
            check_finite(mean, "mean", first_row)
            check_positive(var, "var", first_row)
            mean, var = widen(xp, mean), widen(xp, var)
            sums = _sum_blocks(xp, mean, var, pivot, errors, covariance, threads)
            if not all(bool(xp.all(xp.isfinite(s))) for s in sums if s is not None):
                raise ValueError("the squares of mean or var overflow float64")
        return _centre(cls, xp, mean.shape[-2], pivot, *sums)

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

        def parts() -> Iterator[Moments]:
            row = 0
            for mean, var in batches:
                part = cls.of(
                    mean,
                    var,
                    errors=errors,
                    covariance=covariance,
                    threads=threads,
                    first_row=row,
                )
                row += part.n
                yield part

        summary: Moments | None = None
        for part in parts():
            summary = part if summary is None else summary + part
        if summary is None:
            raise ValueError("there is no batch to summarise")
        return summary

    def __add__(self, other: "Moments") -> "Moments":
        """Merge two summaries of the same latents."""
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


def _pivot(xp: Any, mean: Array) -> Array | None:
    """Return the mean of the first rows where it exceeds eight of their standard deviations.

    Squares are taken about it. Latents centred near 0 need no pivot, and when none does the
    subtraction is left out.
    """
    head = widen(xp, mean[..., : min(_ROWS, mean.shape[-2]), :])
    with np.errstate(all="ignore"):
        centre = xp.mean(head, axis=-2, keepdims=True)
        far = xp.isfinite(centre) & (xp.abs(centre) > 8 * xp.std(head, axis=-2, keepdims=True))
    centre = xp.astype(xp.where(far, centre, xp.zeros_like(centre)), mean.dtype)
    return widen(xp, centre) if bool(xp.any(far)) else None


def _sum_blocks(
    xp: Any,
    mean: Array,
    var: Array,
    pivot: Array | None,
    errors: bool,
    covariance: bool,
    threads: int,
) -> tuple[Array, Array | None]:
    """Return the sums over samples, about the pivot: (..., k, d) and, when asked, (..., d, d)."""
    c = None if pivot is None else xp.astype(pivot, mean.dtype)
    _keep_freed_memory()

    def columns(rows: slice) -> Array:
        with np.errstate(all="ignore"):
            return _columns(xp, _about(mean[..., rows, :], c), var[..., rows, :], c, errors)

    def outer(rows: slice) -> Array:
        with np.errstate(all="ignore"):
            return _outer(xp, _about(mean[..., rows, :], c))

    sums = _add_up(columns, _whole_tiles(row_blocks(mean)), threads)
    if not covariance:
        return sums, None
    return sums, _add_up(outer, row_blocks(mean, _OUTER_ROWS), threads)


def _about(mean: Array, pivot: Array | None) -> Array:
    return mean if pivot is None else mean - pivot


def _add_up(block: Callable[[slice], Array], slices: Iterable[slice], threads: int) -> Array:
    """Sum over blocks in their order, whichever thread did them."""
    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            return reduce(add, pool.map(block, slices))
    return reduce(add, map(block, slices))


def _keep_freed_memory() -> None:
    """Free one large allocation, untouched: from then on glibc keeps freed blocks for reuse.

    Its thresholds follow the largest block freed so far. Without this, each temporary of a block
    may go back to the system and be faulted in anew, at several times the cost of the arithmetic.
    Other allocators do not mind.
    """
    np.empty(31 << 20, np.uint8)


def _whole_tiles(slices: Iterable[slice]) -> Iterator[slice]:
    """Cut each slice into a multiple of _ROWS and a rest."""
    for rows in slices:
        cut = rows.stop - (rows.stop - rows.start) % _ROWS
        if cut > rows.start:
            yield slice(rows.start, cut)
        if cut < rows.stop:
            yield slice(cut, rows.stop)


def _columns(xp: Any, x: Array, var: Array, pivot: Array | None, errors: bool) -> Array:
    """Return the sums of x, x^2, v, log v and, for the errors, u'u', u' log v, (log v)^2.

    Here x is the mean less the pivot c and u' = x^2 + 2 c x + v = u - c^2. Rows are summed 64 at
    a time in the precision of the input, as (64, tile d) so that loops are long, and then in
    float64. Statements are in place where they can be: fresh memory is slow memory.
    """
    b, d = x.shape[-2:]
    height = _ROWS if b % _ROWS == 0 else b
    shape = (*x.shape[:-2], height, b // height * d)
    if pivot is not None:
        slope = xp.reshape(xp.broadcast_to(2 * pivot, x.shape), shape)
    x, var = xp.reshape(x, shape), xp.reshape(var, shape)
    u = x * x
    sums = [_column_sum(xp, x), _column_sum(xp, u), _column_sum(xp, var)]
    if errors:
        u += var
        if pivot is not None:
            u += slope * x
        log_var = xp.log(var)
        sums.append(_column_sum(xp, log_var))
        pairs = ((u, u), (u, log_var), (log_var, log_var))
        sums += [_column_dot(xp, left, right) for left, right in pairs]
    else:
        sums.append(log_sum(xp, var))
    tiles = xp.reshape(xp.stack(sums, axis=-2), (*x.shape[:-2], len(sums), b // height, d))
    return xp.sum(widen(xp, tiles), axis=-2)


def _column_sum(xp: Any, x: Array) -> Array:
    """Sum over rows; in numpy a matrix product, which BLAS does faster than a reduction."""
    if isinstance(x, np.ndarray):
        return np.ones(x.shape[-2], x.dtype) @ x
    return xp.sum(x, axis=-2)


def _column_dot(xp: Any, x: Array, y: Array) -> Array:
    """Sum over rows of x * y; in numpy without an array for the product."""
    if isinstance(x, np.ndarray):
        return np.einsum("...ij,...ij->...j", x, y)
    return xp.sum(x * y, axis=-2)


def _outer(xp: Any, x: Array) -> Array:
    """Sum of outer products over rows, in float64 beyond _OUTER_ROWS of them.

    Other libraries may be set to multiply float32 in fewer bits, so they multiply in float64.
    """
    if not isinstance(x, np.ndarray):
        x = widen(xp, x)
    return widen(xp, xp.matmul(transpose(x), x))


def log_sum(xp: Any, values: Array) -> Array:
    """Sum of logs over rows: the log of products that stay in range.

    One logarithm of eight factors costs an eighth of eight logarithms, and rounds less.

    Parameters
    ----------
    xp : module
        The namespace of `values`.
    values : array, shape (..., b, d)

    Returns
    -------
    array, shape (..., d)
        NaN or infinite when some value is not positive.

    Examples
    --------
    >>> log_sum(np, np.array([[1.0, 2.0], [3.0, 4.0]])).round(4)
    array([1.0986, 2.0794])
    """
    low = float(xp.min(values))
    if low > 0:
        low = min(low, 1.0)
        least = 1e-30 if values.dtype == xp.float32 else 1e-250
        factors = values
        while factors.shape[-2] % 2 == 0 and factors.shape[-2] > 8 and low * low > least:
            half = factors.shape[-2] // 2
            factors = factors[..., :half, :] * factors[..., half:, :]
            low *= low
        total = _column_sum(xp, xp.log(factors))
        if bool(xp.all(xp.isfinite(total))):
            return total
    return _column_sum(xp, xp.log(values))


def _centre(
    cls: type[Moments],
    xp: Any,
    n: int,
    pivot: Array | None,
    sums: Array,
    outer: Array | None,
) -> Moments:
    """Turn sums about the pivot into averages and centred sums."""
    c = xp.zeros_like(sums[..., 0, :]) if pivot is None else pivot[..., 0, :]
    x, square, var, log_var = (sums[..., i, :] / n for i in range(4))
    scatter = None if outer is None else outer - n * x[..., :, None] * x[..., None, :]
    co_scatter = None
    if sums.shape[-2] > 4:
        u = square + var + 2 * c * x
        products = xp.stack([u * u, u * log_var, log_var * log_var], axis=-2)
        co_scatter = sums[..., 4:, :] - n * products
    return cls(
        n=n,
        mean=c + x,
        mean_scatter=xp.clip(n * square - n * x * x, 0, None),
        var=var,
        log_var=log_var,
        co_scatter=co_scatter,
        scatter=scatter,
    )
