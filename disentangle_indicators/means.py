"""What can be said of posterior means that come without their variances."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from disentangle_indicators._array import Array, Float, as_mean, to_numpy
from disentangle_indicators._result import Block, Result, Table
from disentangle_indicators._source import Batches, in_prior_units
from disentangle_indicators.evaluate import ACTIVE_UNIT
from disentangle_indicators.moments import Moments

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MeansOnly", "means_only"]

EXPORT = """\
Definitions 1-7 need the posterior variances as well. To export them:
  PyTorch      mean, logvar = encoder(x); np.savez("encodings.npz", mean=mean, logvar=logvar)
  scvi-tools   qzm, qzv = model.get_latent_representation(return_dist=True)
               np.savez("encodings.npz", qzm=qzm, qzv=qzv)"""


@dataclass(frozen=True, eq=False, repr=False)
class MeansOnly(Result):
    """What posterior means say without their variances: which latents move at all.

    `states` are active (Var(mean) at least 0.01 in units of the prior) and inactive.
    """

    schema: ClassVar[str] = "dindic.means/1"

    n: int
    d: int
    active_units: int
    states: tuple[str, ...]
    mean: Float
    mean_variance: Float

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per latent."""
        frame = super().to_frame()
        frame.insert(0, "state", list(self.states))
        return frame

    def blocks(self) -> list[Block]:
        """Return the table of latents and how to export variances."""
        order = np.argsort(-self.mean_variance, kind="stable")
        rows = tuple(
            (str(h), f"{self.mean_variance[h]:.4f}", f"{self.mean[h]:.3f}", self.states[h])
            for h in order
        )
        table = Table(
            ("latent", "Var(mean)", "mean", "state"),
            rows,
            title="Latents, by variance of the mean",
        )
        return [table, EXPORT]


def means_only(batches: Batches, prior_mean: Any = 0.0, prior_var: Any = 1.0) -> MeansOnly:
    """Summarise posterior means that come without variances.

    Parameters
    ----------
    batches : callable
        Gives a fresh iterator over (mean, None) batches at each call.
    prior_mean, prior_var : float or array, shape (d,)

    Returns
    -------
    MeansOnly

    Raises
    ------
    ValueError
        On means that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> means_only(lambda: [(np.array([[1.0, 0.0], [-1.0, 0.0]]), None)]).states
    ('active', 'inactive')
    """

    def with_unit_variance() -> Iterator[tuple[Array, Array]]:
        for mean, _ in batches():
            xp, mean = as_mean(mean)
            yield mean, xp.ones_like(mean)

    source = in_prior_units(with_unit_variance, prior_mean, prior_var)
    moments = Moments.of_batches(source(), errors=False)
    spread = to_numpy(moments.mean_variance)
    states = tuple("active" if s >= ACTIVE_UNIT else "inactive" for s in spread.tolist())
    return MeansOnly(
        n=moments.n,
        d=spread.size,
        active_units=states.count("active"),
        states=states,
        mean=to_numpy(moments.mean),
        mean_variance=spread,
    )
