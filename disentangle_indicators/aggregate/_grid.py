r"""Quadrature for mixtures of one-dimensional Gaussians of any widths: a dyadic tree of panels.

A component of standard deviation s belongs to the level whose panels are as wide as the power of
two in (s, 2 s], where a few Gauss-Legendre nodes resolve it. It is evaluated on the panels within
`REACH` standard deviations; finer panels get it from there by polynomial interpolation. So the
cost is linear in the number of components, whatever their widths and wherever they are, and each
panel of a leaf holds the density of the whole mixture at its nodes.

Along a row of panels a Gaussian at equal steps obeys f(x + 1) = f(x) r(x) with
r(x + 1) = r(x) exp(-t^2), t the panel's width over s: two products in place of an exponential.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import Float
from disentangle_indicators._errors import Undefined

Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

MAIN = 14
"""Gauss-Legendre nodes of a panel."""

CHECK = 10
"""Nodes of a second rule, carried along: what it says differently is the error that is reported."""

REACH = 6.5
"""Standard deviations that are covered on both sides; beyond lie 8e-11 of a component."""

_BLOCK = 1 << 12
_CROWDED = 8
"""Components in a panel from which plain sums are faster than a sparse product."""

_SQRT_2PI = np.sqrt(2 * np.pi)
_ROUNDING = 2.0**-4


@dataclass(frozen=True)
class Level:
    """Panels of one width: where they are and the density at their nodes.

    `cells` (k,) are sorted; cell c is the interval [c, c + 1) * width. `parent` (k,) is the
    position of each one's parent on the next coarser level, and `leaf` (k,) says which are not
    refined.
    """

    width: float
    cells: Int
    parent: Int
    leaf: Bool
    density: Float


@dataclass(frozen=True)
class Group:
    """Components of one level and one reach, sorted by mean: their rows and where they lie.

    `cell` is the position of a component's own panel on its level, `t` the panel's width over its
    standard deviation, `u` its place in the panel, in [0, 1).
    """

    rows: Int
    level: int
    reach: int
    cell: Int
    t: Float
    u: Float

    def take(self, which: Bool) -> "Group":
        """Return the group of some of its components."""
        if which.all():
            return self
        return Group(
            self.rows[which],
            self.level,
            self.reach,
            self.cell[which],
            self.t[which],
            self.u[which],
        )


@dataclass(frozen=True)
class Grid:
    """The density of a mixture of n Gaussians with equal weights on a tree of panels.

    `rules` are the numbers of nodes of the rules that it holds, side by side: the first one gives
    values, a second one checks them. `levels` go from the coarsest to the finest; their cells
    count from `centre`. `unit` is the median standard deviation, up to a factor, and `rounding`
    how far a component may be from its place, in units of the narrowest standard deviation.
    """

    n: int
    rules: tuple[int, ...]
    centre: float
    unit: float
    rounding: float
    levels: tuple[Level, ...]
    groups: tuple[Group, ...]

    @property
    def size(self) -> int:
        """Number of nodes of all leaves."""
        return self.rules[0] * sum(int(level.leaf.sum()) for level in self.levels)

    def integral(self, f: Callable[[Float], Float]) -> Float:
        """Integrate a function of the density over z, by each rule: array (rules,)."""
        _, weights = _rules(self.rules)
        values = np.zeros(weights.size)
        for level in self.levels:
            values += level.width * np.sum(f(level.density[level.leaf]), axis=0) * weights
        return np.add.reduceat(values, np.cumsum((0, *self.rules[:-1])))

    def density(self, z: Float) -> Float:
        """Return the density at points z (s,); 0 where no panel is."""
        main, out = self.rules[0], np.zeros_like(z)
        z = z - self.centre
        for level in self.levels:
            cell = np.floor(z / level.width)
            at = np.minimum(np.searchsorted(level.cells, cell), level.cells.size - 1)
            here = (level.cells[at] == cell) & level.leaf[at]
            basis = _lagrange(_legendre(main), z[here] / level.width - cell[here])
            out[here] = np.einsum("sk,sk->s", basis, level.density[at[here], :main])
        return np.maximum(out, 0.0)

    def expectations(self, f: Callable[[Float], Float], picked: Bool) -> Float:
        """Return the expectation of a function of the density under each picked component.

        Parameters
        ----------
        f : callable
            Takes densities (k, nodes) to values of the same shape.
        picked : array of bool, shape (n,)

        Returns
        -------
        array, shape (n,)
            NaN where not picked.
        """
        main = self.rules[0]
        x, weights = _legendre(main)
        left, right = _halves(self.rules[:1])
        pull = []
        for level in self.levels:
            values = np.zeros((level.cells.size, main))
            values[level.leaf] = level.width * weights * f(level.density[level.leaf, :main])
            pull.append(values)
        # The adjoint of the way down in `grid`: what fine panels hold goes to the nodes of their
        # parents, so that a wide component visits the few panels of its own level only.
        for i in range(len(self.levels) - 1, 0, -1):
            parent = self.levels[i].parent[::2]
            pull[i - 1][parent] += pull[i][::2] @ left + pull[i][1::2] @ right
        out = np.full(self.n, np.nan)
        for group in self.groups:
            group = group.take(picked[group.rows])
            width = self.levels[group.level].width
            for block, panels in _blocks(group, x):
                cell, total = group.cell[block], 0.0
                for c, panel in panels:
                    total += np.einsum("mk,mk->m", panel, pull[group.level][cell + c])
                out[group.rows[block]] = total / (width * _SQRT_2PI)
        return out


def grid(
    mean: Float,
    var: Float,
    rules: tuple[int, ...] | None = None,
    reach_sd: float | None = None,
) -> Grid:
    """Lay the tree and fill it.

    Parameters
    ----------
    mean, var : array, shape (n,)
    rules : tuple of int, optional
        Nodes of a panel, by one rule or two; `MAIN` and `CHECK` by default.
    reach_sd : float, optional
        Standard deviations that are covered on both sides; `REACH` by default.

    Returns
    -------
    Grid

    Raises
    ------
    ValueError
        When a component is too narrow for float64 beside the range of the means.
    """
    rules = (MAIN, CHECK) if rules is None else rules
    reach_sd = REACH if reach_sd is None else reach_sd
    n = mean.size
    sd = np.sqrt(var)
    order = np.argsort(mean, kind="stable")
    centre = float(mean[order[n // 2]])
    x = mean - centre
    # so that most components are narrow for their panels, and reach over few of them
    unit = float(np.median(sd)) / 0.6
    fraction, exponent = np.frexp(sd / unit)
    # of few components, fewer groups cost less than fewer panels
    reach = np.ceil(reach_sd * (fraction if n > _BLOCK else np.ones(n))).astype(np.int64)
    finest, coarsest = int(exponent.min()), int(exponent.max())
    rounding = float(np.finfo(float).eps * np.max(np.abs(x)) / sd.min())
    if rounding > _ROUNDING:
        row = int(np.argmin(var))
        raise Undefined(
            f"var is too small for float64 beside means up to {np.max(np.abs(mean)):g}; "
            f"var[{row}] = {var[row]:g}"
        )
    code = exponent * 16 + reach
    sorted_code = code[order]
    parts = []
    touched: dict[int, list[tuple[Int, int]]] = {}
    for key in np.unique(code)[::-1].tolist():
        e, c = key >> 4, key & 15
        rows = order[sorted_code == key]
        scaled = np.ldexp(x[rows] / unit, -e)
        own = np.floor(scaled)
        parts.append((rows, e, c, own.astype(np.int64), 1 / fraction[rows], scaled - own))
        touched.setdefault(e, []).append((parts[-1][3], c))
    cells = _cells(touched, finest, coarsest)
    nodes, _ = _rules(rules)
    groups = tuple(
        Group(rows, coarsest - e, c, np.searchsorted(cells[coarsest - e], own), t, u)
        for rows, e, c, own, t, u in parts
    )
    left, right = _halves(rules)
    levels: list[Level] = []
    for i, here in enumerate(cells):
        width = unit * float(np.ldexp(1.0, coarsest - i))
        density = np.zeros((here.size, nodes.size))
        for group in groups:
            if group.level == i:
                _deposit(group, nodes, density)
        density /= n * width * _SQRT_2PI
        parent = np.searchsorted(cells[i - 1], here >> 1) if i else np.empty(0, np.int64)
        # Interpolated, not evaluated: a wide component would meet as many panels as the narrowest
        # one beside it asks for.
        if i:
            above = levels[-1].density[parent[::2]]
            density[::2] += above @ left.T
            density[1::2] += above @ right.T
        leaf = np.ones(here.size, dtype=bool)
        if i + 1 < len(cells):
            leaf[np.searchsorted(here, cells[i + 1][::2] >> 1)] = False
        levels.append(Level(width, here, parent, leaf, density))
    return Grid(n, rules, centre, unit, rounding, tuple(levels), groups)


def _cells(touched: dict[int, list[tuple[Int, int]]], finest: int, coarsest: int) -> list[Int]:
    """Return the panels of each level, the coarsest first: touched ones, parents, and siblings."""
    out: list[Int] = []
    parents = np.empty(0, np.int64)
    for e in range(finest, coarsest + 1):
        here = [_around(own, reach) for own, reach in touched.get(e, [])]
        cells = np.unique(np.concatenate([parents, *here]))
        # A panel with one child has both, also where no component reaches: its children replace it
        # as leaves, and leaves must cover all of it.
        if e < coarsest:
            parents = np.unique(cells >> 1)
            cells = np.stack([2 * parents, 2 * parents + 1], axis=1).reshape(-1)
        out.append(cells)
    return out[::-1]


def _around(own: Int, reach: int) -> Int:
    """Return all integers within `reach` of a sorted array of integers."""
    own = own[np.flatnonzero(np.diff(own, prepend=own[0] - 1))]
    start = np.maximum(own - reach, np.concatenate([own[:1] - reach, own[:-1] + reach + 1]))
    count = own + reach + 1 - start
    return np.repeat(own + reach + 1 - np.cumsum(count), count) + np.arange(count.sum())


def _deposit(group: Group, x: Float, density: Float) -> None:
    """Add the components of a group to its level, in units of width * sqrt(2 pi)."""
    from scipy import sparse

    for block, f in _blocks(group, x):
        cell = group.cell[block]
        first = np.flatnonzero(np.diff(cell, prepend=cell[0] - 1))
        if cell.size > _CROWDED * first.size:
            for c, panel in f:
                density[cell[first] + c] += np.add.reduceat(panel, first, axis=0)
            continue
        member = sparse.csr_array(
            (np.ones(cell.size), np.arange(cell.size), np.append(first, cell.size)),
            shape=(first.size, cell.size),
        )
        for c, panel in f:
            density[cell[first] + c] += member @ panel


def _blocks(group: Group, x: Float) -> Iterator[tuple[slice, Iterator[tuple[int, Float]]]]:
    for start in range(0, group.rows.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        yield block, _panels(group.t[block], group.u[block], group.reach, x)


def _panels(t: Float, u: Float, reach: int, x: Float) -> Iterator[tuple[int, Float]]:
    """Give t exp(-t^2 (c + x - u)^2 / 2) at the nodes (m, nodes) of panels c, |c| <= reach."""
    square = np.repeat((t * t)[:, None], x.size, axis=1)
    slope = square * (x - u[:, None])
    f = t[:, None] * np.exp(-0.5 * slope * (x - u[:, None]))
    ratio = np.exp(-0.5 * square)
    decay = ratio * ratio
    yield 0, f
    # Outwards from the component's own panel: there values fall, and with them the rounding errors
    # that the products pile up. Inwards the errors would be those of the peak.
    for sign in (1, -1):
        step = np.exp(-sign * slope)
        step *= ratio
        g = f.copy()
        for c in range(1, reach + 1):
            g *= step
            step *= decay
            yield sign * c, g


@cache
def _legendre(nodes: int) -> tuple[Float, Float]:
    """Return the Gauss-Legendre nodes and weights of [0, 1]."""
    x, weights = np.polynomial.legendre.leggauss(nodes)
    return (x + 1) / 2, weights / 2


def _lagrange(rule: tuple[Float, Float], at: Float) -> Float:
    """Return the Lagrange polynomials of Gauss-Legendre nodes at points of [0, 1]: (s, nodes)."""
    x, weights = rule
    barycentric = (-1.0) ** np.arange(x.size) * np.sqrt(x * (1 - x) * weights)
    difference = at[:, None] - x
    hit = difference == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        basis = barycentric / difference
        basis /= basis.sum(axis=1, keepdims=True)
    return np.where(hit.any(axis=1, keepdims=True), hit, basis)


@cache
def _rules(rules: tuple[int, ...]) -> tuple[Float, Float]:
    """Return the nodes of all rules side by side, and their weights."""
    x, weights = zip(*map(_legendre, rules), strict=True)
    return np.concatenate(x), np.concatenate(weights)


@cache
def _halves(rules: tuple[int, ...]) -> tuple[Float, Float]:
    """Return the matrices that take values at a panel's nodes to those of its two halves."""
    from scipy.linalg import block_diag

    each = [_legendre(nodes) for nodes in rules]
    left, right = (
        block_diag(*(_lagrange(rule, (rule[0] + side) / 2) for rule in each)) for side in (0, 1)
    )
    return left, right
