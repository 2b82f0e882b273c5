"""Certain bounds of I(x; z) as a result, with their table."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from disentangle_indicators._blocks import Block, Table, with_error
from disentangle_indicators._result import Result, one_row

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Certificate", "certificate_table"]


@dataclass(frozen=True, eq=False, repr=False)
class Certificate(Result):
    """Bounds of I(x; z) of the empirical mixture of n posteriors, in nats.

    `low` and `high` are certain when `certain`: then they are sums over all pairs of rows.
    Otherwise they are means over `rows` rows against all, with `standard_errors`, and so estimates
    of bounds. No bound takes rows as independent: they are of the rows as they are, and so with
    clusters or copies. Of n / k rows, each k times, the bounds are those of the n / k rows.
    """

    schema: ClassVar[str] = "dindic.certificate/1"

    n: int
    d: int
    rows: int
    certain: bool
    low: float
    high: float
    standard_errors: dict[str, float]

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row."""
        return one_row(self)

    def blocks(self) -> list[Block]:
        """Return the bounds as a table of one row."""
        return [certificate_table(self)]


def certificate_table(r: Certificate) -> Table:
    """Return the bounds as a table of one row."""
    errors = r.standard_errors
    low, high = (with_error(getattr(r, name), errors.get(name)) for name in ("low", "high"))
    if r.certain:
        title, note = "Certificate", f"nats; sums over all pairs of the {r.n} rows, no sampling"
    else:
        title = "Estimate of the certificate"
        note = f"nats; {r.rows} of {r.n} rows against all, ± one standard error: not certain"
    reading = "I(x; z) of these rows is in this range; no bound for the population"
    row = ("I(x; z)", f"{low} to {high}", reading)
    return Table(("quantity", "value [nats]", "how to read it"), (row,), title, note)
