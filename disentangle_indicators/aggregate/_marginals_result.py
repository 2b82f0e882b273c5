"""The exact marginals of the aggregated posterior as a result, with their table."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators._blocks import Block, Table, power_of_ten, with_error
from disentangle_indicators._clusters import INDEPENDENT
from disentangle_indicators._result import Result

__all__ = ["BOUND", "ERROR", "Marginals"]

ERROR = "±: how far the value of all data may be, because these rows are a sample"
"""What errors about the population are, in notes of tables."""

BOUND = "≥: lower bound, two standard errors down, where fewer than ten posteriors overlap"
"""What tables print for a saturated value."""


@dataclass(frozen=True, eq=False, repr=False)
class Marginals(Result):
    """Exact marginals of the aggregated posterior of n rows, in nats; arrays (d,).

    Parameters
    ----------
    n, d, draws : int
        Rows, latents, and independent draws: clusters and distinct rows.
    dependence : str
        One sentence on rows that depend on each other.
    total_information : float
        Sum of I(x; z_h) over latents: an upper bound of I(x; z), which lies below it by the total
        correlation.
    total_kl_prior : float
        Sum of KL(q(z_h) || p) of these rows.
    total_looseness : float
        Sum of J_h: the part of Definition 2 that is neither information nor dependence.
    total_shortfall : float
        Sum of `shortfall`.
    total_kl_prior_low : float
        Lower bound of KL(q(z) || p) of the population, at least 0: the sum of KL(q(z_h) || p) less
        the shortfall, with Definition 4 less chance in its place where a latent is saturated.
    quadrature_error : float
        Greatest error of the quadrature, of any latent.
    entropy : array
        Differential entropy of q(z_h).
    information : array
        I(x; z_h) of the empirical mixture, from 0 to log n.
    kl_prior : array
        KL(q(z_h) || p), at least 0.
    looseness : array
        J_h, Definition 3 less I(x; z_h), at least 0; 0 if and only if q(z_h) is a Gaussian with
        mean 0.
    shortfall : array
        By about as much, I(x; z_h) of the population is higher than that of the rows, and its
        KL(q(z_h) || p) and J_h are lower. Infinite, and null in JSON, where saturated.
    saturated : array of bool
        Whether fewer than ten posteriors overlap, of different clusters where there are some.
    quadrature_errors : array
        Error of the quadrature: two rules against each other, and the mass that is not covered; or
        two orders against each other, and at least 1e-7.
    standard_errors : dict of str to float or array
        Of sampling rows, or clusters, under the names of the fields.
    population_errors : dict of str to float or array
        About the values of the population: standard error and shortfall in quadrature.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators.aggregate import marginals
    >>> result = marginals(np.array([[3.0], [-3.0]]), np.full((2, 1), 0.01))
    >>> result.information.round(4), result.looseness.round(2)
    (array([0.6931]), array([2.71]))
    """

    schema: ClassVar[str] = "dindic.marginals/1"

    n: int
    d: int
    draws: int
    dependence: str
    total_information: float
    total_kl_prior: float
    total_looseness: float
    total_shortfall: float
    total_kl_prior_low: float
    quadrature_error: float
    entropy: Float
    information: Float
    kl_prior: Float
    looseness: Float
    shortfall: Float
    saturated: Any
    quadrature_errors: Float
    standard_errors: dict[str, Any]
    population_errors: dict[str, Any]

    @property
    def least_information(self) -> Float:
        """Lower bounds of I(x; z_h) of the population: those of rows less two errors, (d,)."""
        least = self.information - 2 * self.standard_errors["information"]
        return np.asarray(np.maximum(least, 0.0))

    def in_words(self, h: int) -> str:
        """Write I(x; z_h) with its error about that of the population, or as a bound of it."""
        value = float(self.information[h])
        if self.saturated[h]:
            return f"≥ {with_error(float(self.least_information[h]), None)}"
        return with_error(value, float(self.population_errors["information"][h]))

    def reading(self) -> str:
        """Return how to read the errors and bounds of latents in tables."""
        text = f"{ERROR}; {BOUND}" if self.saturated.any() else ERROR
        said = self.dependence.rstrip(".")
        if self.dependence in ("", INDEPENDENT):
            return text  # which the table of the indicators prints
        return f"{text}; {said[:1].lower()}{said[1:]}"

    def blocks(self) -> list[Block]:
        """Return the table of latents, the most informative first."""
        order = np.argsort(-self.information, kind="stable")
        names = ("looseness", "kl_prior", "entropy")
        rows = tuple(
            (
                str(h),
                self.in_words(h),
                *(
                    with_error(
                        float(getattr(self, name)[h]),
                        None if self.saturated[h] else float(self.population_errors[name][h]),
                    )
                    for name in names
                ),
            )
            for h in order
        )
        columns = ("latent", "I(x; z_h) [nats]", "J_h", "KL(q(z_h) || p)", "entropy of q(z_h)")
        note = (
            f"exact for the mixture of these {self.n} posteriors, by quadrature to "
            f"{power_of_ten(self.quadrature_error)} nats; {self.reading()}; Definition 3 = I + J. In "
            "the population I is higher, and J and KL are lower"
        )
        known = self.shortfall[~self.saturated]
        if known.size:
            note += f", by at most about {known.max():.1g} nats where not saturated"
        return [Table(columns, rows, "Marginals of the aggregated posterior", note)]
