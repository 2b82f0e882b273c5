"""The density of the aggregated posterior along one latent."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from disentangle_indicators._array import Array, Float, as_pair, to_numpy
from disentangle_indicators._result import Result
from disentangle_indicators.aggregate._marginals import evaluate

if TYPE_CHECKING:
    import pandas as pd

POINTS, BINS = 2001, 500
"""Points of the curve, and bins of the histogram of posteriors that are narrower than one bin."""


@dataclass(frozen=True, eq=False, repr=False)
class Density(Result):
    """The aggregated posterior of one latent on a grid, in units of the prior N(0, 1).

    Parameters
    ----------
    n, latent : int
    second_moment : float
        S, the variance of q*.
    information : float
        I(x; z_h), in nats.
    looseness : float
        Definition 3 less I(x; z_h), in nats.
    z, density : array, shape (s,)

    Examples
    --------
    >>> import numpy as np
    >>> found = density(np.array([[1.0], [-1.0]]), np.full((2, 1), 0.1), 0)
    >>> found.to_frame().columns.tolist()
    ['density']
    """

    schema: ClassVar[str] = "dindic.density/1"

    n: int
    latent: int
    second_moment: float
    information: float
    looseness: float
    z: Float
    density: Float

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per point."""
        import pandas as pd

        return pd.DataFrame({"density": self.density}, index=pd.Index(self.z, name="z"))


def density(mean: Array, var: Array, latent: int) -> Density:
    """Compute the density of the aggregated posterior along one latent.

    Parameters
    ----------
    mean, var : array, shape (n, d)
        Means and variances of the posteriors, in units of the prior N(0, 1).
    latent : int

    Returns
    -------
    Density
        Posteriors that are narrower than a bin of the grid are counted as a histogram.

    Raises
    ------
    ValueError
        As :func:`disentangle_indicators.aggregate.marginals`, and on a latent that is not there.

    Examples
    --------
    >>> import numpy as np
    >>> found = density(np.array([[1.0], [-1.0]]), np.full((2, 1), 0.1), 0)
    >>> round(float(found.density.max()), 2)
    0.63
    """
    _, mean, var = as_pair(mean, var)
    if latent not in range(mean.shape[-1]):
        raise ValueError(f"latent must be from 0 to {mean.shape[-1] - 1}; got {latent}")
    mean, var = (to_numpy(x[:, latent : latent + 1]) for x in (mean, var))
    second = float(np.mean(mean**2 + var))
    reach, sd = 4 * max(1.0, np.sqrt(second)), np.sqrt(var)
    ends = min((mean - 4 * sd).min(), -reach), max((mean + 4 * sd).max(), reach)
    z, edges = np.linspace(*ends, POINTS), np.linspace(*ends, BINS + 1)
    exact = evaluate(mean, var).marginals
    narrow = (sd < edges[1] - edges[0])[:, 0]
    values = np.zeros_like(z)
    if not narrow.all():
        wide = evaluate(mean[~narrow], var[~narrow], z[:, None])
        values += wide.density[:, 0] * np.mean(~narrow)
    if narrow.any():
        counts = np.histogram(mean[narrow, 0], edges)[0] / len(mean) / (edges[1] - edges[0])
        values += counts[np.minimum(np.searchsorted(edges, z, "right") - 1, counts.size - 1)]
    return Density(
        n=len(mean),
        latent=latent,
        second_moment=second,
        information=float(exact.information[0]),
        looseness=float(exact.looseness[0]),
        z=z,
        density=values,
    )
