"""What :func:`channel` returns: the information of codes and of samples, in numbers and words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators._blocks import Block, Table
from disentangle_indicators._result import Result

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SURE", "Channel", "sentence"]

SURE = 1.96
"""Standard errors by which an overstated cell exceeds the information of a sample; more for few
clusters."""

SHOWN = 3
"""Cells that the sentence names."""


@dataclass(frozen=True, eq=False, repr=False)
class Channel(Result):
    """Information of codes on factors, and of samples on rows; the result of :func:`channel`.

    Nats; d latents, K factors.

    Parameters
    ----------
    n : int
        Rows.
    factors : tuple of str, length K
    code_information : array, shape (d, K)
        I(z_h; v_k) of the codes, in bins; biased upwards.
    null_max : array, shape (d, K)
        Greatest `code_information` with rows shuffled: a bound of the bias.
    standard_errors : array, shape (d, K)
        Of `code_information`, of sampling rows or clusters.
    sample_information : array, shape (d, K)
        I(x; z_h), exact, over the rows where the factor has a value: no function of x, and so no
        factor that depends on x alone, can share more with a sample.
    information : array, shape (d,)
        I(x; z_h) over all rows.
    overstated : array of bool, shape (d, K)
        Where `code_information` less `null_max` exceeds `sample_information` by more than 1.96
        standard errors.
    cells : tuple of (int, str)
        The overstated ones, the greatest excess first.
    sentence : str
    parameters : dict
        Bins, permutations, seed, and the number of clusters or None.
    notes : tuple of str
    """

    schema: ClassVar[str] = "dindic.channel/1"

    n: int
    factors: tuple[str, ...]
    code_information: Float
    null_max: Float
    standard_errors: Float
    sample_information: Float
    information: Float
    overstated: Any
    cells: tuple[tuple[int, str], ...]
    sentence: str
    parameters: dict[str, Any]
    notes: tuple[str, ...] = ()

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per latent and factor."""
        import pandas as pd

        d = len(self.code_information)
        columns = {
            name: getattr(self, name).ravel()
            for name in (
                "code_information",
                "null_max",
                "standard_errors",
                "sample_information",
                "overstated",
            )
        }
        index = pd.MultiIndex.from_product([range(d), self.factors], names=["latent", "factor"])
        return pd.DataFrame(columns, index=index)

    def blocks(self) -> list[Block]:
        """Return the sentence and the table of latents and factors, overstated cells marked."""
        order = np.argsort(-self.information, kind="stable")
        rows = tuple(
            (
                str(h),
                f"{self.information[h] + 0.0:.3f}",
                *(
                    f"{value:.3f}{' !' if flag else ''}"
                    for value, flag in zip(
                        self.code_information[h], self.overstated[h], strict=True
                    )
                ),
            )
            for h in order
        )
        note = (
            "nats; I(x; z_h): information of a sample of the latent, exact; others: I(z_h; v_k) of "
            "the codes in bins; !: greater than I(x; z_h), also after subtracting the greatest of "
            f"{self.parameters['permutations']} permutations of the rows (up to "
            f"{self.null_max.max():.3f}) and {SURE:g} standard errors"
        )
        columns = ("latent", "I(x; z_h)", *self.factors)
        title = "Information of codes on factors, and of samples"
        return [
            self.sentence,
            Table(columns, rows, title, note),
            *(f"note: {note}" for note in self.notes),
        ]


def sentence(cells: Sequence[tuple[int, str, float, float]], d: int, code: str) -> str:
    """Return how many latents look more informative than they are, and the greatest excesses."""
    if not cells:
        return "No latent looks more informative than it is."
    count = len({h for h, *_ in cells})
    shown = "; ".join(
        f"the {code} of latent {h} shares {of_code:.3f} nats with {name}, a sample only "
        f"{of_sample + 0.0:.3f}"
        for h, name, of_code, of_sample in cells[:SHOWN]
    )
    rest = len(cells) - SHOWN
    more = f"; and {rest} more" if rest > 0 else ""
    verb = (
        "looks more informative than it is"
        if count == 1
        else "look more informative than they are"
    )
    return f"{count} of {d} latent{'s' * (d > 1)} {verb}: {shown}{more}."
