"""A table of ground-truth factors of any kind: classes, ordered values, numbers, angles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from disentangle_indicators._array import Float, on_host
from disentangle_indicators._binning import Index, binned, equal_counts

__all__ = ["KINDS", "Factors", "as_table"]

KINDS = ("categorical", "ordinal", "continuous", "circular")

FEW = 100
"""Distinct values up to which whole numbers are taken as values, not as measurements."""

BINS = 20


@dataclass(frozen=True, eq=False)
class Factors:
    """Factors as numbers, with what kind of number each one is.

    Parameters
    ----------
    values : array, shape (n, K)
        Numbers; those of a categorical factor only name its classes. nan where a value is missing.
    kinds : tuple of str, length K
        "categorical" (classes without order), "ordinal" (ordered values, used as classes and as
        numbers), "continuous" (measurements, in bins where classes are needed) or "circular"
        (ordered, and the last value is next to the first).
    names : tuple of str, length K
    periods : tuple of float, length K
        Of circular factors; nan for others.
    """

    values: Float
    kinds: tuple[str, ...]
    names: tuple[str, ...]
    periods: tuple[float, ...]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.values)

    @property
    def number(self) -> int:
        """Number of factors, K."""
        return int(self.values.shape[1])

    @property
    def varying(self) -> tuple[int, ...]:
        """Columns with two different values; metrics leave the others out."""
        columns = []
        for k, column in enumerate(self.values.T):
            present = column[~np.isnan(column)]
            if len(present) and present.min() < present.max():
                columns.append(k)
        return tuple(columns)

    def take(self, rows: Index) -> "Factors":
        """Return some rows."""
        return Factors(self.values[rows], self.kinds, self.names, self.periods)

    def select(self, columns: Sequence[int]) -> "Factors":
        """Return some columns."""
        chosen = list(columns)
        return Factors(
            self.values[:, chosen],
            tuple(self.kinds[k] for k in chosen),
            tuple(self.names[k] for k in chosen),
            tuple(self.periods[k] for k in chosen),
        )

    def present(self, k: int) -> Index:
        """Return the rows in which factor k has a value."""
        return np.flatnonzero(~np.isnan(self.values[:, k]))

    def labels(self, k: int, bins: int | None = None, rule: str = "width") -> Index:
        """Return factor k as classes 0, 1, ... of the rows where it is present, -1 elsewhere.

        Parameters
        ----------
        k : int
        bins : int, optional
            Put the numbers of any factor in so many bins. By default only a continuous factor, and
            a circular one of more than 100 different values, is put in bins: 20 of equal counts.
        rule : {"width", "count"}
            Whether `bins` have the same width or the same count.
        """
        out = np.full(len(self.values), -1, dtype=np.int64)
        rows = self.present(k)
        values = self.values[rows, k]
        distinct = np.unique(values)
        measured = self.kinds[k] == "continuous" or (
            self.kinds[k] == "circular" and len(distinct) > FEW
        )
        if bins is None and not (measured and len(distinct) > BINS):
            out[rows] = np.searchsorted(distinct, values)
        elif bins is None or rule == "count":
            out[rows] = equal_counts(values, bins or BINS)
        else:
            out[rows] = binned(values[:, None], bins)[:, 0]
        return out

    def targets(self, k: int) -> Float:
        """Return factor k as numbers to regress on, (n, 1); (n, 2), cos and sin, if circular."""
        column = self.values[:, k : k + 1]
        if self.kinds[k] != "circular":
            return column
        angle = 2 * np.pi * column / self.periods[k]
        return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)

    def codes(self) -> Float:
        """Return the factors as a perfect code, standardised; missing values become the mean."""
        present = ~np.isnan(self.values)
        numbers = np.where(present, self.values, 0.0)
        numbers = np.ldexp(numbers, -np.frexp(np.abs(numbers).max(axis=0, initial=0.0))[1])
        count = np.maximum(present.sum(axis=0), 1)
        centred = np.where(present, numbers - numbers.sum(axis=0) / count, 0.0)
        spread = np.sqrt((centred**2).sum(axis=0) / count)
        vary = np.isin(np.arange(self.number), self.varying) & (spread > 0)
        return np.where(vary, centred / np.where(vary, spread, 1.0), 0.0)


def as_table(
    factors: Any,
    n: int,
    *,
    kinds: Mapping[str, str] | Sequence[str] | None = None,
    names: Sequence[str] | None = None,
) -> Factors:
    """Check factors and say of what kind each one is.

    Parameters
    ----------
    factors : Factors, or array of numbers or text, shape (n, K) or (n,)
        nan, and empty text, is a missing value.
    n : int
    kinds : sequence, or dict by name, of str, optional
        One of "categorical", "ordinal", "continuous", "circular" and "circular:PERIOD". By default
        text and truth values are categorical, whole numbers of at most 100 different values
        ordinal, other numbers continuous. Without a period that of a circular factor is its range
        and one step more, as for 0, 1, ..., 38 of 39 orientations.
    names : sequence of str, length K, optional
        Default "factor_0", ...

    Returns
    -------
    Factors

    Raises
    ------
    ValueError
        On another shape or dtype, on infinite numbers, unknown kinds, wrong numbers of names.

    Examples
    --------
    >>> as_table([["a", "b"], ["a", ""]], 2).values
    array([[ 0.,  0.],
           [ 0., nan]])
    """
    if isinstance(factors, Factors):
        if len(factors) != n:
            raise ValueError(f"factors must have {n} rows; they have {len(factors)}")
        return factors
    table = on_host(factors)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or len(table) != n or table.shape[1] == 0:
        raise ValueError(f"factors must have the shape ({n}, K); the shape is {table.shape}")
    if table.dtype.kind not in "fiubUS":
        raise ValueError(f"factors must be numbers or strings; the dtype is {table.dtype}")
    k = table.shape[1]
    if names is not None and len(names) != k:
        raise ValueError(f"factor_names must be {k} names; got {list(names)}")
    named = tuple(names) if names is not None else tuple(f"factor_{i}" for i in range(k))
    columns = [_numbers(table[:, i], named[i]) for i in range(k)]
    given = _given(kinds, named)
    found = [_kind(given[i], table.dtype.kind, columns[i], named[i]) for i in range(k)]
    columns = [
        column % period if kind == "circular" else column
        for column, (kind, period) in zip(columns, found, strict=True)
    ]
    return Factors(
        np.stack(columns, axis=1),
        tuple(kind for kind, _ in found),
        named,
        tuple(period for _, period in found),
    )


def _numbers(column: Any, name: str) -> Float:
    if column.dtype.kind in "US":
        missing = column == np.array("", column.dtype)
        classes = np.unique(column, return_inverse=True)[1].reshape(-1)
        return np.where(missing, np.nan, classes - float(missing.any()))
    numbers: Float = column.astype(np.float64)
    if np.isinf(numbers).any():
        row = int(np.argmax(np.isinf(numbers)))
        raise ValueError(f"factors must be finite or nan; {name}[{row}] = {numbers[row]}")
    return numbers


def _given(
    kinds: Mapping[str, str] | Sequence[str] | None, names: tuple[str, ...]
) -> list[str | None]:
    if kinds is None:
        return [None] * len(names)
    if isinstance(kinds, Mapping):
        for name in kinds:
            if name not in names:
                raise ValueError(f"no factor is called {name!r}; there is {', '.join(names)}")
        return [kinds.get(name) for name in names]
    if len(kinds) != len(names):
        raise ValueError(f"kinds must be {len(names)}, one for each factor; got {list(kinds)}")
    return list(kinds)


def _kind(given: str | None, dtype: str, column: Float, name: str) -> tuple[str, float]:
    present = np.unique(column[~np.isnan(column)])
    if given is None:
        if dtype in "USb":
            return "categorical", np.nan
        whole = len(present) <= FEW and bool(np.all(present == np.round(present)))
        return ("ordinal" if whole else "continuous"), np.nan
    kind, _, words = given.partition(":")
    if kind not in KINDS or (words and kind != "circular"):
        raise ValueError(f"the kind of {name} must be one of {', '.join(KINDS)}; got {given!r}")
    if kind != "categorical" and dtype in "US":
        raise ValueError(f"{name} holds text, so it can only be categorical")
    if kind != "circular":
        return kind, np.nan
    if not words:
        with np.errstate(over="ignore"):
            step = float(np.diff(present).min()) if len(present) > 1 else 1.0
            period = float(present[-1] - present[0]) + step if len(present) else 1.0
        if not np.isfinite(period):
            raise ValueError(f"the range of {name} is larger than numbers are; give its period")
        return kind, period
    try:
        period = float(words)
    except ValueError:
        period = np.nan
    if not period > 0:
        raise ValueError(f"the period of {name} must be a positive number; got {words!r}")
    return kind, period
