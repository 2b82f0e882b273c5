r"""Intrinsic dimension: how many coordinates rows have near each other, in whatever space they lie.

With T_1 < T_2 < ... the distances of a row to its nearest others, in D dimensions of locally even
density each log(T_k / T_j) is exponential, whatever the density is.
"""

import math
from typing import Any

import numpy as np

from disentangle_indicators._array import Float, generator, seed_of, to_numpy
from disentangle_indicators._clusters import cluster_codes, widening
from disentangle_indicators._copies import distinct
from disentangle_indicators._errors import Undefined
from disentangle_indicators._leave_out import GROUPS, deal
from disentangle_indicators._provenance import Provenance
from disentangle_indicators.theorems._dimension_result import IntrinsicDimension
from disentangle_indicators.theorems._neighbours import nearest

__all__ = ["NEIGHBOURS", "intrinsic_dimension", "levina_bickel", "two_nn"]

NEIGHBOURS = 20
"""Neighbours of the estimate of Levina and Bickel."""

NAMES = ("two_nn", "levina_bickel", "two_nn_half", "levina_bickel_half")
"""Estimates of all rows and of halves, in the order of their errors."""


def two_nn(distances: Float) -> float:
    r"""Estimate the dimension from the distances to the two nearest rows.

    .. math:: \hat D = \frac{n - 1}{\sum_m \log(T_2(m) / T_1(m))}

    Parameters
    ----------
    distances : array, shape (n, 2) or wider
        Positive, from the least.

    Returns
    -------
    float
        Positive; unbiased for rows that are independent of each other.

    Notes
    -----
    Facco et al. (2017), with the likelihood of Denti et al. (2022) in place of a fit.

    Examples
    --------
    >>> two_nn(np.array([[1.0, np.e], [1.0, np.e], [1.0, np.e]])).__round__(3)
    0.667
    """
    return float((len(distances) - 1) / np.sum(np.log(distances[:, 1] / distances[:, 0])))


def levina_bickel(distances: Float) -> float:
    r"""Estimate the dimension from the distances to the k nearest rows.

    .. math:: \hat D^{-1} = \frac1n \sum_m \frac1{k - 1} \sum_{j < k} \log\frac{T_k(m)}{T_j(m)}

    Parameters
    ----------
    distances : array, shape (n, k)
        Positive, from the least.

    Returns
    -------
    float
        Positive.

    Notes
    -----
    Levina and Bickel (2004), averaged over rows as MacKay and Ghahramani (2005) do: inverses are
    averaged, because these are what each row estimates without bias.

    Examples
    --------
    >>> levina_bickel(np.array([[1.0, 1.0, np.e]]))
    1.0
    """
    return float(1 / np.mean(np.log(distances[:, -1:] / distances[:, :-1])))


def intrinsic_dimension(
    x: Any,
    *,
    clusters: Any = None,
    neighbours: int = NEIGHBOURS,
    rng: np.random.Generator | int = 0,
) -> IntrinsicDimension:
    """Estimate the intrinsic dimension of a cloud of rows, with errors and at two scales.

    Parameters
    ----------
    x : array, shape (n, d), or (n, ...)
        Means, samples, or data such as images; finite.
    clusters : array, shape (n,), optional
        Rows of one cluster depend on each other; errors then leave out whole clusters.
    neighbours : int
        Neighbours k of Levina and Bickel, at least 2.
    rng : numpy.random.Generator or int
        Deals the rows into groups.

    Returns
    -------
    IntrinsicDimension

    Raises
    ------
    ValueError
        On entries that are not finite, and on fewer than two neighbours.
    Undefined
        Where fewer distinct rows are left than the halves need.

    Notes
    -----
    Exact copies are removed first: they are at distance zero. Both estimates take the density as
    even within the distances that they look at. Where the estimate at n/2 is another one, it is
    not, and the dimension depends on the scale: noise is seen near, the curvature of the cloud far
    away. Errors are of estimates within up to 20 disjoint blocks of the rows, or of the clusters:
    the jackknife and the bootstrap fail where single neighbours decide. Estimates are too low in high dimensions, because 2^D rows would be needed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> plane = rng.normal(size=(2000, 2)) @ rng.normal(size=(2, 30))
    >>> found = intrinsic_dimension(plane)
    >>> round(found.two_nn, 1), round(found.levina_bickel, 1)
    (2.0, 2.0)
    """
    if neighbours < 2:
        raise ValueError(f"neighbours must be at least 2; got {neighbours}")
    x = np.asarray(to_numpy(x), dtype=np.float64)
    x = x.reshape(len(x), -1)
    if not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise ValueError(f"x must be finite; x[{row}, {column}] = {x[row, column]}")
    codes = None if clusters is None else cluster_codes(clusters, len(x))
    kept = distinct(x)
    if len(kept) < 2 * (neighbours + 1):
        raise Undefined(
            f"the intrinsic dimension needs {2 * (neighbours + 1)} distinct rows; "
            f"there are {len(kept)}"
        )
    if codes is not None:
        named, of_row = np.unique(codes[1][kept], return_inverse=True)
        codes = len(named), of_row
    rows = x[kept]
    generated = generator(rng)
    half = generated.permutation(len(rows)) % 2 == 0
    values = _estimates(rows, neighbours)
    halves = np.mean([_estimates(rows[part], neighbours) for part in (half, ~half)], axis=0)
    blocks = deal(len(rows), codes, generated, min(GROUPS, len(rows) // (2 * neighbours)))
    relative = _relative_errors(rows, blocks, neighbours)
    found = dict(zip(NAMES, (*values, *map(float, halves)), strict=True))
    return IntrinsicDimension(
        n=len(rows),
        d=x.shape[1],
        copies=len(x) - len(rows),
        neighbours=neighbours,
        draws=len(rows) if codes is None else codes[0],
        **found,
        standard_errors={
            name: found[name] * error for name, error in zip(NAMES, 2 * relative, strict=True)
        },
        seed=seed_of(rng),
        provenance=Provenance(
            "disentangle_indicators.theorems.intrinsic_dimension",
            parameters={"neighbours": neighbours},
            seed=seed_of(rng),
        ),
    )


def _estimates(x: Float, neighbours: int) -> tuple[float, float]:
    distances = nearest(x, neighbours)
    return two_nn(distances), levina_bickel(distances)


def _relative_errors(x: Float, blocks: Any, neighbours: int) -> tuple[float, float]:
    """Return the standard errors of both logarithms, from estimates within disjoint blocks.

    Blocks of clusters may be too small for the neighbours; they are left out.
    """
    parts = [x[blocks == b] for b in range(blocks.max() + 1)]
    each = [_estimates(part, neighbours) for part in parts if len(part) > neighbours + 1]
    if len(each) < 2:
        return math.inf, math.inf
    spread = np.std(np.log(each), axis=0, ddof=1) / math.sqrt(len(each))
    first, second = widening(len(each)) * spread
    return float(first), float(second)
