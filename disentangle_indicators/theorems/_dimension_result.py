"""What :func:`intrinsic_dimension` returns: two estimates at two scales, with errors."""

from dataclasses import dataclass
from typing import ClassVar

from disentangle_indicators._blocks import Block, Table, with_error
from disentangle_indicators._result import Result

__all__ = ["IntrinsicDimension", "dimension_table"]


@dataclass(frozen=True, eq=False, repr=False)
class IntrinsicDimension(Result):
    """The intrinsic dimension of a cloud of rows; the result of :func:`intrinsic_dimension`.

    Parameters
    ----------
    n, d : int
        Distinct rows, and their numbers of coordinates.
    copies : int
        Rows that were left out because they repeat another one exactly.
    neighbours : int
        Neighbours k of Levina and Bickel.
    draws : int
        Independent draws: clusters, or rows.
    two_nn, levina_bickel : float
        Estimates from all rows; they have no unit.
    two_nn_half, levina_bickel_half : float
        Averages of the estimates from two random halves of the rows: at a larger scale.
    standard_errors : dict of str to float
        Of row sampling, or of cluster sampling; by the names of the fields.
    seed : int or None
    """

    schema: ClassVar[str] = "dindic.dimension/1"

    n: int
    d: int
    copies: int
    neighbours: int
    draws: int
    two_nn: float
    levina_bickel: float
    two_nn_half: float
    levina_bickel_half: float
    standard_errors: dict[str, float]
    seed: int | None

    def blocks(self) -> list[Block]:
        """Return the table of both estimates at both scales."""
        return [dimension_table({"rows": self})]


def dimension_table(found: dict[str, IntrinsicDimension]) -> Table:
    """Return the table of the intrinsic dimension of several clouds by their names."""
    names = ("two_nn", "two_nn_half", "levina_bickel", "levina_bickel_half")
    rows = tuple(
        (what, str(r.n), *(with_error(getattr(r, x), r.standard_errors[x], 2) for x in names))
        for what, r in found.items()
    )
    any_of = next(iter(found.values()))
    note = (
        "TwoNN: from the ratio of the distances to the two nearest rows; Levina-Bickel: from "
        f"{any_of.neighbours} nearest rows; n/2: average of two halves of the rows, at a larger "
        "scale; rows: without exact copies; ± one standard error, from disjoint blocks"
    )
    columns = ("", "rows", "TwoNN", "TwoNN n/2", "Levina-Bickel", "Levina-Bickel n/2")
    return Table(columns, rows, "Intrinsic dimension", note)
