r"""Which axes does a code prefer? Answered without labels, from its exact marginals.

The prior N(0, I) looks the same from everywhere, so an ideal model may use any rotation of its
axes (Theorem 4). A trained one need not: an orthogonal rotation leaves the joint entropy of the
aggregated posterior alone, so that the total correlation changes by exactly what the sum of the
marginal entropies changes by,

.. math:: TC(Qz) - TC(z) = \sum_h H(u_h^T z) - \sum_h H(z_h), \qquad u_h = \text{rows of } Q,

and each of these marginals is again a mixture on a line, of N(u'mean_m, u'diag(var_m)u). The joint
density is not needed. A marginal is saturated where its exp(I)/n exceeds 0.1.

A Gaussian code of the same second moments and posterior widths has marginals in closed form. So
each change is the sum of what variances do and of what shape does.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float, generator, seed_of, to_numpy
from disentangle_indicators._clusters import FEW_CLUSTERS, widening
from disentangle_indicators._drawn import drawn
from disentangle_indicators._errors import Undefined
from disentangle_indicators._progress import Progress
from disentangle_indicators._provenance import Provenance
from disentangle_indicators.aggregate._one_latent import entropy
from disentangle_indicators.posteriors import Encodings
from disentangle_indicators.rotation._axes_result import Axes, AxisPair
from disentangle_indicators.rotation._turns import (
    ANGLES,
    LEAST,
    Along,
    Change,
    Rows,
    along,
    change,
    crossed,
    extremes,
    is_saturated,
    turned,
    turns,
)
from disentangle_indicators.states import USED
from disentangle_indicators.thresholds import FEWEST_ROWS, SMALL_COST

__all__ = ["Axes", "AxisPair", "axes"]

LEVEL = 0.05
"""Error rate of the verdicts on all pairs together."""

FOLDS = 4
"""Parts of the rows that are measured at angles which the other parts chose."""


def axes(
    mean: "Array | Encodings",
    var: Array = None,
    *,
    std: Array = None,
    logvar: Array = None,
    logstd: Array = None,
    rng: np.random.Generator | int = 0,
    clusters: Any = None,
    latents: str = "used",
    threshold: float = USED,
    rows: int | None = None,
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
        Splits the rows.
    clusters : array, shape (n,), optional
        Rows of one cluster stay together. Standard errors and p-values then rest on clusters
        in place of rows. Copies of a row are a cluster too.
    latents : {"used", "all"}
        Which latents to rotate.
    threshold : float
        Least information of a used latent, in nats.
    rows : int, optional
        Random rows to take; by default 20,000 of more than 100,000, and otherwise all.
    progress : callable, optional
        As for :func:`disentangle_indicators.aggregate.marginals`.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        On arrays that do not belong together, on entries that are not finite, on variances that
        are not positive, on fewer than eight rows or two clusters, and on an unknown choice of
        latents.

    Notes
    -----
    Gains and costs are measured by cross-validation, so that the search does not flatter them: each
    quarter of the rows is seen at the angles that the other three quarters choose. A turn z -> z Q^T by an angle a takes latents i and j to cos(a) z_i - sin(a) z_j and
    sin(a) z_i + cos(a) z_j.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> result = axes(rng.normal(size=(4000, 2)), np.full((4000, 2), 0.1), rng=0)
    >>> result.pairs[0].verdict
    'arbitrary'
    """
    encodings = Encodings.of(
        mean, var, std=std, logvar=logvar, logstd=logstd, clusters=clusters, progress=progress
    )
    progress = encodings.progress
    encodings, _, taken = drawn(encodings, rows, rng)
    if encodings.n < FEWEST_ROWS:
        raise ValueError(f"axes need at least {FEWEST_ROWS} rows; got {encodings.n}")
    clustered = encodings.independent_codes
    draws = encodings.n if clustered is None else clustered[0]
    if draws < 2:
        raise ValueError(f"axes need at least 2 clusters; got {draws}")
    given = rng
    rng, seed = generator(rng), seed_of(rng)
    means, variances = (to_numpy(x) for x in encodings.arrays_on_host("axes need"))
    rotated = _rotated(encodings, latents, threshold)
    whole = _rows(means[:, rotated], variances[:, rotated], clustered)
    _check_entropies(whole, rotated)
    fold, rests = _folds(whole, draws, rng)
    planes = list(combinations(range(len(rotated)), 2))
    test = _Test(len(planes), draws)
    own = [along(whole, u) for u in np.eye(len(rotated))]
    steps = range(len(planes))
    bar = steps if progress is None else progress(steps, "pairs", len(planes))
    found = [_pair(whole, fold, rests, own, *planes[step], test) for step in bar]
    pairs = sorted((pair for pair, _ in found), key=lambda pair: -max(pair.gain, pair.cost))
    accepted = [(pair.i, pair.j) for pair in pairs if pair.verdict == "better axes"]

    def turn(rows: Rows, k: int) -> tuple[Float, list[tuple[int, int, float]]]:
        best = {plane: angles[k] for plane, (_, angles) in zip(planes, found, strict=True)}
        return turns(rows, best, accepted, test.passes)

    rotation, made = turn(whole, 0)
    gain, error = 0.0, 0.0
    if made:
        unseen = crossed(whole, fold, [turn(rows, k + 1)[0] for k, rows in enumerate(rests)])
        total = change(whole, unseen, own)
        gain, error = total.value, total.value_se
    return Axes(
        n=encodings.n,
        d=encodings.d,
        n_clusters=None if clustered is None else draws,
        latents=latents,
        rotated=tuple(rotated),
        pairs=tuple(replace(pair, i=rotated[pair.i], j=rotated[pair.j]) for pair in pairs),
        rotation=rotation,
        turns=tuple((rotated[i], rotated[j], math.degrees(angle)) for i, j, angle in made),
        total_gain=gain,
        standard_error=error,
        level=LEVEL,
        small=SMALL_COST,
        seed=seed,
        notes=(*_notes(encodings, draws), *filter(None, [taken])),
        name=encodings.name,
        source=encodings.source,
        provenance=Provenance(
            "disentangle_indicators.rotation.axes",
            encodings.inputs,
            {"latents": latents, "threshold": threshold, "rows": encodings.n},
            seed_of(given),
        ),
    )


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
            entropy(rows.mean[:, column], rows.var[:, column])
        except Undefined as reason:
            raise Undefined(f"latent {latent}: {reason}") from reason


def _notes(encodings: Encodings, draws: int) -> tuple[str, ...]:
    few = (
        () if draws >= FEW_CLUSTERS else (f"{draws} draws are few: p-values are from Student's t",)
    )
    return (encodings.dependence[0].lower() + encodings.dependence[1:].rstrip("."), *few)


def _rows(mean: Float, var: Float, clusters: tuple[int, Any] | None) -> Rows:
    """Count rows of one cluster once where they are within a posterior's width of each other."""
    if clusters is None or not mean.shape[1]:
        return Rows(mean, var, None, len(mean))
    names, code = np.unique(clusters[1], return_inverse=True)
    cells = np.floor(mean / np.sqrt(np.median(var, axis=0)))
    distinct = len(np.unique(np.column_stack([code, cells]), axis=0))
    return Rows(mean, var, (len(names), code), distinct)


def _folds(rows: Rows, draws: int, rng: np.random.Generator) -> tuple[Any, list[Rows]]:
    """Split rows, or whole clusters, at random into folds; return these and the rest of each."""
    code = np.arange(draws) if rows.clusters is None else rows.clusters[1]
    fold = (rng.permutation(draws) % min(FOLDS, draws))[code]
    rests = []
    for number in range(fold.max() + 1):
        some = fold != number
        clusters = None if rows.clusters is None else (draws, code[some])
        rests.append(_rows(rows.mean[some], rows.var[some], clusters))
    return fold, rests


class _Test:
    """Tests of effects, corrected for the number of pairs (Bonferroni) and for few draws."""

    def __init__(self, pairs: int, draws: int) -> None:
        self.pairs, self.draws = pairs, draws

    def p_value(self, effect: Change, *, shape: bool = False) -> float:
        """Return the two-sided p-value of an effect, or of its shape, beyond chance.

        It is 1 where the outset is saturated, because chance has no bound then.
        """
        from scipy.special import stdtr

        value, error = (
            (effect.shape, effect.shape_se) if shape else (effect.value, effect.value_se)
        )
        if effect.saturated or value <= effect.chance or not 0 < error < math.inf:
            return 1.0
        tail = float(stdtr(self.draws - 1, (effect.chance - value) / error))
        return min(2 * self.pairs * tail, 1.0)

    def passes(self, effect: Change) -> bool:
        """Return whether an effect is significant."""
        return self.p_value(effect) <= LEVEL

    def is_small(self, effect: Change) -> bool:
        """Return whether an effect is within two standard errors of 0, and these are small."""
        margin = 2 * effect.value_se * widening(self.draws) + effect.chance
        return effect.value <= margin and max(effect.value, 0.0) + margin <= SMALL_COST


def _pair(
    whole: Rows,
    fold: Any,
    rests: Sequence[Rows],
    own: Sequence[Along],
    i: int,
    j: int,
    test: _Test,
) -> tuple[AxisPair, list[float]]:
    """Describe a pair; return also its best angles of all rows, and of the rest of each fold."""
    a, b = np.eye(whole.mean.shape[1])[[i, j]]
    found = [extremes(rows, a, b) for rows in (whole, *rests)]
    best, worst = [angle for angle, _ in found], [float(ANGLES[np.argmax(c)]) for _, c in found]
    here = [own[i], own[j]]
    better, worse = (
        crossed(whole, fold, [turned(a, b, angle) for angle in angles[1:]])
        for angles in (best, worst)
    )
    gain, cost = change(whole, better, here), change(whole, here, worse)
    p_gain = test.p_value(gain) if abs(best[0]) > LEAST else 1.0
    p_cost, p_shape = test.p_value(cost), test.p_value(cost, shape=True)
    if p_gain <= LEVEL:
        verdict = "better axes"
    elif p_cost <= LEVEL:
        verdict = "by shape" if p_shape <= LEVEL else "by variance"
    elif is_saturated(whole, a, b):
        verdict = "saturated"
    else:
        verdict = "arbitrary" if test.is_small(gain) and test.is_small(cost) else "undecided"
    pair = AxisPair(
        i=i,
        j=j,
        best_degrees=math.degrees(best[0]),
        worst_degrees=math.degrees(worst[0]),
        gain=gain.value,
        gain_se=gain.value_se,
        cost=cost.value,
        cost_se=cost.value_se,
        shape_cost=cost.shape,
        shape_cost_se=cost.shape_se,
        p_gain=p_gain,
        p_cost=p_cost,
        p_shape=p_shape,
        verdict=verdict,
    )
    return pair, best
