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
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float, generator, seed_of, to_numpy
from disentangle_indicators._errors import Undefined
from disentangle_indicators._progress import Progress
from disentangle_indicators._provenance import Provenance
from disentangle_indicators.aggregate._marginals import entropy, row_surprise
from disentangle_indicators.posteriors import Encodings
from disentangle_indicators.rotation._axes_result import LEAST_TURN, Axes, AxisPair
from disentangle_indicators.rotation._orthogonal import givens
from disentangle_indicators.states import USED

__all__ = ["Axes", "AxisPair", "axes"]

ANGLES = np.deg2rad(np.arange(-42.0, 45.1, 6.0))
"""Where the search of a pair begins; a turn by 90 degrees is a signed permutation."""

WIDENING = (0.1, 0.03, 0.01)
"""Widths of posteriors, in standard deviations of the means, with which the search begins."""

LEVEL = 0.05
"""Error rate of "better axes" and of "preferred" for a pair of uncorrelated Gaussian codes."""

FEWEST_ROWS = 8

_ROWS = 1536
"""Rows, at most, of the search for angles, of p-values and of standard errors."""

CLUSTERED = (
    "clusters stay together when the rows are split; standard errors and p-values still take rows "
    "as independent"
)

_SWEEPS = 8
_LEAST_TURN = math.radians(LEAST_TURN)
_LEAST_GAIN = 1e-4


def axes(
    mean: "Array | Encodings",
    var: Array = None,
    *,
    std: Array = None,
    logvar: Array = None,
    logstd: Array = None,
    rng: np.random.Generator | int,
    clusters: Any = None,
    latents: str = "used",
    threshold: float = USED,
    null_codes: int = 19,
    progress: Progress | None = None,
) -> Axes:
    r"""Find out without labels whether the axes of a code are arbitrary.

    Parameters
    ----------
    mean, var : array, shape (n, d)
        Means and variances of the posteriors, in units of the prior N(0, 1); or
        :class:`~disentangle_indicators.Encodings` alone.
    std, logvar, logstd : array, shape (n, d), optional
        In place of `var`: standard deviations, log variances, log standard deviations.
    rng : numpy.random.Generator or int
        Splits the rows, and draws the Gaussian codes.
    clusters : array, shape (n,), optional
        Rows of one cluster stay in one half. Errors and p-values take rows as independent all the
        same, with a note.
    latents : {"used", "all"}
        Which latents to rotate.
    threshold : float
        Least information of a used latent, in nats.
    null_codes : int
        Uncorrelated Gaussian codes that each pair is compared with, of the same means and
        variances as the pair. The least p-value is 1 / (null_codes + 1).
    progress : callable, optional
        As for :func:`disentangle_indicators.aggregate.marginals`.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        On arrays that do not belong together, on entries that are not finite, on variances that
        are not positive, on fewer than eight rows, and on an unknown choice of latents.

    Notes
    -----
    The search for angles sees one half of the rows. Gains and costs are measured on the other
    half, so that the search does not flatter them. A turn z -> z Q^T by an angle a takes latents
    i and j to cos(a) z_i - sin(a) z_j and sin(a) z_i + cos(a) z_j.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> result = axes(rng.normal(size=(1000, 2)), np.full((1000, 2), 0.1), rng=0)
    >>> result.pairs[0].verdict
    'arbitrary'
    """
    encodings = Encodings.of(
        mean, var, std=std, logvar=logvar, logstd=logstd, clusters=clusters, progress=progress
    )
    progress = encodings.progress
    if encodings.n < FEWEST_ROWS:
        raise ValueError(f"axes need at least {FEWEST_ROWS} rows; got {encodings.n}")
    if not isinstance(null_codes, (int, np.integer)) or null_codes < 1:
        raise ValueError(f"null_codes must be a whole number of at least 1; got {null_codes}")
    given = rng
    rng, seed = generator(rng)
    means, variances = (to_numpy(x) for x in encodings.arrays("axes need"))
    rotated = _rotated(encodings, latents, threshold)
    rows = means[:, rotated], variances[:, rotated]
    _check_entropies(rows, rotated)
    fit, held = _halves(rows, rng, encodings.cluster_codes)
    planes = list(combinations(range(len(rotated)), 2))
    steps = range(len(planes))
    bar = steps if progress is None else progress(steps, "pairs", len(planes))
    pairs = [_pair(fit, held, *planes[step], null_codes, rng) for step in bar]
    rotation, turns = _search(fit, {(p.i, p.j): math.radians(p.best_degrees) for p in pairs})
    gain, error = _gain(held, rotation)
    numbered = [replace(pair, i=rotated[pair.i], j=rotated[pair.j]) for pair in pairs]
    return Axes(
        n=encodings.n,
        d=encodings.d,
        latents=latents,
        rotated=tuple(rotated),
        pairs=tuple(sorted(numbered, key=lambda pair: -max(pair.gain, pair.cost))),
        rotation=rotation,
        turns=tuple((rotated[i], rotated[j], math.degrees(angle)) for i, j, angle in turns),
        total_gain=gain,
        standard_error=error,
        level=LEVEL,
        null_codes=null_codes,
        seed=seed,
        notes=(CLUSTERED,) if encodings.clusters is not None else (),
        name=encodings.name,
        source=encodings.source,
        provenance=Provenance(
            "disentangle_indicators.rotation.axes",
            encodings.inputs,
            {"latents": latents, "threshold": threshold, "null_codes": null_codes},
            seed_of(given),
        ),
    )


Rows = tuple[Float, Float]
"""Means and variances (n, k) of some rows."""


def _rotated(encodings: Encodings, latents: str, threshold: float) -> list[int]:
    """Return the latents to rotate; none where no latent is used, which is a result."""
    try:
        return encodings.used(latents, threshold)
    except Undefined:
        return []


def _check_entropies(rows: Rows, rotated: Sequence[int]) -> None:
    """Raise Undefined with the number of the first latent whose entropy has no value."""
    # the search meets directions only, and could not name the latent
    for column, latent in enumerate(rotated):
        try:
            entropy(rows[0][:, column], rows[1][:, column])
        except Undefined as reason:
            raise Undefined(f"latent {latent}: {reason}") from reason


def _halves(
    rows: Rows, rng: np.random.Generator, clusters: tuple[int, Any] | None
) -> tuple[Rows, Rows]:
    """Split rows at random: some for the search, and the other half for what it gains."""
    mean, var = rows
    order = rng.permutation(len(mean))
    half = len(order) // 2
    if clusters is not None:
        count, code = clusters
        first = rng.permutation(count) < count // 2
        order = np.concatenate([order[first[code[order]]], order[~first[code[order]]]])
        half = int(first[code].sum())
    fit, held = order[:half][:_ROWS], order[half:]
    return (mean[fit], var[fit]), (mean[held], var[held])


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
    """Return the angle of least total correlation, and roughly that of the greatest."""
    from scipy.optimize import minimize_scalar

    # Codes of discrete factors lie on a lattice. With narrow posteriors, the valley of the right
    # angle is then a fraction of a degree wide. A grid fine enough for it would cost hundreds of
    # quadratures a pair, and a coarse one steps over it. Wider posteriors widen the valley and
    # nearly leave its bottom in place: the search follows the bottom while the width shrinks.
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
    # a local minimum may lie above no turn at all
    if _curve(rows, a, b, (best,))[0] >= 0:
        best = 0.0
    quarter = math.pi / 2
    best = (best + quarter / 2) % quarter - quarter / 2
    return best, float(ANGLES[np.argmax(curve)])


def _pair(
    fit: Rows, held: Rows, i: int, j: int, null_codes: int, rng: np.random.Generator
) -> AxisPair:
    """Describe one pair: angles from one half of the rows, their effect on the other."""
    a, b = np.eye(2)
    best, worst = _extremes((fit[0][:, [i, j]], fit[1][:, [i, j]]), a, b)
    plane = held[0][:, [i, j]], held[1][:, [i, j]]
    gain, cost = _curve(plane, a, b, (best, worst)) * [-1, 1]
    gain_se, cost_se = (_standard_error(plane, givens(2, 0, 1, t)) for t in (best, worst))
    some = plane[0][:_ROWS], plane[1][:_ROWS]
    seen = _curve(some, a, b, (best, worst))
    turned = abs(best) > _LEAST_TURN  # else there is no gain that a Gaussian code could match
    angles = (worst, best) if turned else (worst,)
    null = np.array([_curve(_gaussian(some, rng), a, b, angles) for _ in range(null_codes)])
    p_cost = (1 + np.sum(null[:, 0] >= seen[1])) / (null_codes + 1)
    p_gain = (1 + np.sum(null[:, 1] <= seen[0])) / (null_codes + 1) if turned else 1.0
    verdict = "arbitrary"
    if p_cost <= LEVEL and cost > max(_LEAST_GAIN, 2 * cost_se):
        verdict = "preferred"
    if p_gain <= LEVEL and gain > max(_LEAST_GAIN, 2 * gain_se):
        verdict = "better axes"
    return AxisPair(
        i=i,
        j=j,
        best_degrees=math.degrees(best),
        worst_degrees=math.degrees(worst),
        gain=float(gain),
        gain_se=gain_se,
        cost=float(cost),
        cost_se=cost_se,
        p_gain=float(p_gain),
        p_cost=float(p_cost),
        verdict=verdict,
    )


def _gaussian(plane: Rows, rng: np.random.Generator) -> Rows:
    """Draw uncorrelated Gaussian means with the moments of the given ones; keep the variances."""
    mean, var = plane
    drawn = rng.normal(mean.mean(axis=0), mean.std(axis=0), size=mean.shape)
    return drawn, var[rng.permutation(len(var))]


def _search(
    rows: Rows, best: dict[tuple[int, int], float]
) -> tuple[Float, list[tuple[int, int, float]]]:
    """Turn pairs of axes until no turn lowers the total correlation (Jacobi sweeps).

    `best` are the best angles of all pairs before any turn; angles are in radians here.
    """
    n, k = rows[0].shape
    least = max(_LEAST_GAIN, 3 / n)  # n rows gain less than this by chance
    rotation = np.eye(k)
    turns: list[tuple[int, int, float]] = []
    turned = np.zeros(k, dtype=np.int64)  # when each axis was last turned
    looked = np.full((k, k), -1)  # when each pair was last looked at
    for _ in range(_SWEEPS):
        before = len(turns)
        for i, j in combinations(range(k), 2):
            # neither axis moved since, so the answer would be the same
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
    return float(sum(before) - sum(after)), _standard_error(rows, rotation)


def _standard_error(rows: Rows, rotation: Float) -> float:
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
