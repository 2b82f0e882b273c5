"""The base of results: to a dict, JSON, a data frame, and tables to read."""

import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import array_api_compat
import numpy as np

from disentangle_indicators._array import to_numpy
from disentangle_indicators._blocks import Block, Table
from disentangle_indicators._provenance import Provenance
from disentangle_indicators._render import WIDTH, terminal_width, to_html, to_markdown, to_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Result:
    """Base of the frozen dataclasses that the public functions return.

    `provenance` is what it takes to compute the result once more; None in a part of a result.
    """

    schema: ClassVar[str] = ""

    provenance: Provenance | None = None

    def own_fields(self) -> dict[str, Any]:
        """Return the fields of the result by name, but for the provenance."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "provenance"}

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values; arrays become lists, numbers that are not finite None."""
        content = {name: plain(value) for name, value in self.own_fields().items()}
        return self.stamped({"schema": self.schema, **content} if self.schema else content)

    def stamped(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return the content with the provenance, where there is one."""
        if self.provenance is None:
            return content
        return content | {"provenance": plain(self.provenance.to_dict())}

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return :meth:`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent, allow_nan=False)

    def to_scalars(self, prefix: str = "") -> dict[str, float]:
        """Return the finite numbers that are one each, by name, for a logger.

        Parameters
        ----------
        prefix : str
            Begins every name, as ``"val/"``.

        Returns
        -------
        dict of str to float
            In nats, but for counts; standard errors have ``_se`` behind their name. There are no
            arrays, no lists and no missing values.
        """
        numbers = self.scalars()
        return {
            f"{prefix}{name}": float(value)
            for name, value in numbers.items()
            if value is not None and math.isfinite(value)
        }

    def scalars(self) -> dict[str, float | None]:
        """Return what :meth:`to_scalars` gives, under its own names; None where it has no value."""
        content = self.own_fields()
        numbers = {name: value for name, value in content.items() if isinstance(value, float)}
        errors = content.get("standard_errors")
        return numbers | (errors_of(errors) if isinstance(errors, dict) else {})

    def to_markdown(self) -> str:
        """Return the sentences and tables as Markdown."""
        return to_markdown(self.blocks())

    def to_html(self, pictures: "Sequence[tuple[Figure, str]]" = ()) -> str:
        """Return a page of HTML that needs nothing else: sentences, pictures and tables.

        The page is the same for the same result, but for the line with the date.

        Parameters
        ----------
        pictures : sequence of (figure, str)
            More pictures with their captions, such as traversals.
        """
        from disentangle_indicators.report._page import page

        return page(self, pictures=pictures)

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per latent: every field that has one value for each."""
        import pandas as pd

        arrays = {
            name: to_numpy(value)
            for name, value in self.own_fields().items()
            if array_api_compat.is_array_api_obj(value) and value.ndim == 1
        }
        frame = pd.DataFrame(arrays)
        frame.index.name = "latent"
        return frame

    def blocks(self) -> list[Block]:
        """Return the sentences and tables that this result prints; fields and values unless told.

        Subclasses that people read override it.
        """
        rows = tuple((name, _short(value)) for name, value in self.own_fields().items())
        return [Table(columns=("", type(self).__name__), rows=rows)]

    def __repr__(self) -> str:
        """Return the table that the terminal shows, as wide as the terminal where there is one."""
        shown = hasattr(sys, "ps1") or (sys.stdout is not None and sys.stdout.isatty())
        return to_text(self.blocks(), terminal_width() if shown else WIDTH)

    def _repr_html_(self) -> str:
        from disentangle_indicators import plots

        return to_html(self.blocks(), plots.as_html(self))

    def plot(self) -> "Figure":
        """Draw the picture of the result, which a notebook shows.

        Returns
        -------
        matplotlib figure

        Raises
        ------
        ValueError
            If there is no picture of such a result.
        """
        from disentangle_indicators import plots

        return plots.draw(self)


def errors_of(errors: dict[str, Any]) -> dict[str, float | None]:
    """Return the standard errors that are one number each, with ``_se`` behind their name."""
    return {f"{name}_se": error for name, error in errors.items() if isinstance(error, float)}


def one_row(result: Result) -> "pd.DataFrame":
    """Return the numbers of a result, and the standard errors of those, as one row."""
    import pandas as pd

    content = {k: v for k, v in result.to_dict().items() if isinstance(v, (int, float))}
    errors = getattr(result, "standard_errors", {})
    return pd.DataFrame([content | {f"{name}_se": error for name, error in errors.items()}])


def plain(value: Any) -> Any:
    """Return `value` made of dicts, lists, strings, finite numbers, booleans and None."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Result):
        return value.to_dict()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.generic):
        return plain(value.item())
    if array_api_compat.is_array_api_obj(value):
        if not isinstance(value, np.ndarray):
            value = to_numpy(value)
        return plain(value.tolist())
    if isinstance(value, Iterable):
        return [plain(v) for v in value]
    raise TypeError(f"no plain form for {type(value).__name__}")


def _short(value: Any) -> str:
    if array_api_compat.is_array_api_obj(value):
        if value.ndim == 0 or max(value.shape) > 8:
            return f"array {tuple(value.shape)}" if value.ndim else f"{float(value):.6g}"
        return np.array2string(to_numpy(value), precision=4, separator=", ")
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)
