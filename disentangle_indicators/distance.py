r"""What is known of the distance of the aggregated posterior from the prior, from all sections.

.. math:: D_{KL}(q(z) \| p) = \sum_h D_{KL}(q(z_h) \| p) + TC(q(z)),

and every section bounds one of the three. Definitions 1 and 4 bound the distance, as does the
Gaussian with all covariances; the exact marginals give the sum; the joint bounds all of them. Since
Definition 1 is the distance plus I(x; z), and no latent carries more than all of them together,

.. math:: D_{KL}(q(z) \| p) \le \text{Definition 1} - \max_h I(x; z_h).
"""

import math
from dataclasses import dataclass, replace

from disentangle_indicators._brackets import Bracket
from disentangle_indicators._indicators_result import Indicators
from disentangle_indicators._result import plain
from disentangle_indicators.aggregate import Joint, Marginals
from disentangle_indicators.aggregate._joint_result import span

__all__ = [
    "FEW",
    "Distance",
    "distance",
    "few_draws",
    "narrowed",
]

FEW = 10
"""Draws per latent below which covariances are not to be trusted."""

SHORTFALL = 0.15
"""Share by which the shortfall of many latents together may be too low."""

SECOND_ORDER = 6.0
"""What samples of 8 to 300 draws add to the sum of KL(q(z_h) || p), per latent, times draws^2."""


@dataclass(frozen=True)
class Distance:
    """The distance from the prior and its two parts; nats, two standard errors included.

    Parameters
    ----------
    total : Bracket
        KL(q(z) || p).
    marginals : Bracket
        Sum of KL(q(z_h) || p).
    dependence : Bracket
        Total correlation of q(z).
    """

    total: Bracket
    marginals: Bracket
    dependence: Bracket

    def to_dict(self) -> dict[str, dict[str, float | None]]:
        """Return plain Python values; an end that is not known is null."""
        return {
            name: {end: plain(value) for end, value in getattr(self, name)._asdict().items()}
            for name in ("total", "marginals", "dependence")
        }


def distance(
    r: Indicators,
    exact: Marginals | None = None,
    joint: Joint | None = None,
    *,
    least_dependence: float = 0.0,
) -> Distance:
    """Return what the sections know together of the distance from the prior.

    Parameters
    ----------
    r : Indicators
    exact : Marginals, optional
    joint : Joint, optional
    least_dependence : float
        What rotations remove of the total correlation, less two standard errors, in nats.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import indicators
    >>> known = distance(indicators(np.zeros((900, 2)), np.full((900, 2), 0.5)))
    >>> [round(end, 3) for end in known.total]
    [0.193, 0.193]
    """
    if r.n == 1:
        nothing = Bracket(0.0, math.inf)
        return Distance(nothing, nothing, nothing)
    low, high = [_less_chance(r, "kl_aggregate_prior"), least_dependence], [_rate(r)]
    if r.kl_aggregate_prior_full_mean is not None and not few_draws(r):
        low.append(_less_chance(r, "kl_aggregate_prior_full_mean"))
    marginals, dependence = Bracket(0.0, math.inf), Bracket(0.0, math.inf)
    if exact is not None:
        high.append(_rate(r) - float(exact.least_information.max()))
        marginals = _of_marginals(exact)
        low.append(marginals.low)
    if joint is not None:
        ends = span(joint, "kl_aggregate_prior")
        low += [end for end in ends[:1] if end is not None]
        high += [end for end in ends[1:] if end is not None]
        ends = span(joint, "total_correlation")
        dependence = Bracket(ends[0] or 0.0, math.inf if ends[1] is None else ends[1])
    top = max(min(high), 0.0)
    total = Bracket(min(max(0.0, *low), top), top)
    if r.d == 1:  # one latent is its own marginal, and depends on no other
        total = Bracket(total.low, max(total.low, min(top, marginals.high)))
        return Distance(total, total, Bracket(0.0, 0.0))
    most = min(dependence.high, top - marginals.low)
    return Distance(
        total,
        Bracket(marginals.low, min(marginals.high, top)),
        Bracket(
            max(dependence.low, total.low - marginals.high, min(least_dependence, most), 0.0),
            most,
        ),
    )


def narrowed(joint: Joint, known: Distance) -> Joint:
    """Return the joint with the ranges that all sections know together.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import indicators
    >>> from disentangle_indicators.aggregate import joint
    >>> mean, var = np.random.default_rng(0).normal(size=(200, 3)), np.full((200, 3), 0.1)
    >>> alone = joint(mean, var)
    >>> known = distance(indicators(mean, var), alone.marginals, alone)
    >>> narrowed(alone, known).ranges["total_correlation"] == known.dependence.ends
    True
    """
    ranges = {
        "total_correlation": known.dependence.ends,
        "kl_aggregate_prior": known.total.ends,
    }
    return replace(joint, narrowed=ranges, vacuous=joint.d > 1 and not known.dependence.low)


def few_draws(r: Indicators) -> bool:
    """Whether draws are few for the latents that are not unused."""
    return bool(r.draws < FEW * (r.d - r.unused))


def _less_chance(r: Indicators, name: str) -> float:
    """Return a lower bound less what a perfect match shows, and less two standard errors."""
    chance = r.chance.get(name)
    if chance is None:
        return 0.0
    error = float(r.standard_errors.get(name, 0.0))
    return float(r.values[name]) - chance - 2 * error


def _rate(r: Indicators) -> float:
    """Return Definition 1 and two standard errors."""
    error = float(r.standard_errors.get("kl_posterior_prior", 0.0))
    return float(r.kl_posterior_prior) + 2 * error


def _of_marginals(exact: Marginals) -> Bracket:
    """Return the range of the sum over the marginals; no upper end where one is saturated.

    What few draws add to the sum is known to 15% and to first order in 1 / draws.
    """
    errors = exact.standard_errors
    unsure = SHORTFALL * float(exact.shortfall[~exact.saturated].sum())
    unsure += SECOND_ORDER * exact.d / exact.draws**2
    low = max(exact.total_kl_prior_low - unsure - 2 * errors["total_kl_prior_low"], 0.0)
    if exact.saturated.any():
        return Bracket(low, math.inf)
    return Bracket(low, exact.total_kl_prior + 2 * errors["total_kl_prior"])
