"""The verdict that opens every report: what is used, how far the prior is, what to trust."""

import math

import numpy as np

from disentangle_indicators._array import to_numpy
from disentangle_indicators._blocks import with_error
from disentangle_indicators._clusters import FEW_CLUSTERS
from disentangle_indicators._indicators_result import Indicators
from disentangle_indicators._means_result import MeansOnly
from disentangle_indicators.aggregate import Joint, Marginals
from disentangle_indicators.aggregate._joint_result import in_words, overlap, span
from disentangle_indicators.states import (
    ACTIVE_UNIT,
    NEAR_DETERMINISTIC,
    information_about_mean,
    used_exact,
    used_range,
)

__all__ = ["verdict"]

FEW = 10
"""Draws per latent below which covariances are not to be trusted."""

OFFSET = "offset (above it only because the mean is off zero)"


ROUNDING = 1e-9
"""Nats of Definition 4 that are rounding."""

MANY = 8
"""Latents that are named one by one."""

LOOSE = 0.05
"""Nats by which Definition 3 may exceed I(x; z_h) before the latent is named."""


def verdict(
    result: Indicators | MeansOnly, exact: Marginals | None = None, joint: Joint | None = None
) -> dict[str, str]:
    """Say in three sentences what is used, how far the prior is, and what to trust.

    Parameters
    ----------
    result : Indicators or MeansOnly
    exact : Marginals, optional
        What is known of the aggregated posterior of each latent.
    joint : Joint, optional
        What is known of that of all latents.

    Returns
    -------
    dict of str to str
        Sentences under USED, PRIOR and TRUST.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import indicators
    >>> print(verdict(indicators(np.zeros((9, 2)), np.ones((9, 2)), covariance=True))["USED"])
    0 of 2 latents are above 0.5 nats in Definition 3 about their mean (so it is for any threshold): posterior collapse.
    """
    if isinstance(result, MeansOnly):
        return {
            "USED": f"{result.active_units} of {result.d} latents are active units "
            f"(Var(mean) ≥ {ACTIVE_UNIT}); whether they are used needs the posterior variances.",
            "PRIOR": "The distance of the aggregated posterior from the prior is not known: it "
            "needs the posterior variances.",
            "TRUST": "The variances of the means are plain averages over "
            f"{result.n} rows; Definitions 1-7 cannot be had from means only.",
        }
    return {
        "USED": _used(result, exact),
        "PRIOR": _prior(result, exact, joint),
        "TRUST": _trust(result, exact, joint),
    }


def _used(r: Indicators, exact: Marginals | None) -> str:
    if r.n == 1:
        return "One row cannot show which latents are used: information is in how rows differ."
    count, span = r.used, r.used_range
    if exact is not None:
        count = len(used_exact(exact.information, r.threshold))
        low, high = used_range(exact.information, r.threshold)
        span = (max(span[0], low), min(span[1], high)) if count == r.used else span
    holds = f"so it is for any threshold{_thresholds(*span)}"
    latents = "latent" if r.d == 1 else "latents"
    verb, whose = ("is", "its") if r.used == 1 else ("are", "their")
    text = f"{r.used} of {r.d} {latents} "
    if exact is not None and count == r.used:
        text += f"{'carries' if r.used == 1 else 'carry'} more than {r.threshold:g} nats ({holds})"
    else:
        text += f"{verb} above {r.threshold:g} nats in Definition 3 about {whose} mean ({holds})"
        text += "" if exact is None else f", {count} in the exact I(x; z_h)"
    counts = ((r.weak, "weak"), (r.offset, OFFSET), (r.unused, "unused"))
    rest = [f"{k} {word}" for k, word in counts if k]
    if r.unused == r.d:
        text += ": posterior collapse"
    elif rest:
        text += f"; {', '.join(rest)}"
    elif r.d > 1:
        text += "; all are used, so the width may be the limit"
    if r.near_deterministic:
        text += (
            f"; {r.near_deterministic} near-deterministic (posterior variance below "
            f"{NEAR_DETERMINISTIC:g} of the aggregated one)"
        )
    return f"{text}."


def _thresholds(low: float, high: float) -> str:
    """Write a range of thresholds, rounded to its inside; "" for all of them."""
    low = math.ceil(1000 * low - 1e-7) / 1000
    if math.isinf(high):
        return "" if low == 0 else f" from {low:.3f} on"
    high = math.floor(1000 * high + 1e-7) / 1000
    return f" below {high:.3f}" if low == 0 else f" from {low:.3f} to {high:.3f}"


def _prior(r: Indicators, exact: Marginals | None, joint: Joint | None) -> str:
    if r.n == 1:
        return "One row has no aggregated posterior to compare with the prior."
    text = _by_second_moments(r) if exact is None else _by_marginals(r, exact)
    if joint is not None:
        text = f"{_joint_prior(joint)}; {text}"
    else:
        unknown = "shape and further dependence are"
        if exact is not None:
            unknown = "how dependent the latents are is"
        text += (
            f"{_with_correlation(r, exact)}; ≤ {r.kl_posterior_prior:.3f}, Definition 1, as if the "
            f"code held no information; {unknown} not known{' (--joint)' * (exact is not None)}"
        )
    if r.kl_aggregate_prior > r.d or np.all(r.posterior_variance > 1.5):
        text += f". {_far(r)}"
    return f"{text}."


def _by_second_moments(r: Indicators) -> str:
    """Give Definition 4, as a lower bound if chance does not explain it."""
    fourth = with_error(r.kl_aggregate_prior, r.standard_errors.get("kl_aggregate_prior"), 4)
    if r.kl_aggregate_prior >= max(2 * r.chance.get("kl_aggregate_prior", 0.0), ROUNDING):
        return f"KL(q(z) || p) ≥ {fourth} nats by Definition 4, which sees second moments only"
    text = f"Second moments show no distance: Definition 4 is {fourth} nats"
    chance = r.by_chance("kl_aggregate_prior")
    return text if chance is None else f"{text}, and a perfect match shows {chance} by chance"


def _by_marginals(r: Indicators, exact: Marginals) -> str:
    """Give the sum over the marginals less chance, as a lower bound if it is clear of 0."""
    few = int(exact.saturated.sum())
    if few == r.d:
        return f"{_by_second_moments(r)}; the marginals are not known, because {_overlap(r, few)}"
    low, error = exact.total_kl_prior_low, exact.standard_errors["total_kl_prior_low"]
    short = float(exact.shortfall[~exact.saturated].sum())
    if low > 2 * error:
        text = f"KL(q(z) || p) ≥ {with_error(low, error)} nats in the marginals"
        if short > 0.1 * low:
            text += f", less {short:.2g} that chance makes"
        if few:
            text += f", with Definition 4 for {few} of them, because {_overlap(r, few)}"
    else:
        text = "The marginals alone do not tell: "
        value = with_error(exact.total_kl_prior, exact.standard_errors["total_kl_prior"])
        text += f"{value} nats in those of these rows, of which chance makes about {short:.2g}"
        if few:
            text = f"The marginals alone do not tell, because {_overlap(r, few)}"
    fourth = with_error(r.kl_aggregate_prior, r.standard_errors.get("kl_aggregate_prior"), 4)
    text += f"; Definition 4, which sees second moments only, says {fourth}"
    if r.kl_aggregate_prior < 2 * r.chance.get("kl_aggregate_prior", 0.0):
        text += f" (a perfect match shows {r.by_chance('kl_aggregate_prior')})"
    return text


def _overlap(r: Indicators, latents: int) -> str:
    """Name how many latents are saturated, and what that means."""
    where = "one latent" if latents == 1 else f"{latents} latents"
    whose = "" if r.n_clusters is None else " of different clusters"
    return f"in {where} fewer than ten posteriors{whose} overlap"


def _far(r: Indicators) -> str:
    """Say what a large distance comes from, and how far the codes spread."""
    variance = to_numpy(r.moments.variance)
    spread, whole = np.sqrt(variance), math.sqrt(float(np.mean(variance)))
    each = ", ".join(f"{sd:.3g}" for sd in spread)
    if r.d > MANY:
        each = f"{spread.min():.3g} to {spread.max():.3g}"
    latents = "of the latent is" if r.d == 1 else "of the latents are"
    return (
        "This far is usual for another prior, swapped arrays, a wrong scale, or a model trained "
        "with a very small weight on the KL term; the standard deviation"
        f"{'s' * (r.d > 1)} {latents} {each} (a factor of {1 / whole:.4g} scales to 1)"
    )


def _joint_prior(joint: Joint) -> str:
    if not joint.saturated:
        error = joint.standard_errors["kl_aggregate_prior"]
        value = with_error(joint.kl_aggregate_prior, error)
        return f"KL(q(z) || p) = {value} nats for these rows, by Monte Carlo"
    return f"KL(q(z) || p) of the population is {_in(joint, 'kl_aggregate_prior')} nats"


def _with_correlation(r: Indicators, exact: Marginals | None = None) -> str:
    """Give the bound that counts mean and correlation, less what chance adds to it."""
    value, chance = r.kl_aggregate_prior_full_mean, r.chance.get("kl_aggregate_prior_full_mean")
    if value is None or chance is None or _few(r):
        return ""
    error = r.standard_errors.get("kl_aggregate_prior_full_mean", 0.0)
    known = r.kl_aggregate_prior if exact is None else exact.total_kl_prior_low
    if value - chance - 2 * error <= known:
        return ""
    return f"; ≥ {with_error(value - chance, error, 4)} with mean and correlation"


def _few(r: Indicators) -> bool:
    """Whether draws are few for the latents that are not unused."""
    return bool(r.draws < FEW * (r.d - r.unused))


def _trust(r: Indicators, exact: Marginals | None, joint: Joint | None) -> str:
    if r.n == 1:
        return "Nothing here can be trusted: every number is that of the one row."
    clauses = [f"Definition 1 and S are plain averages, {_errors(r, exact)}", _looseness(r, exact)]
    if _few(r):
        number = f"{r.d - r.unused} latents" if r.unused else f"{r.d} latents"
        clauses.append(f"{r.draws} {r.drawn} are few for {number}: do not trust covariances")
    offset = r.mutual_information - r.upper_bounds.get("factorised-mean", r.mutual_information)
    if offset > 0.05 and offset > 0.05 * r.mutual_information:
        clauses.append(f"{offset:.2f} nats of Definition 2 are the offset of the means from zero")
    limit = math.log(r.n)
    over = int(np.sum(r.mutual_information_per_latent > limit))
    few = 0 if exact is None else int(exact.saturated.sum())
    if few:
        clauses.append(
            f"{_overlap(r, few)}, so that I(x; z_h) would be higher with more {r.drawn}; of these "
            f"rows it is at most log n = {limit:.2f} nats"
        )
    elif over:
        verb = "is" if over == 1 else "are"
        clauses.append(
            f"{over} of the latents {verb} above log n = {limit:.2f} nats in Definition 3, more "
            "than these rows can show"
        )
    if joint is not None:
        clauses.append(_joint_information(joint))
    elif r.mutual_information > limit and not over and not few:
        clauses.append(
            f"log n = {limit:.2f} nats is the most that I(x; z) of these rows can be; Definition 2 "
            "stays an upper bound, and n rows cannot show how loose"
        )
    text = "; ".join(clauses) + "."
    copies = exact is not None and exact.draws != r.draws
    return f"{text} {exact.dependence}" if exact is not None and copies else text


def _errors(r: Indicators, exact: Marginals | None) -> str:
    """Say how good the errors of plain averages are."""
    faults = []
    if exact is not None and exact.draws < r.draws:
        faults.append("copies of rows make their errors too small")
    if r.draws < FEW_CLUSTERS:
        faults.append(f"of {r.draws} {r.drawn} the errors themselves are guesses")
    if r.heavy_tailed:
        named = ", ".join(map(str, r.heavy_tailed[:MANY])) + ", ..." * (len(r.heavy_tailed) > MANY)
        latents = f"latent {named} has" if len(r.heavy_tailed) == 1 else f"latents {named} have"
        faults.append(f"{latents} heavy tails, so that the errors are too small")
    return f"but {' and '.join(faults)}" if faults else "good within their errors"


def _looseness(r: Indicators, exact: Marginals | None) -> str:
    """Say by how much Definition 3 exceeds what is carried, where that is known.

    Left aside is what the offset of a mean and the number of rows do to it.
    """
    bounds = "Definitions 2 and 3 are upper bounds of the information"
    if exact is None or exact.saturated.all():
        return bounds
    offset = r.mutual_information_per_latent - information_about_mean(r.moments)
    shape = exact.looseness - exact.shortfall - offset
    worst = int(np.argmax(shape))
    third = float(r.mutual_information_per_latent[worst])
    if shape[worst] > LOOSE:
        whose = "other" if exact.saturated.any() else "all"
        return (
            f"{bounds}: latent {worst} shows {third:.3f} in Definition 3 and carries "
            f"{exact.information[worst]:.3f}, and the shapes of {whose} marginals make up "
            f"{np.sum(shape[~exact.saturated]):.3f} of Definition 2"
        )
    most = float(exact.looseness[~exact.saturated].max())
    if most < 0.0005 or exact.saturated.any():
        return bounds
    return f"{bounds}, Definition 3 by at most {most:.3f} nats"


def _joint_information(joint: Joint) -> str:
    errors = joint.standard_errors
    if not joint.saturated:
        value = with_error(joint.mutual_information, errors["mutual_information"])
        return f"I(x; z) of these rows is {value} nats, by Monte Carlo"
    text = f"I(x; z) is only known to be {_in(joint, 'mutual_information')} nats, because "
    text += overlap(joint)
    if joint.mutual_information_high is None:
        text += ", and because clusters forbid an upper end"
    return text


def _in(joint: Joint, name: str) -> str:
    ends = span(joint, name)
    return f"{'in ' * all(end is not None for end in ends)}{in_words(ends)}"
