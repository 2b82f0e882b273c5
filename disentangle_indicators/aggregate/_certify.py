r"""Bounds of I(x; z) that hold for certain: Kolchinsky and Tracey, Entropy 19 (2017), 361.

For a mixture with equal weights,

.. math::

   -\frac1n \sum_i \log \frac1n \sum_j e^{-B_{ij}} \;\le\; I(x; z) \;\le\;
   -\frac1n \sum_i \log \frac1n \sum_j e^{-K_{ij}}

with B the Bhattacharyya distance between posteriors i and j and K their KL divergence. They are
sums over pairs, without sampling, and hold for the rows that are given, not for the population. So
rows need not be independent: with clusters, or copies of rows, the bounds hold as well.
"""

import math
from typing import Any

import numpy as np

from disentangle_indicators._array import (
    LOG_2PI,
    Array,
    Float,
    generator,
    namespace,
    seed_of,
    to_numpy,
)
from disentangle_indicators._progress import Progress
from disentangle_indicators._provenance import Provenance
from disentangle_indicators._sums import keep_freed_memory
from disentangle_indicators.aggregate._certificate_result import Certificate
from disentangle_indicators.aggregate._log_sums import log_sums, precision_of
from disentangle_indicators.posteriors import Encodings

__all__ = ["Certificate", "certify"]

_SIDE = 512
_PRODUCT = 8
"""Variances that are multiplied before a logarithm is taken."""

_LARGEST = 650.0
"""Log of a product that float64 holds."""


def certify(
    mean: "Array | Encodings",
    var: Array = None,
    *,
    std: Array = None,
    logvar: Array = None,
    logstd: Array = None,
    rows: int | None = None,
    rng: np.random.Generator | int = 0,
    memory: int = 1 << 28,
    progress: Progress | None = None,
) -> Certificate:
    r"""Bound I(x; z) of the empirical mixture from both sides, without sampling.

    Parameters
    ----------
    mean, var : array, shape (n, d)
        Means and variances of the posteriors; or :class:`~disentangle_indicators.Encodings` alone.
    std, logvar, logstd : array, shape (n, d), optional
        In place of `var`: standard deviations, log variances, log standard deviations.
    rows : int, optional
        Take the outer mean over that many rows, drawn without replacement: an estimate. All rows
        by default, at a cost of n^2 d.
    rng : numpy.random.Generator or int
        Picks those rows.
    memory : int
        Bytes that temporary arrays may take.
    progress : callable, optional
        As for :func:`marginals`.

    Returns
    -------
    Certificate

    Raises
    ------
    ValueError
        On arrays that do not belong together, on entries that are not finite, on variances that
        are not positive, and on fewer than one row.

    Examples
    --------
    >>> import numpy as np
    >>> result = certify(np.array([[3.0], [-3.0]]), np.full((2, 1), 0.01))  # two rows, far apart
    >>> bool(np.isclose(result.low, np.log(2))), bool(np.isclose(result.high, np.log(2)))
    (True, True)
    """
    encodings = Encodings.of(mean, var, std=std, logvar=logvar, logstd=logstd, progress=progress)
    encodings.summary()  # refuses what overflows
    like = encodings.arrays("the certificate needs")[0]
    progress = encodings.progress
    mean, var = (to_numpy(x) for x in encodings.arrays_on_host("the certificate needs"))
    n, d = mean.shape
    if rows is not None and rows < 1:
        raise ValueError(f"rows must be at least 1; got {rows}")
    certain = rows is None or rows >= n
    picked = np.arange(n)
    if not certain:
        picked = np.sort(generator(rng).permutation(n)[:rows])
    keep_freed_memory()
    others = log_sums(
        mean[picked],
        picked,
        mean,
        var,
        like,
        spread=var[picked],
        precision=precision_of(namespace(like), like),
        memory=memory,
    )
    entropy = 0.5 * np.sum(1 + LOG_2PI + np.log(var[picked]), axis=1)
    high = math.log(n) - np.logaddexp(0.0, entropy + others)
    low = math.log(n) - np.log(_overlaps(mean, var, picked, certain, progress))

    def error(x: Float) -> float:
        return float(x.std(ddof=1)) / math.sqrt(x.size) if x.size > 1 else math.inf

    top = max(float(high.mean()), 0.0)
    errors = {} if certain else {"low": error(low), "high": error(high)}
    return Certificate(
        n=n,
        d=d,
        rows=picked.size,
        certain=certain,
        low=min(max(float(low.mean()), 0.0), top) if certain else max(float(low.mean()), 0.0),
        high=top,
        standard_errors=errors,
        provenance=Provenance(
            "disentangle_indicators.aggregate.certify",
            encodings.inputs,
            {"rows": rows},
            None if certain else seed_of(rng),
        ),
    )


def _overlaps(
    mean: Float, var: Float, picked: Any, symmetric: bool, progress: Progress | None
) -> Float:
    r"""Return the sum over j of the Bhattacharyya coefficients of the picked rows i and all j.

    .. math:: -\log b_{ij} = \tfrac14 \sum_h \frac{(\mu_i - \mu_j)^2}{v_i + v_j}
              + \tfrac12 \sum_h \log \frac{v_i + v_j}{2 \sqrt{v_i v_j}}
    """
    scale = np.exp(np.log(var).mean(axis=0))  # keeps products of variances in range
    x, v = (mean / np.sqrt(scale)).T.copy(), (var / scale).T.copy()
    half_log = 0.25 * np.log(2 * v).sum(axis=0)
    every = _PRODUCT if np.abs(np.log(v)).max() * _PRODUCT < _LARGEST else 1
    starts = range(0, picked.size, _SIDE)
    total = np.zeros(picked.size)
    for start in starts if progress is None else progress(starts, "certificate", len(starts)):
        i = picked[start : start + _SIDE]
        for first in range(start if symmetric else 0, len(mean), _SIDE):
            j = slice(first, first + _SIDE)
            one, other = ((x[:, k], v[:, k], half_log[k]) for k in (i, j))
            overlap = _affinity(*one, *other, every)
            total[start : start + _SIDE] += overlap.sum(axis=1)
            if symmetric and first > start:
                total[j] += overlap.sum(axis=0)
    return total


def _affinity(
    x_i: Float, v_i: Float, half_i: Float, x_j: Float, v_j: Float, half_j: Float, every: int
) -> Float:
    """Return the Bhattacharyya coefficients (i, j) of posteriors given as (d, i) and (d, j).

    One logarithm is taken of the product over `every` latents.
    """
    distance = -(half_i[:, None] + half_j)
    product = np.ones_like(distance)
    both, apart = np.empty_like(distance), np.empty_like(distance)
    for h in range(len(x_i)):
        np.add(v_i[h][:, None], v_j[h], out=both)
        np.subtract(x_i[h][:, None], x_j[h], out=apart)
        product *= both
        apart *= apart
        apart /= both
        apart *= 0.25
        distance += apart
        if h % every == every - 1 or h + 1 == len(x_i):
            distance += 0.5 * np.log(product)
            product[:] = 1.0
    return np.exp(np.negative(distance, out=distance), out=distance)
