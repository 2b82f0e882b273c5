"""The verdict that opens every report: what is used, how far the prior is, what to trust, what to do."""

import math
from collections.abc import Sequence

import numpy as np

from disentangle_indicators._array import Float, to_numpy
from disentangle_indicators._blocks import DOCS
from disentangle_indicators._brackets import NOTHING, Bracket, between, down, up
from disentangle_indicators._clusters import FEW_CLUSTERS
from disentangle_indicators._indicators_result import Indicators
from disentangle_indicators._means_result import MeansOnly
from disentangle_indicators.aggregate import Joint, Marginals
from disentangle_indicators.aggregate._joint_result import span
from disentangle_indicators.distance import Distance, distance, few_draws
from disentangle_indicators.states import (
    ACTIVE_UNIT,
    has_other_spread,
    information_about_mean,
    off_zero,
    used_exact,
    used_range,
)
from disentangle_indicators.thresholds import SETTLED

__all__ = ["verdict"]

LEAST = 1e-4
"""Least number of nats that a sentence has: shorter distances are within it."""

MANY = 8
"""Latents that are named one by one."""

LOOSE = 0.05
"""Nats by which Definition 3 may exceed I(x; z_h) before the latent is named."""

NEAR = 0.8
"""Standard deviation of q(z), or one over it, from which scaling the codes does little."""

APART = 0.05
"""Share of the distance by which the ends of its parts may miss it before the report says so."""

WIDE = 1.2
"""Average posterior variance above which posteriors are wider than the prior."""


def verdict(
    result: Indicators | MeansOnly, exact: Marginals | None = None, joint: Joint | None = None
) -> dict[str, str]:
    """Report in a few sentences what is used, how far the prior is, and what to trust.

    Parameters
    ----------
    result : Indicators or MeansOnly
    exact : Marginals, optional
        The aggregated posterior of each latent.
    joint : Joint, optional
        That of all latents.

    Returns
    -------
    dict of str to str
        At most two sentences each under USED, PRIOR and TRUST; under DO what to try, where
        something is wrong.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import indicators
    >>> collapsed = indicators(np.zeros((9, 2)), np.ones((9, 2)), covariance=True)
    >>> print(verdict(collapsed)["USED"])
    No latent is used: posterior collapse. The largest is at 0 nats in Definition 3.
    """
    if isinstance(result, MeansOnly):
        return _means_only(result)
    if result.n == 1:
        return {
            "USED": "One row cannot show which latents are used.",
            "PRIOR": "One row has no aggregated posterior to compare with the prior.",
            "TRUST": "No number here generalises: all are about the one row.",
        }
    known = distance(result, exact, joint)
    lines = {
        "USED": _used(result, exact),
        "PRIOR": _prior(result, known, exact),
        "TRUST": _trust(result, known, exact, joint),
        "DO": _do(result, known, exact),
    }
    return {key: text for key, text in lines.items() if text}


def _means_only(r: MeansOnly) -> dict[str, str]:
    latents = "latent is an active unit" if r.active_units == 1 else "latents are active units"
    return {
        "USED": f"{r.active_units} of {r.d} {latents}: Var(mean) is at least {ACTIVE_UNIT}. "
        "Whether they are used needs the posterior variances.",
        "PRIOR": "The distance of q(z) from the prior needs the posterior variances.",
        "TRUST": f"The variances of the means are averages over {r.n} rows. Definitions 1-7 need "
        "the posterior variances.",
    }


def _used(r: Indicators, exact: Marginals | None) -> str:
    information = information_about_mean(r.moments) if exact is None else exact.information
    found = used_exact(information, r.threshold)
    others = [(r.weak, "weak"), (r.offset, "offset"), (r.unused, "unused")]
    if len(found) < r.used:
        others.insert(0, (r.used - len(found), "above the threshold in Definition 3 only"))
    if not found:
        rest = ": posterior collapse" if r.unused == r.d else _rest(others)
        return f"No latent is used{rest}. {_largest(r, exact)}"
    near = sum(r.states[h] == "near-deterministic" for h in found)
    text = f"{_count(len(found), r.d, near)}: above {r.threshold:g} nats "
    text += "of information" if exact is not None else "in Definition 3, an upper bound"
    return f"{text}{_rest(others)}. {_range(information, r.threshold)}"


def _count(used: int, d: int, near: int) -> str:
    """Write how many latents are used, and how many of these are near-deterministic."""
    if used == near:
        kind = "used and near-deterministic"
    else:
        kind = f"used ({near} near-deterministic)" if near else "used"
    if used == 1:
        return f"1 of {d} latents is {kind}" if d > 1 else f"The latent is {kind}"
    return f"{used} of {d} latents are {kind}" if used < d else f"All {d} latents are {kind}"


def _rest(states: Sequence[tuple[int, str]]) -> str:
    """Write how many latents are in each state, after a semicolon."""
    words = [f"{k} {'is' if k == 1 else 'are'} {word}" for k, word in states if k]
    return f"; {', '.join(words)}" if words else ""


def _largest(r: Indicators, exact: Marginals | None) -> str:
    if exact is not None:
        top = int(np.argmax(exact.information))
        if exact.saturated[top]:
            least = down(float(exact.least_information[top]))
            return f"The most informative latent carries at least {least} nats."
        return f"The most informative latent carries {_nats(float(exact.information[top]))} nats."
    top_bound = float(r.mutual_information_per_latent.max())
    return f"The largest is at {_nats(top_bound)} nats in Definition 3."


def _range(information: Float, threshold: float) -> str:
    """Report the thresholds of the same count, rounded to their inside."""
    low, high = used_range(information, threshold)
    low, high = math.ceil(1000 * low - 1e-7) / 1000, math.floor(1000 * high + 1e-7) / 1000
    if high <= low:
        return "The count depends on the threshold: a latent is within 0.002 nats of it."
    where = f"below {high:.3f}" if low == 0 else f"from {low:.3f} to {high:.3f}"
    return f"The count is the same for any threshold {where}."


def _prior(r: Indicators, known: Distance, exact: Marginals | None) -> str:
    total = known.total
    if total.high <= SETTLED:
        why = ", because the encoder ignores its input" if r.unused == r.d else ""
        return f"q(z) is the prior, to within {up(max(total.high, LEAST))} nats{why}."
    if total.low < NOTHING and math.isinf(total.high):
        return (
            f"The distance of q(z) from the prior is not known: {r.draws} {r.drawn} are too few."
        )
    if total.low < NOTHING:
        text = f"q(z) is at most {up(total.high)} nats from the prior. "
        chance = r.by_chance("kl_aggregate_prior")
        by_chance = f": a perfect match shows {chance} in Definition 4" if chance else ""
        return f"{text}No distance is seen beyond chance{by_chance}."
    text = f"q(z) is {between(total)} nats from the prior"
    parts = [] if exact is None else [_single(exact, known)]
    tells = known.dependence.low >= NOTHING or known.dependence.high < total.high
    if tells and (exact is None or r.d > 1):
        parts.append(_dependence(known.dependence))
    if len(parts) > 1 and not _add_up(known):
        parts[-1] += " (each part is bounded apart)"
    text += f": {', '.join(parts)}." if parts else "."
    if exact is None:
        text += " Exact marginals, which were not computed, would narrow the range."
    return text


def _dependence(share: Bracket) -> str:
    """Report the share of dependence; where 0 is not excluded, as a possibility."""
    if share.low < NOTHING:
        return f"up to {up(share.high)} if latents depend on each other, which these rows cannot settle"
    return f"{between(share)} because latents depend on each other"


def _add_up(known: Distance) -> bool:
    """Whether the ends of the two parts add up to those of the distance, but for some percent.

    The upper end of single latents that are saturated is not printed, and not added.
    """
    sums = [sum(ends) for ends in zip(known.marginals, known.dependence, strict=True)]
    low, high = (
        abs(total - end) <= APART * end for total, end in zip(sums, known.total, strict=True)
    )
    return low and (high or known.marginals.high == known.total.high)


def _single(exact: Marginals, known: Distance) -> str:
    """Report the share of single latents; of saturated ones second moments show a lower end."""
    few = int(exact.saturated.sum())
    by = (
        " (by second moments)" if few == exact.d else f" (by second moments in {few} of {exact.d})"
    )
    by *= few > 0
    if known.marginals.low < NOTHING:
        return f"single latents show nothing beyond chance{by}"
    share = Bracket(known.marginals.low, math.inf) if few else known.marginals
    return f"{between(share)} because single latents are not N(0, 1){by}"


def _trust(r: Indicators, known: Distance, exact: Marginals | None, joint: Joint | None) -> str:
    averages = f"The only error of Definition 1 and S is that of sampling, {_errors(r, exact)}."
    if known.total.high <= SETTLED and r.mutual_information <= SETTLED:
        most = up(r.kl_posterior_prior)
        return f"{averages} No distance or information here is above {most} nats."
    few = 0 if exact is None else int(exact.saturated.sum())
    if few:
        whose = "" if r.n_clusters is None else " of different clusters"
        latents = "one latent" if few == 1 else f"{few} latents"
        more = f"more {r.drawn} would show more information"
        if joint is not None and math.isfinite(_carried(joint).high):
            more = f"I(x; z) is {between(_carried(joint))} nats"
        return f"{averages} In {latents} fewer than ten posteriors{whose} overlap: {more}."
    if few_draws(r):
        return f"{averages} {r.draws} {r.drawn} are few for {r.d - r.unused} latents: do not trust covariances."
    return f"{averages} {_information(r, exact, joint)}"


def _errors(r: Indicators, exact: Marginals | None) -> str:
    """Report where the errors of plain averages are printed, or what is wrong with them."""
    if exact is not None and exact.draws < r.draws:
        return "but copies of rows make ± too small"
    if r.draws < FEW_CLUSTERS:
        return f"but {r.draws} {r.drawn} are too few to estimate ±"
    if r.heavy_tailed:
        named = ", ".join(map(str, r.heavy_tailed[:MANY])) + ", ..." * (len(r.heavy_tailed) > MANY)
        latents = "latent" if len(r.heavy_tailed) == 1 else "latents"
        return f"but heavy tails make ± of {latents} {named} too small"
    return "±"


def _information(r: Indicators, exact: Marginals | None, joint: Joint | None) -> str:
    """Report by how much the bounds of the information exceed what is carried, where known."""
    limit = math.log(r.n)
    looser = f"Definition 2 may be looser: {r.n} rows show at most log n = {limit:.1f} nats"
    if joint is not None:
        carried = between(_carried(joint))
        looser = f"Definition 2 is {r.mutual_information:.2f}, and I(x; z) is {carried}"
    elif r.mutual_information <= limit:
        looser = ""
    if exact is None:
        each = "Definitions 2 and 3 are upper bounds of the information"
        return f"{each}; {looser}." if looser else f"{each}."
    offset = r.mutual_information_per_latent - information_about_mean(r.moments)
    looseness = exact.looseness - exact.shortfall - offset
    worst, most = int(np.argmax(looseness)), float(exact.looseness.max())
    each = f"Definition 3 is too high by at most {up(most)} nats in any latent"
    if looseness[worst] > LOOSE:
        each = (
            f"Definition 3 is too high: latent {worst} shows "
            f"{r.mutual_information_per_latent[worst]:.3f} nats and carries "
            f"{exact.information[worst]:.3f}"
        )
    elif most <= exact.shortfall[int(np.argmax(exact.looseness))]:
        each = (
            f"Few {r.drawn} make I(x; z_h) too low: the value of all data lies between I(x; z_h) "
            f"and Definition 3, at most {up(most)} nats apart"
        )
    return f"{each}; {looser}." if looser else f"{each}."


def _carried(joint: Joint) -> Bracket:
    """Return the range of I(x; z) of the population."""
    low, high = span(joint, "mutual_information")
    return Bracket(low or 0.0, math.inf if high is None else high)


def _do(r: Indicators, known: Distance, exact: Marginals | None) -> str:
    """Report what to try where something is wrong, and the section of the page on it."""
    variance = to_numpy(r.moments.variance)
    spread = math.sqrt(float(variance.mean()))
    least, average = float(r.posterior_variance.min()), float(r.posterior_variance.mean())
    if least > 0.999 and average > WIDE:
        return _see(
            "No posterior is narrower than the prior: check the scale and the order of the arrays",
            "Posteriors are wider than the prior",
        )
    if not r.used + r.offset:
        return _see("Lower β, warm it up, or use free bits", "My VAE has collapsed")
    shifted = off_zero(r.moments)
    if r.offset > r.used:
        return _see(_centre(shifted), "The mean of a latent is off zero")
    far = known.total.low > r.d or has_other_spread(variance)
    if 2 * r.near_deterministic >= r.used:
        advice = "Raise β if you sample from the prior"
        if far:
            advice = (
                "Usual for a KL weight far below 1: raise β to sample from the prior, or scale "
            )
            advice += f"the codes by {1 / spread:.4g} for latent diffusion"
        return _see(advice, "My VAE is a plain autoencoder")
    if far and float(np.sum(r.mean**2)) < known.total.low:
        return _see(
            "First check the prior, the scale, and that no arrays are swapped. "
            f"Then {_nearer(known, spread)}",
            "q(z) is far from its prior",
        )
    if few_draws(r):
        return _see(f"{_more(r)}", "Too few rows")
    if shifted:
        return _see(_centre(shifted), "The mean of a latent is off zero")
    if exact is not None and exact.saturated.any():
        few = int(exact.saturated.sum())
        which = "1 latent is" if few == 1 else f"{few} latents are"
        return _see(f"{_more(r)}: {which} saturated", "Too few rows")
    if r.used == r.d > 1:
        return _see("Train a wider model: every latent is used", "Every latent is used")
    return ""


def _more(r: Indicators) -> str:
    return "Encode more rows" if r.n_clusters is None else "Use more clusters"


def _centre(latents: Sequence[int]) -> str:
    """Report which means are off zero, and what to do about them."""
    named = ", ".join(map(str, latents[:MANY])) + ", ..." * (len(latents) > MANY)
    whose = (
        f"The mean of latent {named} is"
        if len(latents) == 1
        else f"The means of latents {named} are"
    )
    return f"{whose} off zero: train longer, or give the prior's own with prior_mean="


def _nearer(known: Distance, spread: float) -> str:
    """Report what brings q(z) nearer to the prior."""
    if known.dependence.low > known.marginals.high:
        return "train longer: most of the distance is dependence between latents"
    if NEAR < spread < 1 / NEAR:
        return "raise β or train longer"
    return f"raise β or train longer; scaling the codes by {1 / spread:.4g} needs no training"


def _see(advice: str, section: str) -> str:
    return f'{advice}. See "{section}" in {DOCS}what_now.md.'


def _nats(x: float) -> str:
    """Write a number of nats with three significant digits, of which four are decimals at most."""
    if abs(x) >= 1e6:
        return f"{x:.3g}"
    digits = 4 if abs(x) < 0.01 else 3 if abs(x) < 1 else 2 if abs(x) < 100 else 0
    return f"{x:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{x:.0f}"
