"""What :func:`sweep` returns: averages over seeds against a setting, and candidates of an elbow."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from disentangle_indicators._array import Float
from disentangle_indicators._blocks import Block, Table, with_error
from disentangle_indicators._result import Result
from disentangle_indicators.registry import COUNTS, INDICATORS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Sweep"]

COLUMNS = 5
"""Columns beside each other in a table."""


@dataclass(frozen=True, eq=False, repr=False)
class Sweep(Result):
    """Encoders against a setting, averaged over seeds; the result of :func:`sweep`.

    Parameters
    ----------
    x_name, group_name : str
        Of the setting, and of what encoders of one setting differ by; "" if that has no name.
    x : array, shape (k,)
        Settings, rising.
    counts : tuple of int, length k
        Encoders of each setting.
    means, errors : dict of str to array, shape (k,)
        Averages over the encoders of a setting, and their standard errors over these encoders. Of
        one encoder the error is that of its rows; NaN where there is none.
    elbow : float or None
        The setting at which the rate bends most, a candidate only; None for fewer than three
        settings.
    elbow_of : str
        What bends there.
    """

    schema: ClassVar[str] = "dindic.sweep/1"

    x_name: str
    group_name: str
    x: Float
    counts: tuple[int, ...]
    means: dict[str, Float]
    errors: dict[str, Float]
    elbow: float | None
    elbow_of: str

    @property
    def sentence(self) -> str:
        """What was averaged, how used latents move, and where a bend may be."""
        most = max(self.counts)
        seeds = f"{sum(self.counts)} encoders at {len(self.x)} values of {self.x_name}"
        text = f"{seeds}, {_range(self.counts)} each." if most > 1 else f"{seeds}."
        if "used" in self.means:
            first, last = (
                with_error(float(self.means["used"][k]), _finite(self.errors["used"][k]), 1)
                for k in (0, -1)
            )
            text += f" Used latents: {first} at {self.x_name} = {self.x[0]:g}, {last} at {self.x[-1]:g}."
        if self.elbow is not None:
            text += (
                f" {self.elbow_of} bends most at {self.x_name} = {self.elbow:g}: a candidate of an "
                "elbow, and no recommendation."
            )
        return text

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per setting: averages, and errors under ``_se``."""
        import pandas as pd

        columns: dict[str, Any] = {self.x_name: self.x, "encoders": self.counts}
        for name, values in self.means.items():
            columns |= {name: values, f"{name}_se": self.errors[name]}
        return pd.DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values, with the sentence."""
        content = super().to_dict()
        provenance = {"provenance": p} if (p := content.pop("provenance", None)) else {}
        return content | {"sentence": self.sentence} | provenance

    def scalars(self) -> dict[str, float | None]:
        """Return the candidate of the elbow."""
        return {"elbow": self.elbow}

    def blocks(self) -> list[Block]:
        """Return the sentence and the tables of averages."""
        names = list(self.means)
        tables = []
        for start in range(0, len(names), COLUMNS):
            tables.append(self._table(names[start : start + COLUMNS], first=start == 0))
        return [{"SWEEP": self.sentence}, *tables]

    def _table(self, names: Sequence[str], *, first: bool) -> Table:
        rows = tuple(
            (
                f"{x:g}{' ?' if x == self.elbow else ''}",
                str(self.counts[k]),
                *(
                    "-"
                    if math.isnan(self.means[name][k])
                    else with_error(float(self.means[name][k]), _finite(self.errors[name][k]), 2)
                    for name in names
                ),
            )
            for k, x in enumerate(self.x)
        )
        over = f"the encoders of one {self.x_name}" if max(self.counts) > 1 else "rows"
        note = (
            f"averages ± one standard error over {over}; of one encoder ± that of its rows; ?: "
            "candidate of an elbow; indicators in nats"
        )
        columns = (self.x_name, "encoders", *map(_label, names))
        return Table(columns, rows, "Sweep" if first else "", note if first else "")


def _label(name: str) -> str:
    if name in INDICATORS:
        return f"{INDICATORS[name].sign} {INDICATORS[name].label}".strip()
    if name in COUNTS:
        return COUNTS[name].label or name.replace("_", " ")
    return {
        "information": "sum of I(x; z_h)",
        "total_correlation_low": "TC from",
        "total_correlation_high": "TC to",
    }.get(name, name)


def _finite(error: Any) -> float | None:
    return float(error) if math.isfinite(error) else None


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"
