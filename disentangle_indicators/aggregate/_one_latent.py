r"""One latent: its entropy, and what else is asked of its marginal.

There are two ways. The tree of panels (:mod:`._grid`) is exact, wherever posteriors are and however
narrow. Sums over cells (:mod:`._cells`) are faster, as long as one even grid resolves the narrowest
posterior with few points. They come with an estimate of their error.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators._errors import Undefined
from disentangle_indicators.aggregate._cells import binned
from disentangle_indicators.aggregate._grid import REACH, Grid, grid
from disentangle_indicators.aggregate._shortfall import Neighbours, shortfall
from disentangle_indicators.aggregate._transform import Density, at_rows, density, latent

__all__ = [
    "ENOUGH",
    "Found",
    "Line",
    "by_sums",
    "by_tree",
    "entropy",
    "line_of",
    "of_latent",
    "row_surprise",
    "tree_entropy",
    "tree_of",
]

ENOUGH = 1e-6
"""Nats by which sums may be off, as far as they report; otherwise the tree is taken."""

ORDER, PROMISED = 8, 1e-7
"""Order of the sums, and nats by which entropies of this order are off at most."""

FEWEST, FINEST = 300, 0.5
"""Rows from which sums are faster, and widths of the narrowest posterior for each row, in the range
of a latent, up to which they are."""

ALONE = 0.99
"""Share of a row's own posterior from which on a line is too rough for what is left."""

_FAST = (8,), 5.5
"""Nodes and reach of a tree where 1e-7 nats are enough."""


class Found(NamedTuple):
    """What is asked of a latent.

    Parameters
    ----------
    entropy, error, shortfall : float
        Nats.
    second, log_var : float
        Second moment of q(z_h), and average of log v.
    density : array, shape (s,)
        At the points.
    surprise : array, shape (p,)
        Cross entropy of the picked rows' posteriors to q(z_h).
    """

    entropy: float
    error: float
    shortfall: float
    second: float
    log_var: float
    density: Float
    surprise: Float


@dataclass(frozen=True)
class Line:
    """The density of a marginal of n rows by cubic interpolation, as a tree has it."""

    n: int
    q: Density

    def density(self, z: Float) -> Float:
        """Return the density at points z (s,), 1e-4 off at most; 0 beyond the line."""
        place = (np.asarray(z) - self.q.start) / self.q.step
        last = len(self.q.values) - 3
        first = np.clip(place, 1, last).astype(np.int64)
        t = place - first
        after, before, two = t - 1, t + 1, t - 2
        q = self.q.values
        found = q[first] * (0.5 * before * after * two)
        found -= q[first + 1] * (0.5 * before * t * two)
        found += q[first + 2] * (before * t * after / 6)
        found -= q[first - 1] * (t * after * two / 6)
        return np.where((place >= 1) & (place <= last), np.maximum(found, 0.0), 0.0)


def of_latent(
    h: int, mean: Float, var: Float, points: Float, picked: Any, near: Neighbours
) -> Found:
    """Return what is asked of latent h, by sums where they are faster and report at most `ENOUGH`.

    Parameters
    ----------
    h : int
        Its number, for errors.
    mean, var : array, shape (n,)
    points : array, shape (s,)
        Where the density is wanted.
    picked : array of int, shape (p,)
        Rows whose surprise is wanted.
    near : Neighbours
        Rows of the shortfall.

    Raises
    ------
    Undefined
        Where posteriors are too narrow to be placed in float64.
    """
    rest = mean, var, points, picked, near
    found = by_sums(*rest) if _are_faster(mean, var) else None
    return by_tree(h, *rest) if found is None else found


def line_of(mean: Float, var: Float) -> Line | None:
    """Return the density of a marginal from sums, None where the tree is faster."""
    if not _are_faster(mean, var):
        return None
    cells, _ = binned(mean, var, ORDER)
    return Line(len(mean), density(cells, ORDER, len(mean)))


def _are_faster(mean: Float, var: Float) -> bool:
    n, sd = len(mean), math.sqrt(float(var.min()))
    span = float(mean.max() - mean.min()) + 2 * REACH * math.sqrt(float(var.max()))
    return n >= FEWEST and span <= FINEST * n * sd


def by_sums(mean: Float, var: Float, points: Float, picked: Any, near: Neighbours) -> Found | None:
    """Return what is asked of a latent from sums over cells, None where they may be too far off."""
    cells, places = binned(mean, var, ORDER)
    found, n = latent(cells, ORDER, len(mean)), len(mean)
    error = max(found.estimate, PROMISED)
    if found.guarantee or error > ENOUGH or found.negative > PROMISED:
        return None
    line = Line(n, found.density)
    return Found(
        found.entropy,
        error,
        shortfall(line, mean, var, near, ALONE),
        float(mean @ mean + var.sum()) / n,
        float(cells.sums[-1].sum()) / n,
        line.density(points),
        at_rows(found, places.take(picked)),
    )


def by_tree(
    h: int, mean: Float, var: Float, points: Float, picked: Any, near: Neighbours
) -> Found:
    """Return what is asked of latent h from the tree."""
    tree = tree_of(h, mean, var)
    return Found(
        *tree_entropy(tree),
        shortfall(tree, mean, var, near),
        float(np.mean(mean * mean + var)),
        float(np.mean(np.log(var))),
        tree.density(points),
        _surprise_of(tree, picked),
    )


def tree_of(h: int, mean: Float, var: Float) -> Grid:
    """Return the tree of latent h; what is refused is refused by the latent's name."""
    try:
        return grid(mean, var)
    except Undefined as error:
        raise Undefined(f"latent {h}: {error}") from error


def tree_entropy(tree: Grid) -> tuple[float, float]:
    r"""Return :math:`-\int q \log q` and its error.

    Two rules against each other, the mass that is not covered times what its -log q may be, and
    the rounding of positions. Logarithms are taken in units of the components' widths.
    """
    from scipy.special import entr

    value, check = map(
        float, tree.integral(lambda q: np.asarray(entr(np.maximum(q, 0.0) * tree.unit)))
    )
    missing = abs(1 - float(tree.integral(lambda q: q)[0]))
    widths = math.log(tree.levels[0].width / tree.levels[-1].width)
    beyond = (REACH + 2) ** 2 / 2 + math.log(tree.n) + widths + 2
    error = abs(value - check) / tree.unit + missing * beyond + tree.rounding
    return value / tree.unit + math.log(tree.unit), error


def entropy(mean: Float, var: Float) -> float:
    """Return the entropy of a mixture on a line, of n Gaussians (n,), to about 1e-7 nats."""
    from scipy.special import entr

    tree = grid(mean, var, *_FAST)
    value = tree.integral(lambda q: np.asarray(entr(np.maximum(q, 0.0) * tree.unit)))[0]
    return float(value) / tree.unit + math.log(tree.unit)


def row_surprise(mean: Float, var: Float, picked: Any) -> Float:
    """Return the cross entropy of the picked components of such a mixture to the mixture."""
    return _surprise_of(grid(mean, var, *_FAST), picked)


def _surprise_of(tree: Grid, picked: Any) -> Float:
    which = np.zeros(tree.n, dtype=bool)
    which[picked] = True
    return np.asarray(tree.expectations(_surprise, which)[picked])


def _surprise(q: Float) -> Float:
    """Return -log q, and 0 where q is 0 (which no component sees)."""
    return -np.log(np.where(q > 0, q, 1.0))
