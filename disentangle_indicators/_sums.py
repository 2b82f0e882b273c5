"""Sums over samples in blocks that fit the cache: short runs in the input's type, then float64."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import add
from typing import Any

import array_api_compat
import numpy as np

from disentangle_indicators._array import Array, row_blocks, transpose, widen

_OUTER_ROWS = 1 << 15
"""Rows of one matrix product: enough to run at full speed, few enough for float32."""

_ROWS = 64
"""Rows that one partial sum in the input's own precision may cover; beyond, float64."""


def pivot_of(xp: Any, mean: Array) -> Array | None:
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


def width_of(xp: Any, var: Array) -> Array:
    """Return the average variance of the first rows, about which squares of u are taken.

    Of a latent that carries little, u is that variance and little more: in float32 the square of the
    sum would leave nothing of what varies.
    """
    head = widen(xp, var[..., : min(_ROWS, var.shape[-2]), :])
    with np.errstate(all="ignore"):
        width = xp.mean(head, axis=-2, keepdims=True)
    width = xp.where(xp.isfinite(width), width, xp.zeros_like(width))
    return widen(xp, xp.astype(width, var.dtype))


def scale_of(xp: Any, width: Array, dtype: Any) -> Array:
    """Return about one over the width: logarithms are taken of variances in this scale, near 1.

    In float32 the logarithms of a million and of its neighbours differ in few digits, and a sum of
    them rounds by as much each time.
    """
    with np.errstate(all="ignore"):
        scale = xp.astype(1 / width, dtype)
    good = xp.isfinite(scale) & (scale > 0)
    return widen(xp, xp.where(good, scale, xp.ones_like(scale)))


def sum_blocks(
    xp: Any,
    mean: Array,
    var: Array,
    pivot: Array | None,
    width: Array,
    scale: Array,
    errors: bool,
    covariance: bool,
    threads: int,
) -> tuple[Array, Array | None]:
    """Return the sums over samples, about the pivot: (..., k, d) and, when asked, (..., d, d)."""
    where = array_api_compat.device(mean)
    c = None
    if pivot is not None:
        c = array_api_compat.to_device(xp.astype(pivot, mean.dtype), where)
    w, s = (
        array_api_compat.to_device(xp.astype(each, mean.dtype), where) for each in (width, scale)
    )
    keep_freed_memory()

    def columns(rows: slice) -> Array:
        with np.errstate(all="ignore"):
            return _columns(xp, mean[..., rows, :], var[..., rows, :], c, w, s, errors)

    def outer(rows: slice) -> Array:
        with np.errstate(all="ignore"):
            x = mean[..., rows, :]
            return _outer(xp, x if c is None else x - c)

    sums = _add_up(columns, _whole_tiles(row_blocks(mean)), threads)
    if not covariance:
        return sums, None
    return sums, _add_up(outer, row_blocks(mean, _OUTER_ROWS), threads)


def _add_up(block: Callable[[slice], Array], slices: Iterable[slice], threads: int) -> Array:
    """Sum over blocks in their order, whichever thread did them."""
    with np.errstate(all="ignore"):  # what overflows is found in the sum
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                return reduce(add, pool.map(block, slices))
        return reduce(add, map(block, slices))


def keep_freed_memory() -> None:
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


def _columns(
    xp: Any,
    x: Array,
    var: Array,
    pivot: Array | None,
    width: Array,
    scale: Array,
    errors: bool,
) -> Array:
    """Return the sums of x, x^2, v, log sv and, for the errors, u'u', u' log sv, (log sv)^2.

    Here x becomes the mean less the pivot c, u' = x^2 + 2 c x + v - w = u - c^2 - w, and s is the
    scale. Rows are summed 64 at a time in the precision of the input, as (64, tile d) so that loops
    are long, and then in float64. Arrays that lie in memory by columns stay so, as (64, d tile).
    Statements are in place where they can be: fresh memory is slow memory.
    """
    b, d = x.shape[-2:]
    height = _ROWS if b % _ROWS == 0 else b
    tiles = b // height
    flat = _is_by_columns(x) and _is_by_columns(var)
    if flat:
        x, var = (each.T.reshape(-1, height).T for each in (x, var))
    else:
        shape = (*x.shape[:-2], height, tiles * d)
        x, var = xp.reshape(x, shape), xp.reshape(var, shape)

    def of_tiles(row: Array) -> Array:
        whole = (*(1,) * (row.ndim - 1), tiles)
        return np.repeat(row, tiles, axis=-1) if flat else xp.tile(row, whole)

    if pivot is not None:
        c = of_tiles(pivot)
        x = x - c
    u = x * x
    sums = [_column_sum(xp, x), _column_sum(xp, u), _column_sum(xp, var)]
    if errors:
        u += var - of_tiles(width)
        if pivot is not None:
            u += 2 * c * x
        log_var = var * of_tiles(scale)
        log_var = np.log(log_var, out=log_var) if isinstance(x, np.ndarray) else xp.log(log_var)
        sums.append(_column_sum(xp, log_var))
        pairs = ((u, u), (u, log_var), (log_var, log_var))
        sums += [_column_dot(xp, left, right) for left, right in pairs]
    else:
        sums.append(log_sum(xp, var, of_tiles(scale)))
    together = widen(xp, xp.concat(sums, axis=-1))
    if flat:
        return xp.sum(xp.reshape(together, (len(sums), d, tiles)), axis=-1)
    return xp.sum(xp.reshape(together, (*x.shape[:-2], len(sums), tiles, d)), axis=-2)


def _is_by_columns(x: Array) -> bool:
    """Whether an array (b, d) of numpy lies in memory column by column, as tables have it."""
    return isinstance(x, np.ndarray) and x.ndim == 2 and x.strides[0] == x.itemsize < x.strides[1]


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


def log_sum(xp: Any, values: Array, scale: Array | float = 1.0) -> Array:
    """Sum over rows of the logs of scaled values: of products that stay in range.

    One logarithm of eight factors costs an eighth of eight logarithms, and rounds less.
    The sum is NaN or infinite when some value is not positive.
    """
    low = float(xp.min(values))
    if low > 0:
        low = min(low, 1.0)
        least = 1e-30 if values.dtype == xp.float32 else 1e-250
        factors, times = values, scale
        while factors.shape[-2] % 2 == 0 and factors.shape[-2] > 8 and low * low > least:
            half = factors.shape[-2] // 2
            factors = factors[..., :half, :] * factors[..., half:, :]
            low, times = low * low, times * times
        total = _column_sum(xp, xp.log(factors * times))
        if bool(xp.all(xp.isfinite(total))):
            return total
    return _column_sum(xp, xp.log(values * scale))
