r"""How far the indicators would move with another sample of clusters, such as donors.

Rows of one cluster depend on each other, so that a cluster counts as one draw. The error of an
indicator that is a function of sums over rows is that of the jackknife, which leaves out one
cluster at a time; the indicators of the covariance have that of their influence instead. All are
widened as Student's t asks for so few draws, and further where the clusters are skewed.
"""

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from disentangle_indicators._array import Float, to_numpy
from disentangle_indicators._chance import Spread
from disentangle_indicators._cluster_sums import ClusterSums
from disentangle_indicators._clusters import of_skewness, widening
from disentangle_indicators.moments import Moments
from disentangle_indicators.posteriors import Batches
from disentangle_indicators.q_star import estimate_q_star
from disentangle_indicators.registry import INDICATORS, Indicator
from disentangle_indicators.standard_errors import Influence, row_batches, with_shared

__all__ = ["ClusterErrors", "clustered", "jackknife", "left_out", "of_sums"]

EPSILON = float(np.finfo(float).eps)

MATRICES = 10_000_000
"""Numbers in the matrices of clusters, from which the chance correlation is taken."""


class ClusterErrors(NamedTuple):
    """Errors of totals by name, of latents by name (d,), and how far averages move by chance."""

    totals: dict[str, float]
    per_latent: dict[str, Float]
    spread: Spread


class _Sums(NamedTuple):
    """Sums over the rows of each cluster, less what they are on average.

    `rows` (G,) counts, `influence` (G, k), `mean`, `second` and `log_var` (G, d), and `products`
    (g, d, d) of the centred means, for some clusters g.
    """

    rows: Float
    influence: Float
    mean: Float
    second: Float
    log_var: Float
    products: Float


def jackknife(left: Float) -> Float:
    r"""Return the standard error of a value from the values without each cluster.

    .. math::
        w\,\sqrt{\tfrac{G-1}{G}\sum_c(\theta_{-c} - \bar\theta)^2
        + (G-1)^2(\bar\theta - \theta)^2}

    with :math:`\theta` the value of all and :math:`\bar\theta` the average of those without a
    cluster. The second term is the bias of few clusters, in quadrature. w is the product of
    :func:`~disentangle_indicators._clusters.widening` and of
    :func:`~disentangle_indicators._clusters.of_skewness` of the :math:`\theta_{-c}`.

    Parameters
    ----------
    left : array, shape (G, ...)
        Two at least, each less the value of all.

    Returns
    -------
    array, shape (...)

    Examples
    --------
    >>> import numpy as np
    >>> round(float(jackknife(np.array([-1.0, 0.0, 1.0]))), 2)  # of three draws, t is 4.3
    2.53
    """
    count = len(left)
    apart = left - left.mean(axis=0)
    wide = widening(count) * of_skewness(apart)
    bias = (count - 1) * left.mean(axis=0)
    return np.asarray(wide * np.sqrt((count - 1) / count * np.sum(apart**2, axis=0) + bias**2))


def left_out(
    batches: Batches, moments: Moments, clusters: tuple[int, Any]
) -> tuple[dict[str, Float], dict[str, Float]]:
    """Return totals (G,) and values of latents (G, d) without each cluster, less that of all.

    Parameters
    ----------
    batches, moments, clusters
        As :func:`clustered` takes them; two clusters at least.

    Examples
    --------
    >>> import numpy as np
    >>> mean, var = np.array([[1.0], [-1.0], [2.0], [0.0]]), np.full((4, 1), 0.5)
    >>> codes = np.array([0, 0, 1, 1])
    >>> totals, _ = left_out(lambda: [(mean, var)], Moments.of(mean, var), (2, codes))
    >>> totals["mutual_information"].round(4)  # S = 2.5 and 1.5 of 2
    array([ 0.1116, -0.1438])
    """
    influence = Influence(moments)
    return _left_out(_sums(batches, moments, clusters, influence), moments, influence)


def clustered(batches: Batches, moments: Moments, clusters: tuple[int, Any]) -> ClusterErrors:
    r"""Return the standard errors of totals and per latent when whole clusters are drawn.

    Errors are taken by :func:`jackknife`.

    Parameters
    ----------
    batches : callable
        Gives the batches that `moments` summarises, once more.
    moments : Moments
    clusters : (int, array)
        Their number G and the code of each row's; see
        :func:`~disentangle_indicators._clusters.cluster_codes`.

    Returns
    -------
    ClusterErrors
        Nats; infinite when there is one cluster.

    Raises
    ------
    ValueError
        When the batches do not give the rows of `moments`.

    Examples
    --------
    >>> import numpy as np
    >>> mean, var = np.array([[1.0], [-1.0], [2.0], [0.0]]), np.full((4, 1), 0.5)
    >>> codes = np.array([0, 0, 1, 1])
    >>> found = clustered(lambda: [(mean, var)], Moments.of(mean, var), (2, codes))
    >>> round(found.totals["mutual_information"], 2)  # of two draws, t is 12.7
    0.83
    """
    influence = Influence(moments)
    return _errors(_sums(batches, moments, clusters, influence), moments, influence)


def of_sums(clusters: ClusterSums, moments: Moments) -> ClusterErrors:
    """Return the errors of :func:`clustered` from sums over the rows of each cluster.

    Indicators of the covariance have none, and no chance either, since they need the products of each
    cluster too.
    """
    moments = replace(moments, scatter=None)
    influence = Influence(moments)
    rows = clusters.rows.astype(float)
    average = [to_numpy(x) for x in (moments.mean, moments.second_moment, moments.log_var)]
    centre, second, log_var = np.moveaxis(
        clusters.sums - rows[:, None, None] * np.stack(average), 1, 0
    )
    none = np.zeros((len(rows), len(influence.names)))
    d = centre.shape[1]
    sums = _Sums(rows, none, centre, second, log_var, np.empty((0, d, d)))
    return _errors(sums, moments, influence)


def _errors(sums: _Sums, moments: Moments, influence: Influence) -> ClusterErrors:
    count = len(sums.rows)
    if count == 1:
        none = np.full(sums.second.shape[1], math.inf)
        totals = dict.fromkeys(influence.names, math.inf)
        each = {i.name: none for i in _of_latents()}
        return ClusterErrors(with_shared(totals), with_shared(each), Spread(none, none, 1))
    of_totals, of_latents = _left_out(sums, moments, influence)
    totals = {name: float(jackknife(left)) for name, left in of_totals.items()}
    each = {name: jackknife(left) for name, left in of_latents.items()}
    spread = Spread(
        _of_average(sums.second, moments.n),
        _of_average(sums.mean, moments.n),
        _draws(sums, moments, count),
    )
    return ClusterErrors(with_shared(totals), with_shared(each), spread)


def _of_latents() -> list[Indicator]:
    return [i for i in INDICATORS.values() if i.per_latent and i.weights is not None]


def _left_out(
    sums: _Sums, moments: Moments, influence: Influence
) -> tuple[dict[str, Float], dict[str, Float]]:
    """Return the indicators without each cluster.

    Indicators of the covariance are computed from their influence.
    """
    count = len(sums.influence)
    linear = -sums.influence / moments.n * count / (count - 1)
    totals = dict(zip(influence.names, linear.T, strict=True))
    left = _moments_left(sums, moments)
    q_star = estimate_q_star(moments=left)

    def values(indicator: Indicator) -> Float:
        found = to_numpy(indicator.function(left, q_star))
        return np.asarray(found[1:] - found[0])

    totals |= {i.name: values(i) for i in influence.indicators if not i.covariance}
    return totals, {i.name: values(i) for i in _of_latents()}


def _of_average(sums: Float, n: int) -> Float:
    """Return the variance of averages over n rows, from centred sums (G, ...) over clusters."""
    count = len(sums)
    return np.asarray(count / (count - 1) * np.sum(sums**2, axis=0) / n**2)


def _moments_left(sums: _Sums, moments: Moments) -> Moments:
    """Return S and the average log v, (1 + G, d), of all rows and without each cluster."""
    second, log_var = to_numpy(moments.second_moment), to_numpy(moments.log_var)
    rest = (moments.n - sums.rows)[:, None]
    var = np.vstack([second, np.maximum(second - sums.second / rest, EPSILON * second)])
    log_var = np.vstack([log_var, log_var - sums.log_var / rest])
    zero = np.zeros_like(var)
    return Moments(n=1, mean=zero, mean_scatter=zero, var=var, log_var=log_var)


def _draws(sums: _Sums, moments: Moments, count: int) -> float | None:
    r"""Return the independent rows that would show as much correlation by chance.

    Of n rows, latents i and j correlate by :math:`E r^2 = a_i a_j / n`; of clusters, by the
    squares of their sums of products. The number of rows is what makes both alike in sum. Without
    products it is not known.
    """
    if not len(sums.products):
        return None
    variance = to_numpy(moments.variance)
    share = to_numpy(moments.mean_scatter) / moments.n / variance
    pairs = np.sum(share) ** 2 - np.sum(share**2)
    if pairs <= 0:
        return float(count)
    correlation = sums.products / moments.n / np.sqrt(np.outer(variance, variance))
    square = np.sum(correlation**2, axis=0) * count / len(sums.products)
    by_chance = (np.sum(square) - np.trace(square)) * count / (count - 1)
    return float(min(pairs / by_chance, moments.n)) if by_chance > 0 else float(moments.n)


def _sums(
    batches: Batches, moments: Moments, clusters: tuple[int, Any], influence: Influence
) -> _Sums:
    """Add up rows by cluster, in one pass."""
    from scipy import sparse

    count, codes = clusters
    n, d, k = moments.n, int(moments.mean.shape[-1]), len(influence.names)
    average = [to_numpy(x) for x in (moments.mean, moments.second_moment, moments.log_var)]
    sums = np.zeros((count, k + 3 * d))
    some = _some(count, d) if moments.scatter is not None else np.empty(0, int)
    number = np.full(count, -1)
    number[some] = np.arange(some.size)
    products = np.zeros((some.size, d, d))
    row = 0
    for mean, var in row_batches(1, batches, n):
        m, v = to_numpy(mean), to_numpy(var)
        centred = [x - y for x, y in zip((m, m * m + v, np.log(v)), average, strict=True)]
        block = codes[row : row + len(m)]
        member = sparse.csr_array(
            (np.ones(len(m)), (block, np.arange(len(m)))), shape=(count, len(m))
        )
        sums += member @ np.concatenate([influence(mean, var), *centred], axis=1)
        _add_products(products, number[block], centred[0])
        row += len(m)
    rows = np.bincount(codes, minlength=count).astype(float)
    if some.size:
        products -= rows[some, None, None] * to_numpy(moments.scatter) / n
    centre, second, log_var = np.split(sums[:, k:], 3, axis=1)
    return _Sums(rows, sums[:, :k], centre, second, log_var, products)


def _some(count: int, d: int) -> Any:
    """Pick the clusters whose matrices are kept, as many as memory allows."""
    return np.random.default_rng(0).permutation(count)[: max(MATRICES // d**2, 8)]


def _add_products(products: Float, code: Any, x: Float) -> None:
    """Add the products of the rows (b, d) of each cluster to its matrix."""
    order = np.argsort(code, kind="stable")
    order = order[code[order] >= 0]
    if not order.size:
        return
    found, first = np.unique(code[order], return_index=True)
    for cluster, part in zip(found, np.split(x[order], first[1:]), strict=True):
        products[cluster] += part.T @ part
