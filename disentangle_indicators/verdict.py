"""The verdict that opens every report: what is used, how far the prior is, what to trust."""

import math

import numpy as np

from disentangle_indicators._tables import with_error
from disentangle_indicators.evaluate import ACTIVE_UNIT, NEAR_DETERMINISTIC, Indicators
from disentangle_indicators.means import MeansOnly

__all__ = ["verdict"]

CONSTANT = "constant (the same mean, off zero, whatever x is)"


def verdict(result: Indicators | MeansOnly) -> dict[str, str]:
    """Say in three sentences what is used, how far the prior is, and what to trust.

    Parameters
    ----------
    result : Indicators or MeansOnly

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
    return {"USED": _used(result), "PRIOR": _prior(result), "TRUST": _trust(result)}


def _used(r: Indicators) -> str:
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
    text = f"{r.used} of {r.d} latents {verb} more than {r.threshold:g} nats ({holds})"
    rest = [
        f"{k} {word}"
        for k, word in ((r.weak, "weak"), (r.constant, CONSTANT), (r.unused, "unused"))
        if k
    ]
    if r.used == 0:
        text += ": posterior collapse"
    if rest and (r.used or r.constant):
        text += f"; {', '.join(rest)}"
    elif r.used == 0:
        pass
    elif r.d > 1:
        text += "; all are used, so the width may be the limit"
    if r.near_deterministic:
        text += (
            f"; {r.near_deterministic} near-deterministic (posterior variance below "
            f"{NEAR_DETERMINISTIC:g} of the aggregated one)"
        )
    return f"{text}."


def _prior(r: Indicators) -> str:
    error = r.standard_errors.get("kl_aggregate_prior")
    value = with_error(r.kl_aggregate_prior, error, 4)
    text = f"KL(q(z) || p) ≥ {value} nats by Definition 4, which sees second moments only"
    bound = r.upper_bounds.get("full-mean")
    if bound is not None:
        text += f"; ≥ {r.kl_posterior_prior - bound:.4f} with mean and correlation"
    text += f"; ≤ {r.kl_posterior_prior:.3f} (Definition 1)"
    chance = r.d / (2 * r.n)
    if r.kl_aggregate_prior < 2 * chance:
        text += f"; a perfect match would show up to {chance:.2g} at this n"
    return f"{text}; shape and further dependence are not known."


def _trust(r: Indicators) -> str:
    if r.n == 1:
        return "Nothing here can be trusted: every number is that of the one row."
    limit = math.log(r.n)
    over = int(np.sum(r.mutual_information_per_latent > limit))
    text = (
        "Definition 1 and S are plain averages, good within their errors; Definitions 2 and 3 "
        "are upper bounds of the information"
    )
    if r.n <= 2 * r.d:
        text += f", and {r.n} rows are few for {r.d} latents: covariances are not to be trusted"
    if over:
        text += (
            f", and {over} of the latents would carry more than log n = {limit:.2f} nats, which "
            "these rows cannot show"
        )
    elif r.mutual_information > limit:
        text += (
            f", and Definition 2 is beyond log n = {limit:.2f} nats, the most that these rows "
            "can show: compare models by it, do not read it as I(x; z)"
        )
    return f"{text}."
