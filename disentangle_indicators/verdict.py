"""The verdict that opens every report: what is used, how far the prior is, what to trust."""

import math

import numpy as np

from disentangle_indicators._blocks import with_error
from disentangle_indicators._indicators_result import ROWS_STILL, Indicators
from disentangle_indicators._means_result import MeansOnly
from disentangle_indicators.aggregate import Joint, Marginals
from disentangle_indicators.aggregate._joint_result import in_words, overlap, span
from disentangle_indicators.states import (
    ACTIVE_UNIT,
    NEAR_DETERMINISTIC,
    information_about_mean,
    is_saturated,
    used_exact,
)

__all__ = ["verdict"]

FEW = 10
"""Rows per latent below which covariances are not to be trusted."""

OFFSET = "offset (above it only because the mean is off zero)"


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
    0 of 2 latents carry more than 0.5 nats (so it is for any threshold): posterior collapse.
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
    low, high = r.used_range
    low = math.ceil(1000 * low - 1e-7) / 1000
    high = high if math.isinf(high) else math.floor(1000 * high + 1e-7) / 1000
    span = f"from {low:.3f} to {high:.3f}"
    if low == 0:
        span = f"below {high:.3f}"
    if math.isinf(high):
        span = f"from {low:.3f} on"
    holds = f"so it is for any threshold {span}"
    if math.isinf(high) and low == 0:
        holds = "so it is for any threshold"
    verb = "carries" if r.used == 1 else "carry"
    latents = "latent" if r.d == 1 else "latents"
    text = f"{r.used} of {r.d} {latents} {verb} more than {r.threshold:g} nats ({holds})"
    if exact is not None and (count := len(used_exact(exact.information, r.threshold))) != r.used:
        verb = "is" if r.used == 1 else "are"
        text = (
            f"{r.used} of {r.d} {latents} {verb} above {r.threshold:g} nats in Definition 3 "
            f"({holds}), {count} in the exact I(x; z_h)"
        )
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


def _prior(r: Indicators, exact: Marginals | None, joint: Joint | None) -> str:
    if r.n == 1:
        return "One row has no aggregated posterior to compare with the prior."
    error = r.standard_errors.get("kl_aggregate_prior")
    fourth = with_error(r.kl_aggregate_prior, error, 4)
    chance, by_chance = r.chance.get("kl_aggregate_prior", 0.0), ""
    if r.kl_aggregate_prior < 2 * chance:
        by_chance = f" (a perfect match shows about {chance:.2g} at this n)"
    rate = f"≤ {r.kl_posterior_prior:.3f}, Definition 1, as if the code held no information"
    if exact is None:
        text = f"KL(q(z) || p) ≥ {fourth} nats by Definition 4, which sees second moments only"
        text += f"{by_chance}{_with_correlation(r)}; {rate}; shape and further dependence are not "
        text += "known"
    else:
        alone = f"{_exact_prior(exact)}; Definition 4, which sees second moments only, says "
        alone += f"{fourth}{by_chance}"
        if joint is not None:
            text = f"{_joint_prior(joint)}; {alone}"
        else:
            likely = exact.total_kl_prior > 2 * exact.total_shortfall
            text = "KL(q(z) || p) ≥ " if likely else "The marginals alone do not tell: "
            text += f"{alone}{_with_correlation(r, exact)}; {rate}; how dependent the latents are "
            text += "is not known (--joint)"
    if r.kl_aggregate_prior > r.d or np.all(r.posterior_variance > 1.5):
        text += (
            ". This far is usual for another prior, swapped arrays or a wrong scale, and not for "
            "a trained model"
        )
    return f"{text}."


def _exact_prior(exact: Marginals) -> str:
    value = with_error(exact.total_kl_prior, exact.standard_errors["total_kl_prior"])
    text = f"{value} nats in the marginals of these rows"
    if exact.total_shortfall > 0.1 * exact.total_kl_prior:
        text += f", of which chance makes about {exact.total_shortfall:.2g}"
    return text


def _joint_prior(joint: Joint) -> str:
    if not joint.saturated:
        error = joint.standard_errors["kl_aggregate_prior"]
        value = with_error(joint.kl_aggregate_prior, error)
        return f"KL(q(z) || p) = {value} nats for these rows, by Monte Carlo"
    return f"KL(q(z) || p) of the population is {_in(joint, 'kl_aggregate_prior')} nats"


def _with_correlation(r: Indicators, exact: Marginals | None = None) -> str:
    """Give the bound that counts mean and correlation, less what chance adds to it."""
    value, chance = r.kl_aggregate_prior_full_mean, r.chance.get("kl_aggregate_prior_full_mean")
    if value is None or chance is None or r.n < FEW * r.d:
        return ""
    error = r.standard_errors.get("kl_aggregate_prior_full_mean", 0.0)
    known = r.kl_aggregate_prior if exact is None else exact.total_kl_prior
    if value - chance - 2 * error <= known:
        return ""
    return f"; ≥ {with_error(value - chance, error, 4)} with mean and correlation"


def _trust(r: Indicators, exact: Marginals | None, joint: Joint | None) -> str:
    draws = r.n if r.n_clusters is None else r.n_clusters
    if r.n == 1:
        return "Nothing here can be trusted: every number is that of the one row."
    good = "good within their errors"
    if draws < 30:
        good = f"but of {draws} draws the errors themselves are guesses"
    clauses = [f"Definition 1 and S are plain averages, {good}", _looseness(r, exact)]
    if r.n < FEW * r.d:
        clauses.append(f"{r.n} rows are few for {r.d} latents: do not trust covariances")
    offset = r.mutual_information - r.upper_bounds.get("factorised-mean", r.mutual_information)
    if offset > 0.05 and offset > 0.05 * r.mutual_information:
        clauses.append(f"{offset:.2f} nats of Definition 2 are the offset of the means from zero")
    limit = math.log(r.n)
    over = int(np.sum(r.mutual_information_per_latent > limit))
    few = 0 if exact is None else int(np.sum(is_saturated(exact.information, r.n)))
    if few:
        one = "one latent" if few == 1 else f"{few} latents"
        clauses.append(
            f"in {one} fewer than ten posteriors overlap, so that I(x; z_h) would be higher with "
            f"more rows than these, which show at most log n = {limit:.2f} nats"
        )
    elif over:
        clauses.append(
            f"{over} of the latents would carry more than log n = {limit:.2f} nats, which these "
            "rows cannot show"
        )
    if r.n_clusters is not None:
        clauses.append(ROWS_STILL)
    if joint is not None:
        clauses.append(_joint_information(joint))
    elif r.mutual_information > limit and not over:
        clauses.append(
            f"Definition 2 is beyond log n = {limit:.2f} nats, the most that these rows can show: "
            "compare models by it, do not read it as I(x; z)"
        )
    return "; ".join(clauses) + "."


def _looseness(r: Indicators, exact: Marginals | None) -> str:
    """Say by how much Definition 3 exceeds what is carried, where that is known.

    Left aside is what the offset of a mean and the number of rows do to it.
    """
    bounds = "Definitions 2 and 3 are upper bounds of the information"
    if exact is None:
        return bounds
    offset = r.mutual_information_per_latent - information_about_mean(r.moments)
    shape = exact.looseness - exact.shortfall - offset
    worst = int(np.argmax(shape))
    third = float(r.mutual_information_per_latent[worst])
    if shape[worst] > LOOSE:
        return (
            f"{bounds}: latent {worst} shows {third:.3f} in Definition 3 and carries "
            f"{exact.information[worst]:.3f}, and the shapes of all marginals make up "
            f"{np.sum(exact.looseness - offset):.3f} of Definition 2"
        )
    most = float(exact.looseness.max())
    return f"{bounds}, Definition 3 by at most {most:.3f} nats" if most >= 0.0005 else bounds


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
