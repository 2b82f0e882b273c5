r"""Which axes does a code prefer? Answered without labels, from its exact marginals.

The prior N(0, I) looks the same from everywhere, so an ideal model may use any rotation of its
axes (Theorem 4). A trained one need not: an orthogonal rotation leaves the joint entropy of the
aggregated posterior alone, so that the total correlation changes by exactly what the sum of the
marginal entropies changes by,

.. math:: TC(Qz) - TC(z) = \sum_h H(u_h^T z) - \sum_h H(z_h), \qquad u_h = \text{rows of } Q,

and each of these marginals is again a mixture on a line, of N(u'mean_m, u'diag(var_m)u). Nothing
here saturates: no joint density is needed.
"""

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from disentangle_indicators._array import (
    Array,
    Float,
    as_pair,
    check_finite,
    check_positive,
    generator,
    to_numpy,
)
from disentangle_indicators._progress import Progress
from disentangle_indicators._result import Block, Result, Table
from disentangle_indicators._tables import with_error
from disentangle_indicators.aggregate._marginals import entropy, row_surprise
from disentangle_indicators.evaluate import indicators
from disentangle_indicators.rotation._orthogonal import givens
from disentangle_indicators.states import USED

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Axes", "axes"]

ANGLES = np.deg2rad(np.arange(-42.0, 45.1, 6.0))
"""Where a pair is first looked at; a turn by 90 degrees is a signed permutation."""

WIDENING = (0.1, 0.03, 0.01)
"""Widths of posteriors, in standard deviations of the means, with which angles are looked for."""

LEVEL = 0.05
"""Error rate at which a pair of Gaussian codes is said to prefer an orientation."""

_ROWS = 1536
"""Rows, at most, on which angles are looked for, and on which chance is measured."""

_SWEEPS = 8
_LEAST_TURN = math.radians(1)
_LEAST_GAIN = 1e-4


@dataclass(frozen=True, eq=False, repr=False)
class Axes(Result):
    """What rotations of the used latents do to the total correlation, in nats.

    Parameters
    ----------
    n, d : int
    latents : tuple of int
        The latents that were looked at: the used ones unless told.
    pairs : tuple of dict
        For each pair `i`, `j` of them: `best` and `worst` angle in degrees, `gain` (total
        correlation that the best angle removes), `cost` (what the worst one adds), their standard
        errors, `p_gain` and `p_cost` against uncorrelated Gaussian codes, and `verdict`:
        "better axes" or "preferred" where p is at most `level` and the effect beyond two standard
        errors, else "arbitrary".
    rotation : array, shape (k, k)
        The best rotation found of `latents`: z[:, latents] @ rotation.T has the new axes.
    turns : tuple of (int, int, float)
        The turns it is made of, in the order they were made: latents and degrees.
    total_gain : float
        Total correlation that it removes: a lower bound of the code's total correlation.
    standard_error : float
        Of `total_gain`, over rows.
    level : float
        Error rate of the verdicts, for each pair.
    nulls : int
        Gaussian codes that each pair is compared with.
    seed : int or None

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> source = rng.uniform(-1.7, 1.7, size=(2000, 2)) @ [[0.8, 0.6], [-0.6, 0.8]]
    >>> result = axes(source, np.full((2000, 2), 0.05), rng=0)
    >>> result.pairs[0]["verdict"], abs(round(abs(result.pairs[0]["best"])) - 37) <= 2
    ('better axes', True)
    """

    schema: ClassVar[str] = "dindic.axes/1"

    n: int
    d: int
    latents: tuple[int, ...]
    pairs: tuple[dict[str, Any], ...]
    rotation: Float
    turns: tuple[tuple[int, int, float], ...]
    total_gain: float
    standard_error: float
    level: float
    nulls: int
    seed: int | None

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per pair."""
        import pandas as pd

        return pd.DataFrame(list(self.pairs))

    def blocks(self) -> list[Block]:
        """Return the sentence and the table of pairs."""
        return [{"AXES": sentence(self)}, *([axes_table(self)] if self.pairs else [])]


def axes(
    mean: Array,
    var: Array,
    *,
    rng: np.random.Generator | int,
    subspace: str = "used",
    threshold: float = USED,
    nulls: int = 19,
    progress: Progress | None = None,
) -> Axes:
    r"""Find out whether the axes of a code mean anything, without labels.

    Parameters
    ----------
    mean, var : array, shape (n, d)
        Means and variances of the posteriors, in units of the prior N(0, 1).
    rng : numpy.random.Generator or int
        Splits the rows, and draws the Gaussian codes.
    subspace : {"used", "all"}
        Which latents to rotate.
    threshold : float
        Least information of a used latent, in nats.
    nulls : int
        Uncorrelated Gaussian codes, with the means and variances of each pair, that it is
        compared with; the least p-value is 1 / (nulls + 1).
    progress : callable, optional
        As for :func:`disentangle_indicators.aggregate.marginals`.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        On arrays that do not belong together, on entries that are not finite, on variances that
        are not positive, and on fewer than eight rows or an unknown subspace.

    Notes
    -----
    Angles are looked for on one half of the rows, and what they gain is measured on the other, so
    that it is not flattered by the search. A turn z -> z Q^T by an angle a takes latents i and j to
    cos(a) z_i - sin(a) z_j and sin(a) z_i + cos(a) z_j.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> result = axes(rng.normal(size=(1000, 2)), np.full((1000, 2), 0.1), rng=0)
    >>> result.pairs[0]["verdict"]
    'arbitrary'
    """
    _, mean, var = as_pair(mean, var)
    if mean.ndim != 2:
        raise ValueError(f"mean must have the shape (n, d); its shape is {tuple(mean.shape)}")
    if subspace not in ("used", "all"):
        raise ValueError(f"subspace must be 'used' or 'all'; got {subspace!r}")
    if mean.shape[0] < 8:
        raise ValueError(f"axes need at least 8 rows; got {mean.shape[0]}")
    if not isinstance(nulls, (int, np.integer)) or nulls < 1:
        raise ValueError(f"nulls must be a whole number of at least 1; got {nulls}")
    check_finite(mean, "mean")
    check_positive(var, "var")
    n, d = mean.shape
    rng, seed = generator(rng)
    states = indicators(mean, var, errors=False, threshold=threshold).states
    kept = [
        h for h in range(d) if subspace == "all" or states[h] in ("used", "near-deterministic")
    ]
    x, v = to_numpy(mean)[:, kept], to_numpy(var)[:, kept]
    for h, column in enumerate(kept):
        try:
            entropy(x[:, h], v[:, h])
        except ValueError as refusal:
            raise ValueError(f"latent {column}: {refusal}") from refusal
    order = rng.permutation(n)
    half = order[: n // 2], order[n // 2 :]
    fit, held = ((x[rows], v[rows]) for rows in (half[0][:_ROWS], half[1]))
    k = len(kept)
    steps = range(k * (k - 1) // 2)
    pairs = list(combinations(range(k), 2))
    bar = steps if progress is None else progress(steps, "pairs", len(pairs))
    described = [_pair(fit, held, *pairs[step], nulls, rng) for step in bar]
    best = {(p["i"], p["j"]): math.radians(p["best"]) for p in described}
    for pair in described:
        pair["i"], pair["j"] = kept[pair["i"]], kept[pair["j"]]
    rotation, turns = _search(fit, best)
    gain, error = _gain(held, rotation)
    return Axes(
        n=n,
        d=d,
        latents=tuple(kept),
        pairs=tuple(sorted(described, key=lambda p: -max(p["gain"], p["cost"]))),
        rotation=rotation,
        turns=tuple((kept[i], kept[j], math.degrees(angle)) for i, j, angle in turns),
        total_gain=gain,
        standard_error=error,
        level=LEVEL,
        nulls=nulls,
        seed=seed,
    )


Rows = tuple[Float, Float]
"""Means and variances (n, k) of some rows."""


def _along(rows: Rows, u: Float) -> Rows:
    """Return the means and variances (n,) of posteriors along a direction u (k,)."""
    mean, var = rows
    return mean @ u, var @ (u * u)


def _sum_of_entropies(rows: Rows, a: Float, b: Float, angle: float) -> float:
    """Return the entropies along two axes turned by an angle in their plane, added up."""
    c, s = math.cos(angle), math.sin(angle)
    return entropy(*_along(rows, c * a - s * b)) + entropy(*_along(rows, s * a + c * b))


def _curve(rows: Rows, a: Float, b: Float, angles: Any) -> Float:
    """Return the change of total correlation (k,) when two axes are turned by angles."""
    here = _sum_of_entropies(rows, a, b, 0.0)
    return np.array([_sum_of_entropies(rows, a, b, float(t)) - here for t in angles])


def _extremes(rows: Rows, a: Float, b: Float) -> tuple[float, float]:
    """Return the angle of least total correlation, and about that of the greatest.

    Narrow posteriors make for narrow valleys, so these are looked for with wider ones first.
    """
    from scipy.optimize import minimize_scalar

    mean, var = rows
    spread = float(np.mean([np.var(mean @ u) for u in (a, b)]))
    narrow = float(np.median([np.median(var @ (u * u)) for u in (a, b)]))
    shares = [share for share in WIDENING if share**2 * spread > narrow] + [0.0]
    wide = mean, var + shares[0] ** 2 * spread
    curve = _curve(wide, a, b, ANGLES)
    best, window = float(ANGLES[np.argmin(curve)]), float(ANGLES[1] - ANGLES[0])
    for share in shares:
        wide = mean, var + share**2 * spread
        found = minimize_scalar(
            lambda t, wide=wide: _sum_of_entropies(wide, a, b, t),
            bounds=(best - window, best + window),
            method="bounded",
            options={"xatol": window / 10},
        )
        best, window = float(found.x), window / 3
    if _curve(rows, a, b, (best,))[0] >= 0:
        best = 0.0
    quarter = math.pi / 2
    best = (best + quarter / 2) % quarter - quarter / 2
    return best, float(ANGLES[np.argmax(curve)])


def _pair(
    fit: Rows, held: Rows, i: int, j: int, nulls: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Describe one pair: angles from one half of the rows, their effect on the other."""
    a, b = np.eye(2)
    best, worst = _extremes((fit[0][:, [i, j]], fit[1][:, [i, j]]), a, b)
    plane = held[0][:, [i, j]], held[1][:, [i, j]]
    gain, cost = _curve(plane, a, b, (best, worst)) * [-1, 1]
    gain_error, cost_error = (_error(plane, givens(2, 0, 1, t)) for t in (best, worst))
    some = plane[0][:_ROWS], plane[1][:_ROWS]
    seen = _curve(some, a, b, (best, worst))
    turned = abs(best) > _LEAST_TURN  # else there is nothing to gain that chance could match
    angles = (worst, best) if turned else (worst,)
    null = np.array([_curve(_gaussian(some, rng), a, b, angles) for _ in range(nulls)])
    p_cost = (1 + np.sum(null[:, 0] >= seen[1])) / (nulls + 1)
    p_gain = (1 + np.sum(null[:, 1] <= seen[0])) / (nulls + 1) if turned else 1.0
    verdict = "arbitrary"
    if p_cost <= LEVEL and cost > max(_LEAST_GAIN, 2 * cost_error):
        verdict = "preferred"
    if p_gain <= LEVEL and gain > max(_LEAST_GAIN, 2 * gain_error):
        verdict = "better axes"
    return {
        "i": i,
        "j": j,
        "best": math.degrees(best),
        "worst": math.degrees(worst),
        "gain": float(gain),
        "gain_se": gain_error,
        "cost": float(cost),
        "cost_se": cost_error,
        "p_gain": float(p_gain),
        "p_cost": float(p_cost),
        "verdict": verdict,
    }


def _gaussian(plane: Rows, rng: np.random.Generator) -> Rows:
    """Draw uncorrelated Gaussian means with the moments of the given ones; keep the variances."""
    mean, var = plane
    drawn = rng.normal(mean.mean(axis=0), mean.std(axis=0), size=mean.shape)
    return drawn, var[rng.permutation(len(var))]


def _search(
    rows: Rows, best: dict[tuple[int, int], float]
) -> tuple[Float, list[tuple[int, int, float]]]:
    """Turn pairs of axes until no turn lowers the total correlation (Jacobi sweeps).

    `best` are the best angles of all pairs before any turn.
    """
    n, k = rows[0].shape
    least = max(_LEAST_GAIN, 3 / n)  # less is what chance does to n rows
    rotation = np.eye(k)
    turns: list[tuple[int, int, float]] = []
    turned = np.zeros(k, dtype=np.int64)  # when each axis was last turned
    looked = np.full((k, k), -1)  # when each pair was last looked at
    for _ in range(_SWEEPS):
        before = len(turns)
        for i, j in combinations(range(k), 2):
            if looked[i, j] >= max(turned[i], turned[j]):
                continue
            a, b = rotation[i], rotation[j]
            angle = best[i, j] if looked[i, j] < 0 and not turned[[i, j]].any() else None
            angle = _extremes(rows, a, b)[0] if angle is None else angle
            gain = -float(_curve(rows, a, b, (angle,))[0])
            if abs(angle) > _LEAST_TURN and gain > least:
                rotation = givens(k, i, j, angle) @ rotation
                turns.append((i, j, angle))
                turned[[i, j]] = len(turns)
            looked[i, j] = len(turns)
        if len(turns) == before:
            break
    return rotation, turns


def _gain(rows: Rows, rotation: Float) -> tuple[float, float]:
    """Return the total correlation that a rotation removes, and its error over rows."""
    before = [entropy(*_along(rows, u)) for u in np.eye(len(rotation))]
    after = [entropy(*_along(rows, u)) for u in rotation]
    return float(sum(before) - sum(after)), _error(rows, rotation)


def _error(rows: Rows, rotation: Float) -> float:
    """Return the standard error over rows of the change of the summed marginal entropies."""
    if np.array_equal(rotation, np.eye(len(rotation))):
        return 0.0
    n = len(rows[0])
    picked = np.arange(n) < _ROWS  # the rows are in random order
    change = np.zeros(min(n, _ROWS))
    for old, new in zip(np.eye(len(rotation)), rotation, strict=True):
        change += row_surprise(*_along(rows, new), picked)
        change -= row_surprise(*_along(rows, old), picked)
    return float(np.std(change, ddof=1)) / math.sqrt(n)


def sentence(r: Axes) -> str:
    """Say whether the axes are arbitrary, preferred, or to be improved."""
    if len(r.latents) < 2:
        used = "no latent is" if not r.latents else "one latent is"
        return f"There is nothing to rotate: {used} used."
    counts = {
        name: sum(p["verdict"] == name for p in r.pairs)
        for name in ("better axes", "preferred", "arbitrary")
    }
    total = len(r.pairs)
    text = f"Of {total} pair{'s' * (total > 1)} of used latents, " if total > 1 else "The pair "
    said = [
        (f"{count} " if total > 1 else "") + SAYS[name][count == 1]
        for name, count in counts.items()
        if count
    ]
    text += ", ".join(said)
    if counts["better axes"]:
        found = next(p for p in r.pairs if p["verdict"] == "better axes")
        text += (
            f". Latents {found['i']} and {found['j']}, turned by {found['best']:.1f} degrees, lose "
            f"{with_error(found['gain'], found['gain_se'])} nats of total correlation"
        )
    if r.turns and r.total_gain > 2 * r.standard_error:
        text += (
            f". All turns together remove {with_error(r.total_gain, r.standard_error)} nats: the "
            "total correlation is at least that"
        )
    return f"{text}."


SAYS = {
    "better axes": ("would be better turned", "would be better turned"),
    "preferred": ("prefer the axes they have", "prefers the axes it has"),
    "arbitrary": (
        "are arbitrary (no angle beats chance)",
        "is arbitrary (no angle beats chance)",
    ),
}
"""What pairs are said to be, and one pair."""


def axes_table(r: Axes, most: int = 30) -> Table:
    """Return the table of pairs, those with the largest effects first."""
    rows = tuple(
        (
            f"{p['i']}, {p['j']}",
            f"{p['best']:.1f}°",
            with_error(p["gain"], p["gain_se"], 4),
            f"{p['p_gain']:.2g}" if abs(p["best"]) > math.degrees(_LEAST_TURN) else "-",
            f"{p['worst']:.0f}°",
            with_error(p["cost"], p["cost_se"], 4),
            f"{p['p_cost']:.2g}",
            p["verdict"],
        )
        for p in r.pairs[:most]
    )
    columns = ("pair", "best", "gain [nats]", "p gain", "worst", "cost [nats]", "p cost", "axes")
    more = f"; {len(r.pairs) - most} more pairs in the JSON" if len(r.pairs) > most else ""
    seed = "" if r.seed is None else f", seed {r.seed}"
    if 1 / (r.nulls + 1) > r.level:
        more += f"; so few that no p can be {r.level:g}, and all pairs are called arbitrary"
    note = (
        "gain: total correlation that the best angle removes; cost: what the worst one adds; angles "
        f"modulo 90, from one half of the rows, nats from the other, ± one standard error; p against {r.nulls} "
        f"uncorrelated Gaussian codes of the same variances{seed}{more}"
    )
    return Table(columns, rows, "Pairs of latents", note)
