"""The search for turns of axes that lower the total correlation, and what a turn changes.

Angles are in radians here. A turn by `angle` takes axes a and b to cos(angle) a - sin(angle) b and
sin(angle) a + cos(angle) b.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import LOG_2PI, Float
from disentangle_indicators.rotation import _binned
from disentangle_indicators.rotation._axes_result import LEAST_TURN
from disentangle_indicators.rotation._orthogonal import givens
from disentangle_indicators.thresholds import SATURATED

__all__ = [
    "ANGLES",
    "LEAST",
    "Along",
    "Change",
    "Rows",
    "along",
    "change",
    "crossed",
    "extremes",
    "is_saturated",
    "turned",
    "turns",
]

ANGLES = np.deg2rad(np.arange(-42.0, 45.1, 6.0))
"""Where the search of a pair begins; a turn by 90 degrees is a signed permutation."""

WIDENING = (0.1, 0.03, 0.01)
"""Widths of posteriors, in standard deviations of the means, with which the search begins."""

_SWEEPS = 8
LEAST = math.radians(LEAST_TURN)
"""Smaller angles count as no turn."""

Turn = tuple[int, int, float]


@dataclass(frozen=True)
class Rows:
    """Posteriors of some rows in k latents: `mean` and `var` (n, k).

    `clusters` is the number of clusters and the code of each row's, None for independent rows.
    `distinct` counts rows of one cluster that are nearly the same once.
    """

    mean: Float
    var: Float
    clusters: tuple[int, NDArray[Any]] | None
    distinct: int

    def along(self, u: Float) -> tuple[Float, Float]:
        """Return the means and variances (n,) of the posteriors along a direction u (k,)."""
        return self.mean @ u, self.var @ (u * u)

    def error(self, influence: Float) -> float:
        """Return the standard error of the mean of an influence (n,); infinite for one draw."""
        x, n = influence - influence.mean(), len(influence)
        if self.clusters is not None:
            count, code = self.clusters
            x = np.bincount(code, x, count)
        draws = len(x)
        return math.sqrt(np.sum(x * x) * draws / (draws - 1)) / n if draws > 1 else math.inf


@dataclass(frozen=True)
class Along:
    r"""One marginal of some rows.

    `chance` is :math:`\exp(I)/n`, by about which n rows show too little entropy. `surprise` (n,)
    averages to the entropy, in nats. `shape` (n,) averages to by how much a code with Gaussian
    means, of the same variance and the same posterior widths, exceeds the entropy.
    """

    chance: float
    surprise: Float
    shape: Float


@dataclass(frozen=True)
class Change:
    """What a change of axes adds to the total correlation of some rows, in nats.

    `value` is the sum, `shape` the part that Gaussian means would not add, each with its standard
    error. `chance` is by about how much few rows make both too large, which has no bound where
    a marginal at the outset is `saturated`.
    """

    value: float
    value_se: float
    shape: float
    shape_se: float
    chance: float
    saturated: bool


def along(rows: Rows, u: Float) -> Along:
    """Describe the marginal along a direction u (k,)."""
    mean, var = rows.along(u)
    surprise = _binned.surprise(mean, var)
    scatter = (mean - mean.mean()) ** 2
    spread = float(scatter.mean())
    # Gaussian means of that variance: every row's component is as wide as its posterior and they
    # together. The influence of the variance is that of one Gaussian.
    gaussian = _binned.surprise(np.zeros_like(mean), spread + var)
    gaussian = gaussian + 0.5 * (scatter - spread) / (spread + var.mean())
    return Along(_chance(rows, float(surprise.mean()), var), surprise, gaussian - surprise)


def crossed(rows: Rows, fold: NDArray[Any], axes: Sequence[Iterable[Float]]) -> list[Along]:
    """Describe marginals that each fold of the rows sees along axes of its own.

    `fold` (n,) numbers the folds, and `axes` holds the axes of each.
    """
    known: dict[bytes, Along] = {}
    for each in axes:
        for u in each:
            if u.tobytes() not in known:
                known[u.tobytes()] = along(rows, u)
    out = []
    for same in zip(*axes, strict=True):
        seen = [known[u.tobytes()] for u in same]
        out.append(
            Along(
                chance=float(np.mean([each.chance for each in seen])),
                surprise=np.choose(fold, [each.surprise for each in seen]),
                shape=np.choose(fold, [each.shape for each in seen]),
            )
        )
    return out


def _chance(rows: Rows, entropy: float, var: Float) -> float:
    """Return exp(I) / n of a marginal."""
    information = entropy - 0.5 * (LOG_2PI + 1 + float(np.mean(np.log(var))))
    return math.exp(information) / rows.distinct


def change(rows: Rows, before: Sequence[Along], after: Sequence[Along]) -> Change:
    """Compare the marginals along some axes with those along others in the same plane."""
    added = np.sum([each.surprise for each in after], axis=0)
    added -= np.sum([each.surprise for each in before], axis=0)
    lost = np.sum([each.shape for each in before], axis=0)
    lost -= np.sum([each.shape for each in after], axis=0)
    few = [sum(each.chance for each in some) for some in (before, after)]
    return Change(
        value=float(added.mean()),
        value_se=rows.error(added),
        shape=float(lost.mean()),
        shape_se=rows.error(lost),
        chance=max(few[0] - few[1], 0.0),
        saturated=any(each.chance > SATURATED for each in before),
    )


def turned(a: Float, b: Float, angle: float) -> tuple[Float, Float]:
    """Return two axes turned by an angle in their plane."""
    c, s = math.cos(angle), math.sin(angle)
    return c * a - s * b, s * a + c * b


def _entropies(rows: Rows, a: Float, b: Float, angle: float, added: float = 0.0) -> float:
    """Return the sum of the entropies along two turned axes, of posteriors widened by `added`."""
    total = 0.0
    for u in turned(a, b, angle):
        mean, var = rows.along(u)
        total += _binned.entropy(mean, var + added)
    return total


def is_saturated(rows: Rows, a: Float, b: Float) -> bool:
    """Return whether a marginal in the plane of two axes holds more than its rows can show."""
    for angle in ANGLES:
        for u in turned(a, b, float(angle)):
            mean, var = rows.along(u)
            if _chance(rows, _binned.entropy(mean, var), var) > SATURATED:
                return True
    return False


def extremes(rows: Rows, a: Float, b: Float) -> tuple[float, Float]:
    """Return the angle of least total correlation, and the sums of entropies at `ANGLES`."""
    # Codes of discrete factors lie on a lattice. With narrow posteriors, the valley of the right
    # angle is then a fraction of a degree wide. A grid fine enough for it would cost hundreds of
    # quadratures a pair, and a coarse one steps over it. Wider posteriors widen the valley and
    # nearly leave its bottom in place: the search follows the bottom while the width shrinks.
    spread = float(np.mean([np.var(rows.mean @ u) for u in (a, b)]))
    narrow = float(np.median([np.median(rows.var @ (u * u)) for u in (a, b)]))
    shares = [share for share in WIDENING if share**2 * spread > narrow] + [0.0]
    added = shares[0] ** 2 * spread
    curve = np.array([_entropies(rows, a, b, float(t), added) for t in ANGLES])
    best, window = float(ANGLES[np.argmin(curve)]), float(ANGLES[1] - ANGLES[0])
    for share in shares:
        best = _bottom(rows, a, b, best, window, share**2 * spread)
        window /= 3
    return _or_none(rows, a, b, best), curve


def _bottom(rows: Rows, a: Float, b: Float, start: float, window: float, added: float) -> float:
    """Return the angle of a valley within `window` of `start`."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda t: _entropies(rows, a, b, t, added),
        bounds=(start - window, start + window),
        method="bounded",
        options={"xatol": window / 10},
    )
    return float(found.x)


def _or_none(rows: Rows, a: Float, b: Float, angle: float) -> float:
    """Return an angle modulo 90 degrees, or 0 where a local minimum lies above no turn at all."""
    if _entropies(rows, a, b, angle) >= _entropies(rows, a, b, 0.0):
        return 0.0
    quarter = math.pi / 2
    return (angle + quarter / 2) % quarter - quarter / 2


def turns(
    rows: Rows,
    best: dict[tuple[int, int], float],
    accepted: Sequence[tuple[int, int]],
    significant: Callable[[Change], bool],
) -> tuple[Float, list[Turn]]:
    """Turn pairs of axes until no turn lowers the total correlation significantly (Jacobi sweeps).

    The accepted pairs come first, in their order. `best` holds the best angles of all pairs before
    any turn.
    """
    k = rows.mean.shape[1]
    rotation = np.eye(k)
    made: list[Turn] = []
    moved = np.zeros(k, dtype=np.int64)  # when each axis was last turned
    looked = np.full((k, k), -1)  # when each pair was last looked at
    marginals = [along(rows, u) for u in rotation]
    for sweep in range(_SWEEPS):
        before = len(made)
        others = [pair for pair in combinations(range(k), 2) if pair not in accepted]
        for i, j in (*accepted, *others):
            # neither axis moved since, so the answer would be the same
            if looked[i, j] >= max(moved[i], moved[j]):
                continue
            looked[i, j] = len(made)
            a, b = rotation[i], rotation[j]
            angle = extremes(rows, a, b)[0] if moved[[i, j]].any() else best[i, j]
            if abs(angle) <= LEAST:
                continue
            after = [along(rows, u) for u in turned(a, b, angle)]
            gain = change(rows, after, [marginals[i], marginals[j]])
            if significant(gain) or (sweep == 0 and (i, j) in accepted and gain.value > 0):
                rotation = givens(k, i, j, angle) @ rotation
                made.append((i, j, angle))
                marginals[i], marginals[j] = after
                moved[[i, j]] = looked[i, j] = len(made)
        if len(made) == before:
            break
    return rotation, made
