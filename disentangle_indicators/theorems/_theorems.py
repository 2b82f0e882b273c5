r"""What the theorems of the paper say of one encoder.

A theorem speaks of an ideal model: posteriors without noise, an aggregated posterior that is the
prior, latents that are independent. A trained encoder meets none of these exactly. Here each
assumption is a number with an error: how far this encoder is from it.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from disentangle_indicators import aggregate, rotation
from disentangle_indicators._array import Array, Float, generator, seed_of, to_numpy
from disentangle_indicators._blocks import with_error
from disentangle_indicators._brackets import Bracket, between
from disentangle_indicators._drawn import drawn
from disentangle_indicators._errors import Undefined
from disentangle_indicators._indicators import indicators
from disentangle_indicators._indicators_result import Indicators
from disentangle_indicators._leave_out import deal, error
from disentangle_indicators._progress import Progress
from disentangle_indicators._provenance import Provenance
from disentangle_indicators.aggregate import Joint, Marginals
from disentangle_indicators.aggregate._joint_result import in_words, span
from disentangle_indicators.distance import Distance, distance
from disentangle_indicators.posteriors import Encodings
from disentangle_indicators.rotation._axes_result import sentence as sentence_of_axes
from disentangle_indicators.states import USED
from disentangle_indicators.theorems._counts import (
    VARIABLES,
    entropy_of_means,
    isometric_importance,
    participation_ratio,
    share_of_rows,
    variables,
)
from disentangle_indicators.theorems._dimension import intrinsic_dimension
from disentangle_indicators.theorems._dimension_result import IntrinsicDimension
from disentangle_indicators.theorems._theorems_result import Finding, Theorems
from disentangle_indicators.thresholds import (
    FEWEST_ROWS,
    NOISELESS,
    OTHER_DIMENSION,
    SAME_DIMENSION,
    SETTLED,
)

__all__ = ["theorems"]

MOST_AXES = 12
"""Used latents up to which pairs are tested unasked."""

TURN_THEM = "theorems(axes=True) turns them"
"""What turns pairs of latents that were not turned; commands print theirs."""

SAMPLED = 10_000
"""Rows at most that the intrinsic dimension is computed on."""


def theorems(
    mean: "Array | Encodings",
    var: Array = None,
    *,
    std: Array = None,
    logvar: Array = None,
    logstd: Array = None,
    clusters: Any = None,
    data: Any = None,
    noise: float | None = None,
    axes: bool | None = None,
    rows: int | None = None,
    threshold: float = USED,
    rng: np.random.Generator | int = 0,
    progress: Progress | None = None,
) -> Theorems:
    r"""Compute which assumptions of the paper's theorems an encoder meets, and by how much it misses.

    Parameters
    ----------
    mean, var : array, shape (n, d)
        Means and variances of the posteriors, in units of the prior N(0, 1); or
        :class:`~disentangle_indicators.Encodings` alone.
    std, logvar, logstd : array, shape (n, d), optional
        In place of `var`.
    clusters : array, shape (n,), optional
        Rows of one cluster depend on each other.
    data : array, shape (n, ...), optional
        What was encoded, such as images, for its intrinsic dimension.
    noise : float, optional
        The normalised noise variance beta sigma^2 of the decoder, for isometric importance. By
        default it is taken from the metadata where these have beta and sigma2.
    axes : bool, optional
        Whether pairs of latents are turned; by default where at most 12 are used.
    rows : int, optional
        Random rows to take; by default 20,000 of more than 100,000, and otherwise all.
    threshold : float
        Least information of a used latent, in nats.
    rng : numpy.random.Generator or int
    progress : callable, optional

    Returns
    -------
    Theorems

    Raises
    ------
    ValueError
        On arrays that do not belong together, entries that are not finite, variances that are not
        positive, and data of other rows.
    Undefined
        For means only, and where the marginals have no value.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = theorems(rng.normal(size=(600, 2)), np.full((600, 2), 0.05))
    >>> found["Definition 1 = I(x; z) + KL(q(z) || p)"].verdict
    'holds'
    >>> found.kinds
    ('active', 'active')
    """
    encodings = Encodings.of(
        mean, var, std=std, logvar=logvar, logstd=logstd, clusters=clusters, progress=progress
    )
    if data is not None and len(data) != encodings.n:
        raise ValueError(f"data must have the rows of mean, {encodings.n}; got {len(data)}")
    some = drawn(encodings, rows, rng)
    encodings = some.encodings
    _check_rows(encodings)
    found = of_parts(
        encodings,
        indicators(encodings, threshold=threshold),
        aggregate.joint(encodings, rng=rng),
        data=some.taken(data),
        noise=noise,
        axes=axes,
        threshold=threshold,
        rng=rng,
    )
    asked = {"threshold": threshold, "noise": found.noise, "axes": axes, "rows": encodings.n}
    return replace(
        found,
        name=encodings.name,
        notes=(*found.notes, *filter(None, [some.note])),
        provenance=Provenance(
            "disentangle_indicators.theorems.theorems", encodings.inputs, asked, seed_of(rng)
        ),
    )


def of_parts(
    encodings: Encodings,
    result: Indicators,
    joint: Joint,
    *,
    data: Any = None,
    noise: float | None = None,
    axes: bool | None = None,
    threshold: float = USED,
    rng: np.random.Generator | int = 0,
) -> Theorems:
    """Return the findings on encodings whose indicators and joint are known."""
    _check_rows(encodings)
    means, variances = (
        np.asarray(to_numpy(x), np.float64) for x in encodings.arrays_on_host("theorems need")
    )
    generated = generator(rng)
    noise = _noise(encodings) if noise is None else noise
    exact = joint.marginals
    used = encodings.used_or_none(threshold)
    group = deal(encodings.n, encodings.independent_codes, generated)
    latents = _latents(means, variances, group, noise)
    dimensions, without = _dimensions(encodings, used, data, generated)
    kinds = _kinds(latents["share"][0], result.states)
    participation = 0.0, 0.0
    if used:
        per_latent = to_numpy(result.mutual_information_per_latent)
        participation = (
            participation_ratio(per_latent),
            _participation_error(means, variances, group),
        )
    turned, least = _rotations(encodings, used, axes, threshold, generated)
    known = distance(result, exact, joint, least_dependence=least)
    findings = [
        _deterministic(latents["signal"], used),
        *_prior(exact, known),
        _first(used, encodings.d, dimensions, kinds, participation[0]),
        _second(exact, joint, known.dependence),
        _third(result, joint),
        _corollaries(result, exact, known.dependence),
        turned,
    ]
    return Theorems(
        n=encodings.n,
        d=encodings.d,
        n_clusters=None if encodings.cluster_codes is None else encodings.cluster_codes[0],
        name="",
        findings=tuple(findings),
        dimensions=dimensions,
        used=tuple(used),
        participation=participation[0],
        participation_se=participation[1],
        signal_to_noise=latents["signal"][0],
        signal_to_noise_se=latents["signal"][1],
        share=latents["share"][0],
        share_se=latents["share"][1],
        kinds=kinds,
        importance=latents["importance"][0],
        importance_se=latents["importance"][1],
        noise=noise,
        entropy=entropy_of_means(means[_distinct(encodings)]),
        information=exact.information,
        notes=(encodings.dependence, *without),
    )


def _check_rows(encodings: Encodings) -> None:
    """Refuse means only, and fewer rows or draws than errors and entropies need."""
    encodings.arrays("theorems need")
    if encodings.n < FEWEST_ROWS:
        raise Undefined(f"theorems need at least {FEWEST_ROWS} rows; got {encodings.n}")
    draws = encodings.independent_codes
    if draws is not None and draws[0] < 2:
        raise Undefined(f"theorems need at least 2 independent draws of rows; got {draws[0]}")


def _kinds(share: Float, states: Sequence[str]) -> tuple[str, ...]:
    """Return the kinds of latents; one that shows nothing of the rows is passive, however narrow."""
    return tuple(
        "passive" if state in ("unused", "offset") else kind
        for kind, state in zip(variables(share), states, strict=True)
    )


def _noise(encodings: Encodings) -> float | None:
    """Return beta sigma^2 of the metadata, None where these do not have both."""
    about = encodings.metadata
    try:
        found = float(about["beta"]) * float(about["sigma2"])
    except (KeyError, ValueError):
        return None
    return found if 0 < found < math.inf else None


def _distinct(encodings: Encodings) -> Any:
    """Return the first row of each group of copies."""
    if encodings.copies is None:
        return slice(None)
    return np.unique(encodings.copies.codes, return_index=True)[1]


def _latents(
    mean: Float, var: Float, group: Any, noise: float | None
) -> dict[str, tuple[Float, Float]]:
    """Return signal to noise, share of rows and importance of latents, each with its error."""

    def values(rows: Any) -> dict[str, Float]:
        m, v = mean[rows], var[rows]
        return {
            "signal": m.var(axis=0) / v.mean(axis=0),
            "share": share_of_rows(v),
            "importance": isometric_importance(v, noise),
        }

    whole = values(slice(None))
    left = [values(group != g) for g in range(int(group.max()) + 1)]
    return {name: (value, error([each[name] for each in left])) for name, value in whole.items()}


def _participation_error(mean: Float, var: Float, group: Any) -> float:
    """Return the standard error of the participation ratio of Definition 3."""
    second, log_var = mean**2 + var, np.log(var)
    left = []
    for g in range(int(group.max()) + 1):
        rows = group != g
        s, average = second[rows].mean(axis=0), log_var[rows].mean(axis=0)
        left.append(participation_ratio(np.maximum(0.5 * (np.log(s) - average), 0.0)))
    return float(error(left))


def _dimensions(
    encodings: Encodings, used: Sequence[int], data: Any, rng: np.random.Generator
) -> tuple[dict[str, IntrinsicDimension], tuple[str, ...]]:
    """Return the intrinsic dimension of means and samples of the used latents, and of data.

    The control is what the estimate makes of so many independent Gaussians: too little, where rows
    are few. All are of one row of each group of copies, because samples of copies lie close. The
    second value has the reasons where there is no dimension.
    """
    first, codes = _distinct(encodings), encodings.independent_codes
    mean, var = (
        np.asarray(to_numpy(x), np.float64)[first][:, used]
        for x in encodings.arrays_on_host("theorems need")
    )
    clouds: dict[str, Any] = {}
    if used:
        clouds["means"] = mean
        clouds["samples"] = mean + np.sqrt(var) * rng.standard_normal(mean.shape)
        clouds["control"] = rng.standard_normal(mean.shape)
    if data is not None:
        clouds["data"] = to_numpy(data)[first]
    rows = np.sort(rng.permutation(len(mean))[:SAMPLED])
    found, without = {}, []
    for name, cloud in clouds.items():
        clusters = None if codes is None or name == "control" else codes[1][first][rows]
        try:
            found[name] = intrinsic_dimension(to_numpy(cloud)[rows], clusters=clusters, rng=rng)
        except Undefined as refusal:
            without.append(f"There is no dimension of the {name}: {refusal}.")
    return found, tuple(without)


def _deterministic(signal: tuple[Float, Float], used: Sequence[int]) -> Finding:
    """Return how much noise the posteriors of used latents have."""
    what = "section 2", "posteriors are deterministic"
    if not used:
        return Finding(*what, None, None, None, None, "", "not known", "No latent is used.")
    order = sorted(used, key=lambda h: float(signal[0][h]))
    least, most = order[0], order[-1]
    value, spread = float(signal[0][least]), float(signal[1][least])
    if least == most:
        vary = f"The mean of latent {least} varies {value:.3g} times as much as its posteriors"
    else:
        vary = (
            f"Means of used latents vary {value:.3g} (latent {least}) to "
            f"{float(signal[0][most]):.3g} (latent {most}) times as much as their posteriors"
        )
    return Finding(
        *what,
        value,
        spread,
        None,
        None,
        "signal/noise",
        "met" if value > NOISELESS else "missed",
        f"{vary}; the paper takes the noise as 0.",
    )


def _prior(exact: Marginals, known: Distance) -> list[Finding]:
    """Return how far q(z) is from the prior, in its marginals and jointly, and from independence."""
    total, parts, dependence = known.total, known.marginals, known.dependence
    return [
        Finding(
            "section 4",
            "q(z) = p(z)",
            None,
            None,
            *_ends(total),
            "nats",
            _verdict(total),
            f"KL(q(z) || p) is {between(total)} nats, of which the marginals have {between(parts)}.",
        ),
        Finding(
            "section 4",
            "marginals of q(z) are those of the prior",
            exact.total_kl_prior,
            float(exact.standard_errors["total_kl_prior"]),
            *_ends(parts),
            "nats",
            _verdict(parts),
            "",
        ),
        Finding(
            "section 4",
            "q(z) is factorised",
            None,
            None,
            *_ends(dependence),
            "nats",
            _verdict(dependence),
            f"Its total correlation is {between(dependence)} nats.",
        ),
    ]


def _ends(bracket: Bracket) -> tuple[float, float | None]:
    return bracket.low, None if math.isinf(bracket.high) else bracket.high


def _verdict(bracket: Bracket) -> str:
    if bracket.high < SETTLED:
        return "met"
    return "missed" if bracket.low > SETTLED else "not known"


def _first(
    used: Sequence[int],
    d: int,
    dimensions: dict[str, IntrinsicDimension],
    kinds: Sequence[str],
    participation: float,
) -> Finding:
    """Return the used latents beside the intrinsic dimension."""
    what = "Theorem 1", "used latents = intrinsic dimension"
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in VARIABLES)
    text = (
        f"{len(used)} of {d} latent{'s' * (d > 1)} {'is' if len(used) == 1 else 'are'} used "
        f"({counts}; participation ratio {participation:.1f})."
    )
    if not {"means", "control"} <= {*dimensions}:
        return Finding(*what, None, None, None, None, "", "not known", text)
    means, control = dimensions["means"], dimensions["control"]
    spread = math.hypot(*(each.standard_errors["two_nn"] for each in (means, control)))
    gap = control.two_nn - means.two_nn
    many = len(used) > 1
    whose = "their" if many else "its"
    text += (
        f" Near each row, {whose} means fill {_of(means)} dimensions "
        f"({with_error(means.two_nn_half, means.standard_errors['two_nn_half'], 1)} at half the rows)"
    )
    if "samples" in dimensions:
        text += f", {whose} samples {_of(dimensions['samples'])}"
    if "data" in dimensions:
        text += f", the data {_of(dimensions['data'])}"
    gaussians = f"{len(used)} independent Gaussians have" if many else "one Gaussian has"
    return Finding(
        *what,
        gap,
        spread,
        None,
        None,
        "dimensions apart",
        _apart(abs(gap), 2 * spread),
        f"{text}; {gaussians} {_of(control)} by the same estimate.",
    )


def _apart(gap: float, margin: float) -> str:
    """Return whether dimensions differ, or are the same."""
    if gap - margin > OTHER_DIMENSION:
        return "missed"
    return "met" if gap + margin < SAME_DIMENSION else "not known"


def _of(found: IntrinsicDimension) -> str:
    return with_error(found.two_nn, found.standard_errors["two_nn"], 1)


def _second(exact: Marginals, joint: Joint, known: Bracket) -> Finding:
    """Return by how much the sum of I(x; z_h) exceeds I(x; z), the total correlation."""
    total = with_error(exact.total_information, float(exact.standard_errors["total_information"]))
    value = None if joint.saturated else joint.total_correlation
    spread = None if joint.saturated else joint.standard_errors["total_correlation"]
    jointly = in_words(span(joint, "mutual_information"))
    return Finding(
        "Theorem 2",
        "I(x; z) = sum of I(x; z_h)",
        value,
        spread,
        *_ends(known),
        "nats",
        _verdict(known),
        f"The latents have {total} nats in sum, and {jointly} nats jointly: the sum counts "
        f"{between(known)} nats twice, which is the total correlation.",
    )


def _third(result: Indicators, joint: Joint) -> Finding:
    """Return the check of the decomposition, which has no assumptions."""
    spread = joint.standard_errors["residual"]
    good = abs(joint.residual) <= 5 * spread + 1e-6 * max(1.0, float(result.kl_posterior_prior))
    return Finding(
        "Theorem 3",
        "Definition 1 = I(x; z) + KL(q(z) || p)",
        joint.residual,
        spread,
        None,
        None,
        "nats apart",
        "holds" if good else "missed",
        f"Definition 1, {float(result.kl_posterior_prior):.3f} nats, less I(x; z), total correlation "
        f"and KL(q(z_h) || p) of these rows, each computed by itself, leaves "
        f"{with_error(joint.residual, spread)} nats.",
    )


def _corollaries(result: Indicators, exact: Marginals, dependence: Bracket) -> Finding:
    """Return by how much Definition 2 exceeds I(x; z)."""
    shape = exact.total_looseness
    known = Bracket(*(shape + end for end in dependence))
    gap = float(result.kl_posterior_prior) - float(result.mutual_information)
    return Finding(
        "Corollaries 1, 2",
        "Definition 2 is I(x; z)",
        None,
        None,
        *_ends(known),
        "nats",
        _verdict(known),
        f"Definition 2, {float(result.mutual_information):.3f} nats, is too high by {between(known)} "
        f"nats, of which the shape of marginals has {shape:.3f}. It is {gap:.3f} nats below "
        "Definition 1: so much of KL(q(z) || p) Definition 4 sees.",
    )


def _rotations(
    encodings: Encodings,
    used: Sequence[int],
    asked: bool | None,
    threshold: float,
    rng: np.random.Generator,
) -> tuple[Finding, float]:
    """Return which pairs of latents may be turned, and a lower bound of the total correlation."""
    what = "Theorems 4, 5", "all rotations are as good"
    if len(used) > 1 and (asked is False or (asked is None and len(used) > MOST_AXES)):
        why = "to save time" if asked is False else f"because they are more than {MOST_AXES}"
        text = f"Pairs of the {len(used)} used latents were not turned, {why}: {TURN_THEM}."
        return Finding(*what, None, None, None, None, "", "not known", text), 0.0
    found = rotation.axes(encodings, rng=rng, threshold=threshold)
    verdicts = [pair.verdict for pair in found.pairs]
    free = sum(v == "arbitrary" for v in verdicts)
    known = [v for v in verdicts if v not in ("undecided", "saturated")]
    verdict = "not known"
    if known:
        verdict = "met" if free == len(verdicts) else "missed" if free < len(known) else verdict
    value = float(free) if verdicts else None
    unit = f"of {len(verdicts)} pair{'s' * (len(verdicts) > 1)} arbitrary" if verdicts else ""
    least = max(found.total_gain - 2 * found.standard_error, 0.0) if found.turns else 0.0
    text = sentence_of_axes(found)
    return Finding(*what, value, None, None, None, unit, verdict, text), least
