r"""Rows of one latent as sums over cells, which add up; the state of :mod:`._sketch`.

Each posterior N(mu, v) falls into a cell with centre c, width w and variance s. With
:math:`u = (\mu - c)/w` and :math:`r = v/s - 1`, a cell keeps

.. math:: M_{ij} = \sum_m u_m^i r_m^j, \quad i + 2j < p, \qquad \sum_m \log v_m.

Variances have four cells an octave, cut by the bits of the float; means have cells of half the
standard deviation, rounded down to a power of two. So |u| is at most 1/2, and |r| at most 1/9.

A budget limits the cells. Where it is exceeded, the narrowest posteriors go to cells of twice the
width. Nothing is lost but resolution: the sums are closed under a shift and a change of scale.
These posteriors lie *under the floor*, at the variance of its edge, with r between -1 and 0.
Which posteriors do depends on all rows together, and not on the order in which they came.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import Float
from disentangle_indicators._errors import Undefined

__all__ = [
    "NO_FLOOR",
    "Cells",
    "Places",
    "Table",
    "added",
    "binned",
    "geometry",
    "places",
    "raised",
    "split",
    "terms",
    "within",
]

Int = NDArray[np.int64]

HALF = 0.5
"""Width of a cell, in standard deviations rounded down to a power of two."""

NO_FLOOR = -512
"""An octave below all standard deviations."""

_MANTISSA = 50
"""Bits of a float64 below its exponent and the first two bits of the mantissa."""

_OCTAVE = 8
"""Levels of the variance in an octave of the standard deviation."""

_CELL_BITS = 44
_MIDDLE = 1 << (_CELL_BITS - 1)

_TABLE = 1 << 17
"""Cells of a dense table at most: 13 MB."""


@cache
def terms(order: int) -> tuple[tuple[int, int], ...]:
    """Return the powers (i, j) of an order's sums: i + 2 j < order, from (0, 0) on."""
    pairs = [(i, j) for j in range(order) for i in range(order) if i + 2 * j < order]
    return tuple(sorted(pairs, key=lambda pair: (pair[1], pair[0])))


class Cells(NamedTuple):
    """The occupied cells of one latent.

    Parameters
    ----------
    keys : array of int, shape (k,)
        Level of the variance and number of the cell in one integer, sorted; see :func:`split`.
    sums : array, shape (terms + 1, k)
        M_ij in the order of :func:`terms`, and the sum of log v.
    floor : int
        Octave of the floor. The posteriors under it are in the level below its first one.
    """

    keys: Int
    sums: Float
    floor: int

    @property
    def under(self) -> Any:
        """Which cells lie under the floor: array (k,) of bool."""
        return split(self.keys)[0] < _first(self.floor)


def split(keys: Int) -> tuple[Int, Int]:
    """Return the levels of the variance, and the numbers of the cells."""
    return keys >> _CELL_BITS, (keys & ((1 << _CELL_BITS) - 1)) - _MIDDLE


def geometry(level: Any, floor: int) -> tuple[Any, Any]:
    """Return the width w and the variance s of the cells of levels."""
    level = np.asarray(level)
    under = level < _first(floor)
    octave = np.where(under, floor, (level - _first(0)) // _OCTAVE)
    middle = 0.5 * (_edge(level) + _edge(level + 1))
    return HALF * np.ldexp(1.0, octave), np.where(under, math.ldexp(1.0, 2 * floor), middle)


def _first(octave: int) -> int:
    """Return the first level of an octave of the standard deviation."""
    return _OCTAVE * octave + (1023 << 2)


def _edge(level: Any) -> Any:
    """Return the least variance of levels."""
    return (np.asarray(level, dtype=np.int64) << _MANTISSA).view(np.float64)


def _joined(level: Any, cell: Any) -> Any:
    return (level << _CELL_BITS) + (cell + _MIDDLE)


class Table:
    """A dense table of sums for the rows of one latent, and cells for rows beside it.

    Parameters
    ----------
    order, budget : int
    """

    def __init__(self, order: int, budget: int) -> None:
        self.order, self.budget = order, budget
        self.beside = Cells(np.empty(0, np.int64), np.empty((len(terms(order)) + 1, 0)), NO_FLOOR)
        self.floor = NO_FLOOR
        self.sums: Float | None = None

    def add(self, mean: Float, var: Float) -> None:
        """Add rows (b,)."""
        if self.sums is None:
            self._lay_out(mean, var)
        if self.sums is None or not self._add_dense(mean, var):
            cells, _ = binned(mean, var, self.order)
            self.beside = added(self.beside, cells, self.order, self.budget)

    def _lay_out(self, mean: Float, var: Float) -> None:
        """Lay out a table with room beside these rows; none if it would be too large."""
        floor = self.beside.floor
        level = np.maximum(var.view(np.int64) >> _MANTISSA, _first(floor) - 1)
        least, most = int(level.min()), int(level.max())
        levels = np.arange(
            max(least - 2, _first(floor) - 1), most + (3 if most >= _first(floor) else 1)
        )
        width, s = geometry(levels, floor)
        low, high = float(mean.min()), float(mean.max())
        beyond = 0.25 * (high - low)
        first, last = np.floor((low - beyond) / width) - 1, np.floor((high + beyond) / width) + 1
        end = np.cumsum(last - first + 1)
        if end[-1] > _TABLE:
            return
        self.floor, self.levels = floor, levels
        self.first, self.base = first, end - last - 1
        self.low, self.high = low - beyond, high + beyond
        self.per_width, self.per_s = 1 / width, 1 / s
        self.sums = np.zeros((len(terms(self.order)) + 1, int(end[-1])))

    def _add_dense(self, mean: Float, var: Float) -> bool:
        """Add rows to the table, if it has room for all of them."""
        level = var.view(np.int64) >> _MANTISSA
        if self.floor > NO_FLOOR:
            np.maximum(level, self.levels[0], out=level)
        level -= self.levels[0]
        inside = self.low <= mean.min() and mean.max() <= self.high
        if not inside or level.min() < 0 or level.max() >= len(self.levels):
            return False
        u = mean * self.per_width[level]
        cell = np.floor(u)
        u -= cell
        u -= 0.5
        r = var * self.per_s[level]
        r -= 1
        cell += self.base[level]
        assert self.sums is not None
        _add_up(self.sums, cell.astype(np.int64), u, r, var, self.order)
        return True

    def cells(self) -> Cells:
        """Return the occupied cells of all rows, within the budget."""
        if self.sums is None:
            return self.beside
        at = np.flatnonzero(self.sums[0])
        level = np.searchsorted(self.base + self.first, at, side="right") - 1
        keys = _joined(self.levels[level], (at - self.base[level]).astype(np.int64))
        dense = Cells(keys, self.sums[:, at], self.floor)
        return added(dense, self.beside, self.order, self.budget)


class Places(NamedTuple):
    """Where rows lie: the number of the cell of each, and u and r in it; arrays (n,)."""

    cell: Int
    u: Float
    r: Float

    def take(self, rows: Int) -> "Places":
        """Return the places of some rows."""
        return Places(self.cell[rows], self.u[rows], self.r[rows])


def places(cells: Cells, mean: Float, var: Float) -> Places:
    """Return where rows (s,) lie, each in one of these cells."""
    level = np.maximum(var.view(np.int64) >> _MANTISSA, _first(cells.floor) - 1)
    width, s = geometry(level, cells.floor)
    place = mean / width
    cell = np.floor(place)
    index = np.searchsorted(cells.keys, _joined(level, cell.astype(np.int64)))
    return Places(index, place - cell - 0.5, var / s - 1)


def binned(mean: Float, var: Float, order: int) -> tuple[Cells, Places]:
    """Return the cells of rows (n,), without a floor, and where the rows lie in them."""
    level = var.view(np.int64) >> _MANTISSA
    levels = np.arange(level.min(), level.max() + 1)
    level -= levels[0]
    width, s = geometry(levels, NO_FLOOR)
    u = mean * (1 / width)[level]
    cell = np.floor(u)
    if not float(np.max(np.abs(cell))) < _MIDDLE:
        raise Undefined("posteriors are too narrow beside the range of their means")
    u -= cell
    u -= 0.5
    r = var * (1 / s)[level]
    r -= 1
    first, last = np.floor(mean.min() / width), np.floor(mean.max() / width)
    end = np.cumsum(last - first + 1)
    if end[-1] > _TABLE:
        keys = _joined(levels[level], cell.astype(np.int64))
        keys, index = np.unique(keys, return_inverse=True)
    else:
        base = end - last - 1
        cell += base[level]
        at, index = _numbered(cell.astype(np.int64))
        level = np.searchsorted(end, at, side="right")
        keys = _joined(levels[level], (at - base[level]).astype(np.int64))
    sums = np.zeros((len(terms(order)) + 1, len(keys)))
    _add_up(sums, index, u, r, var, order)
    return Cells(keys, sums, NO_FLOOR), Places(index, u, r)


def _numbered(place: Int) -> tuple[Int, Int]:
    """Return the places of a table that are taken, and the number of each row's among them."""
    taken = np.bincount(place) > 0
    return np.flatnonzero(taken), (np.cumsum(taken) - 1)[place]


def _add_up(sums: Float, index: Int, u: Float, r: Float, var: Float, order: int) -> None:
    """Add u^i r^j and log v of rows to the sums of their cells."""
    size = sums.shape[1]
    power: Float | None = None
    of_r: Float | None = None
    for k, (i, j) in enumerate(terms(order)):
        if i == 0 and j:
            of_r = r if of_r is None else of_r * r
            power = of_r
        elif i:
            power = u if power is None else power * u
        sums[k] += np.bincount(index, power, size)
    sums[-1] += np.bincount(index, np.log(var), size)


def added(one: Cells, two: Cells, order: int, budget: int) -> Cells:
    """Return the cells of both, under the floor that the budget asks for."""
    floor = max(one.floor, two.floor)
    if not len(two.keys) or not len(one.keys):
        return within(raised(one if len(one.keys) else two, floor, order), order, budget)
    one, two = raised(one, floor, order), raised(two, floor, order)
    keys = np.concatenate([one.keys, two.keys])
    sums = np.concatenate([one.sums, two.sums], axis=1)
    return within(_summed(keys, sums, floor), order, budget)


def _summed(keys: Int, sums: Float, floor: int) -> Cells:
    """Add up the sums of equal keys."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return Cells(keys[first], np.add.reduceat(sums[:, order], first, axis=1), floor)


def within(cells: Cells, order: int, budget: int) -> Cells:
    """Raise the floor, octave by octave, until there are at most as many cells as the budget."""
    while len(cells.keys) > budget:
        narrowest = int(split(cells.keys[:1])[0][0])
        lowest = max(cells.floor, (narrowest - _first(0)) // _OCTAVE)
        cells = raised(cells, lowest + 1, order)
    return cells


def raised(cells: Cells, floor: int, order: int) -> Cells:
    """Return the cells under a floor that is no lower.

    In cells of width w' and variance s' around c', the rows of a cell have
    u' = (w/w') u + (c - c')/w' and r' = (s/s') r + s/s' - 1.
    """
    if floor <= cells.floor:
        return cells
    level, cell = split(cells.keys)
    under = level < _first(floor)
    if not under.any():
        return Cells(cells.keys, cells.sums, floor)
    width, s = geometry(level[under], cells.floor)
    scale = width / (HALF * math.ldexp(1.0, floor))
    place = (cell[under] + 0.5) * scale
    number = np.floor(place)
    ratio = s / math.ldexp(1.0, 2 * floor)
    sums = _moved(cells.sums[:, under], (scale, place - number - 0.5), (ratio, ratio - 1), order)
    level = np.full(len(number), _first(floor) - 1)
    lowered = _summed(_joined(level, number.astype(np.int64)), sums, floor)
    return Cells(
        np.concatenate([lowered.keys, cells.keys[~under]]),
        np.concatenate([lowered.sums, cells.sums[:, ~under]], axis=1),
        floor,
    )


def _moved(sums: Float, on_u: tuple[Float, Float], on_r: tuple[Float, Float], order: int) -> Float:
    """Return the sums of (a u + b)^i (c r + e)^j from those of u^i r^j."""
    row = {pair: k for k, pair in enumerate(terms(order))}
    (a, b), (c, e) = on_u, on_r
    out = np.zeros_like(sums)
    for (i, j), k in row.items():
        for m in range(i + 1):
            of_u = math.comb(i, m) * a**m * b ** (i - m)
            for t in range(j + 1):
                of_r = math.comb(j, t) * c**t * e ** (j - t)
                out[k] += of_u * of_r * sums[row[m, t]]
    out[-1] = sums[-1]
    return out
