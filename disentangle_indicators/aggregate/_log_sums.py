r"""Sums over all components of a mixture of diagonal Gaussians, by one matrix product a block.

Expanding the square turns the exponents of all pairs into a product of [z^2, z] with
[-1/(2v), mu/v]. What that costs in accuracy, about eps * sum z^2 / v, is bounded for each point,
and where the bound is too large the pairs that matter are done again from their differences.
"""

from typing import Any

import array_api_compat
import numpy as np

from disentangle_indicators._array import LOG_2PI, Array, Float, namespace, to_numpy

TOLERANCE = {"float64": 1e-7, "float32": 1e-5}
"""Greatest error of an exponent, in nats, that is left as it is."""

_NEAR = 20.0
"""Nats below the largest exponent of a point within which a pair matters."""

_CACHE_BYTES = 1 << 22
_COLUMNS = 1 << 12
"""Components of one matrix product: enough to run at full speed, few enough for the cache."""


def log_sums(
    z: Float,
    own: Any,
    mean: Float,
    var: Float,
    like: Array,
    *,
    groups: Any = None,
    spread: Float | None = None,
    precision: str = "float64",
    memory: int = 1 << 28,
) -> Float:
    r"""Return the log of the sum over all components but those of a point's own group, in float64.

    .. math:: \log \sum_{g_j \ne g_m} \exp E_{y \sim N(z, s)} \log N(y; \mu_j, v_j)

    Parameters
    ----------
    z : array, shape (s, d)
        Points.
    own : array of int, shape (s,)
        The group g that is left out of each point's sum.
    mean, var : array, shape (n, d)
        Components.
    like : array
        Products are taken in its namespace and on its device.
    groups : array of int, shape (n,), optional
        The group of each component; by default each is one, numbered as the components are.
    spread : array, shape (s, d), optional
        Variance s of the point, 0 by default.
    precision : {"float64", "float32"}
        Of the products; what float32 leaves uncertain is done again on the host in float64.
    memory : int
        Bytes that temporary arrays may take.

    Returns
    -------
    array, shape (s,)
        Nats; -inf when there is no other component.
    """
    xp, dtype = namespace(like), getattr(namespace(like), precision)
    device = array_api_compat.device(like)
    (points, d), n = z.shape, mean.shape[0]
    centre = mean.mean(axis=0)
    square = (z - centre) ** 2
    square += 0.0 if spread is None else spread
    eps = float(np.finfo(precision).eps)

    def put(array: Float) -> Array:
        return xp.asarray(array, dtype=dtype, device=device)

    left = put(np.concatenate([square, z - centre], axis=1))
    columns = min(n, _COLUMNS, max(64, memory // (64 * d)))
    on_host = "cpu" in str(device).lower() or isinstance(like, np.ndarray)
    rows = max(1, (_CACHE_BYTES if on_host else memory // 4) // (8 * columns))
    nothing = put(np.array(-np.inf))
    groups = np.arange(n) if groups is None else groups
    greatest = np.full(points, -np.inf)
    total = np.zeros(points)
    for first in range(0, n, columns):
        m, v = mean[first : first + columns] - centre, var[first : first + columns]
        bound = 8 * eps * (square @ (1 / v.min(axis=0)))
        uncertain = bound > TOLERANCE[precision]
        constant = -0.5 * (m * m / v + np.log(v) + LOG_2PI).sum(axis=1)
        right, shift = put(np.concatenate([-0.5 / v, m / v], axis=1)).T, put(constant)
        index = xp.asarray(groups[first : first + columns], device=device)
        for start in range(0, points, rows):
            at = slice(start, min(start + rows, points))
            exponent = left[at, :] @ right
            exponent += shift
            mine = index == xp.asarray(own[at], device=device)[:, None]
            exponent = xp.where(mine, nothing, exponent)
            if uncertain[at].any():
                exponent = to_numpy(exponent).copy()
                some = None if spread is None else spread[at]
                _redo(exponent, z[at], some, m + centre, v, bound[at], uncertain[at], memory)
            _accumulate(greatest[at], total[at], exponent)
    with np.errstate(divide="ignore"):
        return greatest + np.log(total)


def _accumulate(greatest: Float, total: Float, exponent: Array) -> None:
    """Add the exponentials of a block to running sums, relative to a running maximum."""
    xp = namespace(exponent)
    new = np.maximum(greatest, to_numpy(xp.max(exponent, axis=1)))
    safe = np.where(np.isfinite(new), new, 0.0)
    reference = xp.asarray(safe, dtype=exponent.dtype, device=array_api_compat.device(exponent))[
        :, None
    ]
    exponent -= reference
    shift = to_numpy(reference)[:, 0]
    total *= np.exp(greatest - safe)
    total += to_numpy(xp.sum(xp.exp(exponent), axis=1)) * np.exp(shift - safe)
    greatest[:] = new


def _redo(
    exponent: Float,
    z: Float,
    spread: Float | None,
    mean: Float,
    var: Float,
    bound: Float,
    uncertain: Any,
    memory: int,
) -> None:
    """Replace the exponents that matter, of uncertain points, by those from differences."""
    least = np.max(exponent, axis=1) - _NEAR - 2 * bound
    least[~uncertain] = np.inf
    i, j = np.nonzero((exponent >= least[:, None]) & np.isfinite(exponent))
    step = max(1, memory // (64 * z.shape[1]))
    for start in range(0, i.size, step):
        a, b = i[start : start + step], j[start : start + step]
        square = (z[a] - mean[b]) ** 2
        square += 0.0 if spread is None else spread[a]
        v = var[b]
        exponent[a, b] = -0.5 * (square / v + np.log(v) + LOG_2PI).sum(axis=1)


def precision_of(xp: Any, array: Array) -> str:
    """Return the most precise type that the device of an array has."""
    device = array_api_compat.device(array)
    types = xp.__array_namespace_info__().dtypes(device=device, kind="real floating")
    return "float64" if "float64" in types else "float32"
