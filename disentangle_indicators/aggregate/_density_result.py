"""The density of the aggregated posterior along one latent, as a result."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from disentangle_indicators._array import Float
from disentangle_indicators._result import Result

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Density"]


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
    >>> from disentangle_indicators.aggregate import density
    >>> found = density(np.array([[1.0], [-1.0]]), np.full((2, 1), 0.1), latent=0)
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
