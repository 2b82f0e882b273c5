r"""The indicators by name: what each measures, how it is computed, and how its error is.

`INDICATORS` is read by the tables, the comparison, the standard errors, the JSON, the training
history and the study. A new indicator is one entry here, with its function, and a test.

The influence of a row on an indicator is, to first order, by how much the row moves it. For most of
them it is a sum over latents of

.. math:: a_h(S)\, u_h + b \log v_h, \qquad u = \mu^2 + v,

which `weights` gives; for the others `influence` computes it from :class:`Rows`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from disentangle_indicators import definitions as define
from disentangle_indicators._array import Array, Float
from disentangle_indicators.moments import Moments
from disentangle_indicators.q_star import QStar

__all__ = ["COUNTS", "DEFINITIONS", "INDICATORS", "Count", "Indicator", "Rows", "totals"]


class Rows(NamedTuple):
    """Sums over the latents of some rows (b,), each less its average over all rows.

    `second` is the sum of u, `log_var` that of log v, `apart` that of (x^2 + v) / C_hh and `full`
    is x' C^-1 x + tr(C^-1 diag(v)), with x the mean less the average mean and C the covariance of
    the aggregated posterior.
    """

    second: Float
    log_var: Float
    apart: Float
    full: Float


Weights = Callable[[Array], tuple[Array, float]]
"""From S (d,) to a (d,) and b."""


@dataclass(frozen=True)
class Indicator:
    """One indicator of an encoder.

    Parameters
    ----------
    name : str
        In Python, JSON and tables.
    title : str
        What it measures.
    label : str
        A short heading.
    reading : str
        How to read the number.
    misleads : str
        When the number misleads.
    function : callable
        ``function(moments, q_star)``.
    definition : int, optional
        Its number in the paper.
    unit : str
    low, high : float, optional
        Least and greatest value; None for no end.
    direction : {"", "lower bound", "upper bound"}
        Whether it bounds what it is read as.
    per_latent : bool
    covariance : bool
        Whether it needs the scatter matrix of the means.
    weights, influence : callable, optional
        One of them, where there is a standard error.
    error_of : str
        The indicator that has the same standard error.
    sum_of : str
        The indicator of latents that sums to it.
    by_chance : str
        How to write what a perfect match shows.
    compared : bool
        Whether it stands in comparisons.
    """

    name: str
    title: str
    label: str
    reading: str
    misleads: str
    function: Callable[[Moments, QStar], Any]
    definition: int | None = None
    unit: str = "nats"
    low: float | None = 0.0
    high: float | None = None
    direction: str = ""
    per_latent: bool = False
    covariance: bool = False
    weights: Weights | None = None
    influence: Callable[[Rows], Float] | None = None
    error_of: str = ""
    sum_of: str = ""
    by_chance: str = ""
    compared: bool = False

    @property
    def sign(self) -> str:
        """Return "≥" for a lower bound, "≤" for an upper bound, else ""."""
        return {"lower bound": "≥", "upper bound": "≤"}.get(self.direction, "")


def _rate(s: Array) -> tuple[Array, float]:
    return 0.5 + 0 * s, -0.5


def _information(s: Array) -> tuple[Array, float]:
    return 0.5 / s, -0.5


def _distance(s: Array) -> tuple[Array, float]:
    return 0.5 * (1 - 1 / s), 0.0


INDICATORS: dict[str, Indicator] = {
    indicator.name: indicator
    for indicator in (
        Indicator(
            name="kl_posterior_prior",
            title="average KL divergence of the posteriors to the prior",
            label="Def 1",
            reading="the rate; ≥ Definition 2",
            misleads="A large rate is no information: a latent with another mean or variance than "
            "the prior has a rate too.",
            function=define.kl_posterior_prior,
            definition=1,
            weights=_rate,
            sum_of="kl_posterior_prior_per_latent",
            compared=True,
        ),
        Indicator(
            name="mutual_information",
            title="average KL divergence of the posteriors to q*",
            label="Def 2",
            reading="upper bound of I(x; z)",
            misleads="It adds up latents, and counts twice what two latents share. It can exceed "
            "log n and the entropy of x.",
            function=define.mutual_information,
            definition=2,
            direction="upper bound",
            weights=_information,
            sum_of="mutual_information_per_latent",
            compared=True,
        ),
        Indicator(
            name="mutual_information_per_latent",
            title="average KL divergence of the posteriors of a latent to its q*",
            label="Def 3",
            reading="upper bound of I(x; z_h)",
            misleads="It is too high where q(z_h) is not a Gaussian of mean 0: several clusters, "
            "or a mean off zero.",
            function=define.mutual_information_per_latent,
            definition=3,
            direction="upper bound",
            per_latent=True,
            weights=_information,
        ),
        Indicator(
            name="kl_aggregate_prior",
            title="Definition 1 less Definition 2",
            label="Def 4",
            reading="KL(q(z) || p) seen by S",
            misleads="It sees only second moments. It is near 0 for latents of variance 1 that "
            "depend on each other or have clusters.",
            function=define.kl_aggregate_prior,
            definition=4,
            direction="lower bound",
            weights=_distance,
            sum_of="kl_aggregate_prior_per_latent",
            by_chance="by chance {}",
            compared=True,
        ),
        Indicator(
            name="kl_q_star_prior",
            title="KL divergence of q* to the prior",
            label="Def 5",
            reading="= Def 4 at the exact q*",
            misleads="A difference from Definition 4 is one of the solver, not of the encoder.",
            function=define.kl_q_star_prior,
            definition=5,
            error_of="kl_aggregate_prior",
            compared=True,
        ),
        Indicator(
            name="mutual_information_via_q_star",
            title="Definition 1 less Definition 5",
            label="Def 6",
            reading="= Def 2 at the exact q*",
            misleads="A difference from Definition 2 is one of the solver, not of the encoder.",
            function=define.mutual_information_via_q_star,
            definition=6,
            low=None,
            error_of="mutual_information",
        ),
        Indicator(
            name="mutual_information_per_latent_via_q_star",
            title="Definition 1 less Definition 5, of a latent",
            label="Def 7",
            reading="= Def 3 at the exact q*",
            misleads="A difference from Definition 3 is one of the solver, not of the encoder.",
            function=define.mutual_information_per_latent_via_q_star,
            definition=7,
            low=None,
            per_latent=True,
            error_of="mutual_information_per_latent",
        ),
        Indicator(
            name="kl_posterior_prior_per_latent",
            title="Definition 1 of a latent",
            label="Def 1",
            reading="the rate of the latent",
            misleads="It counts the distance of q(z_h) from the prior beside the information.",
            function=define.kl_posterior_prior_per_latent,
            per_latent=True,
            weights=_rate,
        ),
        Indicator(
            name="kl_aggregate_prior_per_latent",
            title="Definition 4 of a latent",
            label="Def 4",
            reading="KL(q(z_h) || p) seen by S",
            misleads="It sees only the second moment of the latent: clusters of variance 1 have 0.",
            function=define.kl_aggregate_prior_per_latent,
            direction="lower bound",
            per_latent=True,
            weights=_distance,
        ),
        Indicator(
            name="gaussian_total_correlation",
            title="total correlation of a Gaussian with the covariance of q(z)",
            label="Gauss. TC",
            reading="sees correlation only",
            misleads="0 does not mean independence. With few rows for many latents it is above 0 "
            "by chance.",
            function=define.gaussian_total_correlation,
            covariance=True,
            influence=lambda rows: 0.5 * (rows.apart - rows.full),
            by_chance="by chance {}",
            compared=True,
        ),
        Indicator(
            name="mutual_information_full_mean",
            title="average KL divergence of the posteriors to the Gaussian nearest to q(z)",
            label="full bound",
            reading="upper bound of I(x; z) that sees correlation",
            misleads="With few rows for many latents it is too low, by about the number in the "
            "table.",
            function=define.mutual_information_full_mean,
            direction="upper bound",
            covariance=True,
            influence=lambda rows: 0.5 * (rows.full - rows.log_var),
            by_chance="low by {}",
        ),
        Indicator(
            name="kl_aggregate_prior_full_mean",
            title="Definition 1 less the full-covariance bound",
            label="full distance",
            reading="KL(q(z) || p) seen by mean and covariance",
            misleads="With few rows for many latents it is above 0 by chance. It does not see the "
            "shape of q(z).",
            function=define.kl_aggregate_prior_full_mean,
            direction="lower bound",
            covariance=True,
            influence=lambda rows: 0.5 * (rows.second - rows.full),
            by_chance="by chance {}",
        ),
    )
}
"""Every indicator by its name, in the order in which tables show them."""


DEFINITIONS = {
    name: (indicator.definition, indicator.function)
    for name, indicator in INDICATORS.items()
    if indicator.definition is not None
}
"""Name, number in the paper, and function of Definitions 1-7."""


class Count(NamedTuple):
    """A count of latents: its heading in comparisons, "" for none, what is counted, when it misleads."""

    label: str
    title: str
    misleads: str


COUNTS: dict[str, Count] = {
    "used": Count(
        "used",
        "latents above the threshold about their own mean",
        "It depends on the threshold; the verdict has the range of thresholds with the same count.",
    ),
    "near_deterministic": Count(
        "",
        "used latents whose posterior variance is below 1e-6 of the aggregated one",
        "Their information is limited by the number of rows, not by the encoder.",
    ),
    "weak": Count(
        "weak",
        "latents between 0.01 nats and the threshold",
        "Many weak latents together can carry much.",
    ),
    "offset": Count(
        "",
        "latents above the threshold only because their mean is off zero",
        "Definition 3 takes the offset for information.",
    ),
    "unused": Count(
        "unused",
        "latents below 0.01 nats",
        "An unused latent says nothing about x, but its mean may still be read by a metric.",
    ),
    "active_units": Count(
        "active",
        "latents whose mean has a variance of at least 0.01",
        "It depends on the scale of the codes, and not on their noise.",
    ),
    "normal_variance": Count(
        "", "latents with |S - 1| of at most 0.1", "Unused latents have S = 1 too."
    ),
}
"""Counts of latents by name."""


def totals(moments: Moments) -> list[Indicator]:
    """Return the indicators of all latents together that have an influence, for these moments."""
    return [
        indicator
        for indicator in INDICATORS.values()
        if not indicator.per_latent
        and (indicator.weights is not None or indicator.influence is not None)
        and (moments.scatter is not None or not indicator.covariance)
    ]
