r"""How far the indicators would move with another sample of clusters, such as donors.

Rows of one cluster depend on each other, so that a cluster counts as one draw. The error of an
indicator that is a function of sums over rows is that of the jackknife, which leaves out one
cluster at a time; the indicators of the covariance have that of their influence instead. All are
widened as Student's t asks for so few draws.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from disentangle_indicators._array import Float, to_numpy
from disentangle_indicators._chance import Spread
from disentangle_indicators._clusters import widening
from disentangle_indicators.moments import Moments
from disentangle_indicators.posteriors import Batches
from disentangle_indicators.q_star import estimate_q_star
from disentangle_indicators.registry import INDICATORS
from disentangle_indicators.standard_errors import Influence, row_batches, with_shared

__all__ = ["ClusterErrors", "clustered"]

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


def clustered(batches: Batches, moments: Moments, clusters: tuple[int, Any]) -> ClusterErrors:
    r"""Return the standard errors of totals and per latent when whole clusters are drawn.

    .. math:: t\,\sqrt{\tfrac{G-1}{G}\sum_c(\theta_{-c} - \bar\theta)^2}

    with :math:`\theta_{-c}` the indicator without cluster c, and t from
    :func:`~disentangle_indicators._clusters.widening`.

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
    >>> round(found.totals["mutual_information"], 2)  # of two draws, t is 6.5
    0.83
    """
    count = clusters[0]
    influence = Influence(moments)
    sums = _sums(batches, moments, clusters, influence)
    second = to_numpy(moments.second_moment)
    latents = [i for i in INDICATORS.values() if i.per_latent and i.weights is not None]
    if count == 1:
        totals = dict.fromkeys(influence.names, math.inf)
        each = {i.name: np.full(second.size, math.inf) for i in latents}
        none = np.full(second.size, math.inf)
        return ClusterErrors(with_shared(totals), with_shared(each), Spread(none, none, 1))
    wide = widening(count)
    linear = wide * np.sqrt(_of_average(sums.influence, moments.n))
    totals = dict(zip(influence.names, linear.tolist(), strict=True))
    left = _left_out(sums, moments)
    q_star = estimate_q_star(moments=left)

    def jackknife(name: str) -> Float:
        values = to_numpy(INDICATORS[name].function(left, q_star))
        apart = values - values.mean(axis=0)
        return np.asarray(wide * np.sqrt((count - 1) / count * np.sum(apart**2, axis=0)))

    totals |= {i.name: float(jackknife(i.name)) for i in influence.indicators if not i.covariance}
    each = {i.name: jackknife(i.name) for i in latents}
    spread = Spread(
        _of_average(sums.second, moments.n),
        _of_average(sums.mean, moments.n),
        _draws(sums, moments, count),
    )
    return ClusterErrors(with_shared(totals), with_shared(each), spread)


def _of_average(sums: Float, n: int) -> Float:
    """Return the variance of averages over n rows, from centred sums (G, ...) over clusters."""
    count = len(sums)
    return np.asarray(count / (count - 1) * np.sum(sums**2, axis=0) / n**2)


def _left_out(sums: _Sums, moments: Moments) -> Moments:
    """Return what the moments are without each cluster: S and the average log v, (G, d)."""
    second, log_var = to_numpy(moments.second_moment), to_numpy(moments.log_var)
    rest = (moments.n - sums.rows)[:, None]
    zero = np.zeros_like(sums.second)
    least = np.finfo(float).eps * second
    var = np.maximum(second - sums.second / rest, least)
    return Moments(
        n=1, mean=zero, mean_scatter=zero, var=var, log_var=log_var - sums.log_var / rest
    )


def _draws(sums: _Sums, moments: Moments, count: int) -> float:
    r"""Return the independent rows that would show as much correlation by chance.

    Of n rows, latents i and j correlate by :math:`E r^2 = a_i a_j / n`; of clusters, by the
    squares of their sums of products. The number of rows is what makes both alike in sum.
    """
    variance = to_numpy(moments.variance)
    share = to_numpy(moments.mean_scatter) / moments.n / variance
    pairs = np.sum(share) ** 2 - np.sum(share**2)
    if pairs <= 0 or not len(sums.products):
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
