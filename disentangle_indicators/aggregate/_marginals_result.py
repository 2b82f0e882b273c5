"""The exact marginals of the aggregated posterior as a result, with their table."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators._blocks import Block, Table, power_of_ten, with_error
from disentangle_indicators._result import Result

__all__ = ["Marginals"]


@dataclass(frozen=True, eq=False, repr=False)
class Marginals(Result):
    """Exact marginals of the aggregated posterior of n samples, in nats; arrays (d,).

    Parameters
    ----------
    n, d : int
    total_information : float
        Sum of I(x; z_h) over latents: an upper bound of I(x; z), which lies below it by the total
        correlation.
    total_kl_prior : float
        Sum of KL(q(z_h) || p): a lower bound of KL(q(z) || p), again by the total correlation.
    total_looseness : float
        Sum of J_h: the part of Definition 2 that is neither information nor dependence.
    total_shortfall : float
        Sum of `shortfall`.
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
        exp(I(x; z_h)) / n: by about as much, I(x; z_h) of the population is higher than that of
        the rows, and its KL(q(z_h) || p) and J_h are lower.
    quadrature_errors : array
        Error of the quadrature: two rules against each other, and the mass that is not covered.
    standard_errors : dict of str to float or array
        Of row sampling, under the names of the fields.

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
    total_information: float
    total_kl_prior: float
    total_looseness: float
    total_shortfall: float
    quadrature_error: float
    entropy: Float
    information: Float
    kl_prior: Float
    looseness: Float
    shortfall: Float
    quadrature_errors: Float
    standard_errors: dict[str, Any]

    def blocks(self) -> list[Block]:
        """Return the table of latents, the most informative first."""
        order = np.argsort(-self.information, kind="stable")
        names = ("information", "looseness", "kl_prior", "entropy")
        rows = tuple(
            (
                str(h),
                *(
                    with_error(float(getattr(self, name)[h]), float(self.standard_errors[name][h]))
                    for name in names
                ),
            )
            for h in order
        )
        columns = ("latent", "I(x; z_h) [nats]", "J_h", "KL(q(z_h) || p)", "entropy of q(z_h)")
        note = (
            f"exact for the mixture of these {self.n} posteriors, by quadrature to "
            f"{power_of_ten(self.quadrature_error)} nats; ± one standard error over rows; Definition 3 = "
            f"I + J; of the population I is higher, J and KL are lower, by about "
            f"{self.shortfall.max():.1g} nats at most"
        )
        return [Table(columns, rows, "Marginals of the aggregated posterior", note)]
