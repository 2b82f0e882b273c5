"""What :func:`udr` returns: the agreement of models, in numbers and words."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators._blocks import Block, Table
from disentangle_indicators._result import Result

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["UDR"]


@dataclass(frozen=True, eq=False, repr=False)
class UDR(Result):
    """How much models agree on latents; the result of :func:`udr`.

    Parameters
    ----------
    protocol : str
    parameters : dict
        All of the protocol.
    n : int
        Rows.
    names : tuple of str, length m
        Of the models.
    scores : array, shape (m,)
        Median agreement of each model with the others; higher is better.
    pairs : array, shape (m, m)
        Agreement of the latents of model i (row) with those of model j, which explain them. The
        diagonal, a model with itself, is the most that the protocol gives it; no score uses it.
    latents : tuple of tuple of int, length m
        Those that were compared.
    """

    schema: ClassVar[str] = "dindic.udr/1"

    protocol: str
    parameters: dict[str, Any]
    n: int
    names: tuple[str, ...]
    scores: Float
    pairs: Float
    latents: tuple[tuple[int, ...], ...]

    @property
    def best(self) -> int:
        """Number of the model that scores most, the first of equals."""
        return int(np.argmax(self.scores))

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per model."""
        import pandas as pd

        columns = {
            "score": self.scores,
            "with_itself": np.diag(self.pairs),
            "latents": [len(kept) for kept in self.latents],
        }
        return pd.DataFrame(columns, index=pd.Index(self.names, name="model"))

    def blocks(self) -> list[Block]:
        """Return the table of models, the best first."""
        own = np.diag(self.pairs)
        rows = tuple(
            (
                self.names[i],
                f"{self.scores[i]:.3f}",
                f"{own[i]:.3f}",
                ", ".join(map(str, self.latents[i])) or "none",
            )
            for i in np.argsort(-self.scores, kind="stable")
        )
        note = (
            f"udr@{self.protocol}: median agreement with the other {len(self.names) - 1} models "
            f"over {self.n} rows, from 0 to 1; latents: those compared"
        )
        columns = ("model", "score", "with itself", "latents")
        return [Table(columns, rows, "Agreement of models on latents", note)]
