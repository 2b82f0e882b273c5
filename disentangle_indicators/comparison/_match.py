r"""Whether encoders of the same rows found the same space, and the same axes of it, without labels.

The prior looks the same from everywhere (Theorem 4), so that two runs of one model may agree on the
space of their used latents and on none of its axes. Three questions are asked of each two encoders:
which directions do both carry; which class of maps takes one code to the other; and which latents of
one are latents of the other, where a random rotation of the space would not make them so.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from disentangle_indicators._array import Float, generator, seed_of
from disentangle_indicators._errors import Undefined
from disentangle_indicators._leave_out import deal, error
from disentangle_indicators._progress import Progress
from disentangle_indicators._provenance import Provenance
from disentangle_indicators.comparison._match_result import (
    Match,
    MatchedLatent,
    MatchedPair,
    Ranking,
)
from disentangle_indicators.comparison._pairs import (
    MAPS,
    Both,
    alignments,
    canonical,
    kept,
    kernel_alignment,
    moments_of,
    recoloured,
    rotations_of,
    shuffled,
    stepped_down,
)
from disentangle_indicators.comparison._same_rows import check_same_rows
from disentangle_indicators.posteriors import Encodings
from disentangle_indicators.rotation._orthogonal import haar
from disentangle_indicators.states import USED
from disentangle_indicators.thresholds import FEWEST_ROWS, KEPT
from disentangle_indicators.unsupervised import udr

__all__ = ["match"]

LEVEL = 0.05
"""Error rate of the verdicts on all latents of two encoders together."""

MOST = 50
"""Encoders at most."""

ROTATIONS = 999
SHUFFLES = 39
TURNS = 19
"""Rotations of all encoders at once, which calibrate UDR."""

RANKED = 1000
"""Rows that UDR is computed on, as by its authors."""


def match(
    encoders: Sequence[Any],
    *,
    names: Sequence[str] | None = None,
    same_rows: bool = False,
    latents: str = "used",
    threshold: float = USED,
    rotations: int = ROTATIONS,
    shuffles: int = SHUFFLES,
    rng: np.random.Generator | int = 0,
    progress: Progress | None = None,
) -> Match:
    """Match encoders of the same rows: their spaces, their latents, and their axes.

    Parameters
    ----------
    encoders : sequence of Encodings, of (mean, var), or of arrays of means (n, d)
        From 2 to 50, of the same rows in the same order. Their numbers of latents may differ, and
        `var` may be None for means only.
    names : sequence of str, optional
    same_rows : bool
        Whether the rows are taken as the same. Otherwise labels, factors or the hash of the data
        must show it.
    latents : {"used", "all"}
    threshold : float
        Nats: least information of a used latent, and of a direction that counts as shared.
    rotations : int
        Random rotations of the space of used latents: the null of axes.
    shuffles : int
        Shuffles of the rows, or of whole clusters: the null of the space.
    rng : numpy.random.Generator or int
    progress : callable, optional

    Returns
    -------
    Match

    Raises
    ------
    ValueError
        On fewer than two encoders or more than fifty, on fewer than eight rows, on rows that
        differ, and where nothing shows that they correspond.
    Undefined
        Where an encoder has no used latent.

    Notes
    -----
    A direction is shared if both encoders carry more than `threshold` nats of it, and its canonical
    correlation is above those of all shuffles. The axes of a latent agree if its partner alone
    carries so much of it, and a random rotation brings it as near to an axis with a p-value of at
    most 0.05, corrected for all latents of the pair. In a space of two latents, a random rotation is
    within 2 degrees of the axes in 5% of all cases: there the same axes are hard to prove.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> mean, var = rng.normal(size=(2000, 4)), np.full((2000, 4), 0.05)
    >>> found = match([(mean, var), (-mean[:, [2, 0, 3, 1]], var)], same_rows=True)
    >>> found.sentence
    'The same 4-dimensional space in both encoders, up to permutation and sign; the same axes for 4 of 4 latents.'
    """
    several = _opened(encoders, names)
    if several[0].n < FEWEST_ROWS:
        raise ValueError(f"match needs at least {FEWEST_ROWS} rows; got {several[0].n}")
    evidence = check_same_rows(several, same_rows=same_rows)
    generated, seed = generator(rng), seed_of(rng)
    chosen = [_used(each, latents, threshold) for each in several]
    with_clusters = (each for each in several if each.clusters is not None)
    ruling = next(with_clusters, several[0])  # copies of inputs are copies in any encoder
    clusters = ruling.independent_codes
    group = deal(several[0].n, clusters, generated)
    order = np.argsort(group, kind="stable")
    codes = [
        _Code(each, kept_latents, order)
        for each, kept_latents in zip(several, chosen, strict=True)
    ]
    nulls: dict[int, Float] = {}
    for code in codes:
        d = code.mean.shape[1]
        if d > 1 and d not in nulls:
            nulls[d] = rotations_of(d, rotations, generated)
    made = list(combinations(range(len(codes)), 2))
    rows = None if clusters is None else np.asarray(clusters[1])[order]
    if rows is not None:
        rows = np.unique(rows, return_inverse=True)[1]
    steps = made if progress is None else progress(made, "pairs of encoders", len(made))
    pairs = []
    for i, j in steps:
        one, two = codes[i], codes[j]
        chance = shuffled(one.mean, two.mean, rows, shuffles, generated)
        whole, left = moments_of(one.mean, two.mean, one.noise, two.noise, group[order])
        null = nulls.get(two.mean.shape[1])
        pairs.append(_pair((i, j), (one, two), whole, left, null, chance, threshold))
    return Match(
        n=several[0].n,
        names=tuple(each.name or f"encoder {k + 1}" for k, each in enumerate(several)),
        latents=tuple(map(tuple, chosen)),
        widths=tuple(each.d for each in several),
        pairs=tuple(pairs),
        ranking=_ranking(codes, generated),
        evidence=evidence,
        n_clusters=None if clusters is None else clusters[0],
        dependence=ruling.dependence,
        rotations=rotations,
        shuffles=shuffles,
        threshold=threshold,
        level=LEVEL,
        seed=seed,
        provenance=Provenance(
            "disentangle_indicators.comparison.match",
            tuple(i for each in several for i in each.inputs),
            {
                "latents": latents,
                "threshold": threshold,
                "rotations": rotations,
                "shuffles": shuffles,
                "same_rows": same_rows,
            },
            seed,
        ),
    )


def _used(encodings: Encodings, latents: str, threshold: float) -> list[int]:
    """Return the latents to match; an encoder that uses none is named."""
    try:
        return encodings.used(latents, threshold)
    except Undefined as error:
        raise Undefined(
            f"{encodings.name or 'an encoder'}: {error}; latents='all' matches all of them"
        ) from error


def _opened(encoders: Sequence[Any], names: Sequence[str] | None) -> list[Encodings]:
    """Return encodings, each with its name."""
    if not 2 <= len(encoders) <= MOST:
        raise ValueError(f"match takes 2 to {MOST} encoders; got {len(encoders)}")
    if names is not None and len(names) != len(encoders):
        raise ValueError(f"names must be one per encoder, {len(encoders)}; got {len(names)}")
    several = [
        Encodings.of(*e) if isinstance(e, (tuple, list)) else Encodings.of(e) for e in encoders
    ]
    if names is None:
        return several
    return [Encodings.of(e, name=name) for e, name in zip(several, names, strict=True)]


class _Code:
    """Means of the used latents about their averages, in the order of groups, and noise."""

    def __init__(self, encodings: Encodings, latents: list[int], order: Any) -> None:
        mean = np.asarray(encodings.mean_on_host, dtype=np.float64)[:, latents]
        constant = np.flatnonzero(mean.min(axis=0) == mean.max(axis=0))
        if constant.size:
            raise Undefined(f"latent {latents[constant[0]]} has a constant mean: it has no axis")
        self.latents = latents
        self.mean = (mean - mean.mean(axis=0))[order]
        self.noise = np.zeros(len(latents))
        if not encodings.means_only:
            var = encodings.arrays_on_host("noise needs")[1]
            self.noise = np.mean(var[:, latents], axis=0, dtype=np.float64)


def _pair(
    which: tuple[int, int],
    codes: tuple[_Code, _Code],
    whole: Both,
    left: list[Both],
    rotations: Float | None,
    chance: Float,
    threshold: float,
) -> MatchedPair:
    """Describe two encoders."""
    shown = canonical(whole)
    apart = [canonical(each) for each in left]
    spread = error([each.information for each in apart])
    shared = _count(shown.means, shown.information, chance, threshold)
    ends = [
        _count(shown.means, shown.information + sign * spread, chance, threshold)
        for sign in (-2, 2)
    ]
    from scipy.optimize import linear_sum_assignment

    mine, theirs = linear_sum_assignment(np.abs(whole.correlations()), maximize=True)
    maps = _maps(whole, mine, theirs)
    matched = _matched(codes, whole, left, (mine, theirs), rotations, threshold)
    cka = [kernel_alignment(each) for each in (whole, *left)]
    return MatchedPair(
        i=which[0],
        j=which[1],
        shared=shared,
        shared_low=ends[0],
        shared_high=ends[1],
        up_to=_up_to(maps, matched) if shared else "nothing",
        kept=maps,
        canonical=shown.means,
        canonical_se=error([each.means for each in apart]),
        canonical_of_samples=shown.samples,
        shared_information=shown.information,
        shared_information_se=spread,
        p_space=float((1 + np.sum(chance >= shown.means[0])) / (1 + len(chance))),
        chance=float(chance.max()),
        cka=cka[0][0],
        cka_se=float(error([each[0] for each in cka[1:]])),
        cka_of_samples=cka[0][1],
        matched=matched,
    )


def _count(correlation: Float, information: Float, chance: Float, threshold: float) -> int:
    return int(np.sum((information > threshold) & (correlation > chance.max())))


def _maps(both: Both, mine: Any, theirs: Any) -> dict[str, float]:
    """Return the nats that each class of maps keeps, from the wider code to the narrower.

    Between codes of the same width it is the average of both directions.
    """
    p, q = both.between.shape
    ways = []
    if p <= q:
        ways.append(kept(both, mine, theirs))
    if q <= p:
        ways.append(kept(both.reversed(), theirs, mine))
    return {name: float(np.mean([np.sum(way[name]) for way in ways])) for name in MAPS}


def _up_to(maps: dict[str, float], matched: Sequence[MatchedLatent]) -> str:
    """Return the narrowest class of maps that keeps nearly all that a linear map keeps.

    A rotation by a small angle keeps nearly all as well: no rotation is left only where the axes of
    all latents agree, or where there is one.
    """
    same = all(one.verdict in ("same axis", "one axis only", "not shared") for one in matched)
    classes = MAPS if same else MAPS[1:]
    return next(name for name in classes if maps[name] >= KEPT * maps[MAPS[-1]])


def _matched(
    codes: tuple[_Code, _Code],
    whole: Both,
    left: list[Both],
    partners: tuple[Any, Any],
    rotations: Float | None,
    threshold: float,
) -> tuple[MatchedLatent, ...]:
    """Describe the latents that belong to each other, the most alike first."""
    mine, theirs = partners
    r = whole.correlations()
    each = [np.abs(one.correlations()[mine, theirs]) for one in left]
    spread = error(each)
    observed = alignments(whole)
    p = np.ones(len(observed))
    if rotations is not None:
        turned = (rotations, recoloured(rotations, whole.b))
        p = np.max([stepped_down(observed, alignments(whole, m)) for m in turned], axis=0)
    nats = kept(whole, mine, theirs)
    nearest = np.argmax(np.abs(r), axis=1)
    found = []
    for k, (h, other) in enumerate(zip(mine, theirs, strict=True)):
        alone = float(nats[MAPS[0]][h])
        if nats[MAPS[-1]][h] <= threshold:
            verdict = "not shared"
        elif alone > threshold and nearest[h] == other and p[h] <= LEVEL:
            verdict = "same axis"
        else:
            verdict = "same space" if rotations is not None else "one axis only"
        found.append(
            MatchedLatent(
                latent=codes[0].latents[h],
                partner=codes[1].latents[other],
                correlation=float(r[h, other]),
                correlation_se=float(spread[k]),
                degrees=float(np.degrees(np.arccos(min(observed[h], 1.0)))),
                information=alone,
                information_linear=float(nats[MAPS[-1]][h]),
                p_axis=float(p[h]),
                verdict=verdict,
            )
        )
    return tuple(sorted(found, key=lambda one: -abs(one.correlation)))


def _ranking(codes: list[_Code], rng: np.random.Generator) -> Ranking:
    """Return UDR of the used latents, and what it is if every code is rotated at random."""
    rows = rng.permutation(len(codes[0].mean))[:RANKED]
    means = [code.mean[rows] for code in codes]
    own = udr(means)
    null = np.stack(
        [udr([mean @ haar(mean.shape[1], rng).T for mean in means]).scores for _ in range(TURNS)]
    )
    beyond = np.sum(null >= own.scores * (1 - 1e-12), axis=0)
    return Ranking(own.scores, np.median(null, axis=0), (1 + beyond) / (1 + TURNS), len(rows))
