"""What posterior means show without their variances, as a result with its table."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators._blocks import Block, Table
from disentangle_indicators._result import Result

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EXPORT", "MeansOnly"]

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

    def scalars(self) -> dict[str, float | None]:
        """Return the count of active units."""
        return {"active_units": self.active_units}

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
