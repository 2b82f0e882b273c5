"""A table of ground-truth factors of any kind: classes, ordered values, numbers, angles.

:func:`as_table` is the only parser of factors, and :func:`as_column` of labels and clusters: files,
scorecards, rotations and metrics accept and refuse the same input, with the same words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import Float
from disentangle_indicators._binning import Index, equal_counts, equal_widths
from disentangle_indicators._blocks import one_line
from disentangle_indicators._factor_columns import (
    EXACT,
    TRUTH,
    Column,
    columns_of,
    parse,
    shape_of,
    side_by_side,
)
from disentangle_indicators._factor_kinds import (
    BINS,
    FEW,
    KINDS,
    Kind,
    around,
    kind_of,
    sentinel,
    why_risky,
)

__all__ = ["KINDS", "Factors", "as_column", "as_table"]


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
    classes : tuple, length K
        For a factor of text, truth values or categories the names of its classes, which `values`
        are indices of; None for numbers. By default all factors are numbers.
    guessed : tuple of str
        Names of the factors whose kind is a guess that may be wrong; :attr:`notes` says why.
    """

    values: Float
    kinds: tuple[str, ...]
    names: tuple[str, ...]
    periods: tuple[float, ...]
    classes: tuple[tuple[str, ...] | None, ...] = ()
    guessed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Take factors without classes as numbers."""
        if not self.classes:
            object.__setattr__(self, "classes", (None,) * len(self.names))

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
        return replace(self, values=self.values[rows])

    def select(self, columns: Sequence[int]) -> "Factors":
        """Return some columns."""
        chosen = list(columns)
        return Factors(
            self.values[:, chosen],
            tuple(self.kinds[k] for k in chosen),
            tuple(self.names[k] for k in chosen),
            tuple(self.periods[k] for k in chosen),
            tuple(self.classes[k] for k in chosen),
            tuple(self.names[k] for k in chosen if self.names[k] in self.guessed),
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on guesses that may be wrong, and on values that may stand for missing ones.

        Examples
        --------
        >>> as_table([0, 1, 2, 3, -1, -1], 6, names=["size"]).notes
        ('size is -1 in 2 of 6 rows; if that stands for a missing value, give nan',)
        """
        columns = zip(self.names, self.kinds, self.values.T, self.classes, strict=True)
        risky = [(name, kind, why_risky(kind, *column)) for name, kind, *column in columns]
        guesses = [
            f"{name} is {kind} by a guess: {why}"
            for name, kind, why in risky
            if name in self.guessed and why
        ]
        return (*guesses, *self.missing_notes)

    @property
    def missing_notes(self) -> tuple[str, ...]:
        """Sentences on values that may stand for missing ones.

        Examples
        --------
        >>> as_table([0, 1, 2, 3, -999], 5, names=["size"]).missing_notes
        ('size is -999 in 1 of 5 rows; if that stands for a missing value, give nan',)
        """
        found = []
        for name, values, classes in zip(self.names, self.values.T, self.classes, strict=True):
            odd = sentinel(values, classes)
            if odd:
                same = values == (float(odd) if classes is None else classes.index(odd))
                found.append(
                    f"{name} is {odd} in {np.sum(same)} of {len(self)} rows; if that stands for a "
                    f"missing value, {'give nan' if classes is None else 'leave it empty'}"
                )
        return tuple(found)

    def describe(self) -> tuple[dict[str, Any], ...]:
        """Return the name, the kind, the number of distinct values and of missing ones of each.

        Examples
        --------
        >>> as_table(["a", "b", "a", ""], 4).describe()
        ({'name': 'factor_0', 'kind': 'categorical', 'values': 2, 'missing': 1},)
        """
        return tuple(
            {
                "name": name,
                "kind": kind,
                "values": len(np.unique(self.values[self.present(k), k])),
                "missing": len(self) - len(self.present(k)),
            }
            for k, (name, kind) in enumerate(zip(self.names, self.kinds, strict=True))
        )

    def column(self, k: int) -> NDArray[Any]:
        """Return factor k as it came, shape (n,): text, truth values or numbers.

        Missing text is empty; a missing truth value is None, in an array of objects. Numbers are
        integers where all are whole and none is missing. A circular factor comes back within its
        period.
        """
        values, classes = self.values[:, k], self.classes[k]
        missing = np.isnan(values)
        if classes is None:
            whole = not missing.any() and np.all(values == np.round(values))
            small = whole and np.abs(values).max(initial=0.0) <= EXACT
            return values.astype(np.int64) if small else values
        if classes == TRUTH:
            truth: NDArray[Any] = values == 1
            if missing.any():
                truth = truth.astype(object)
                truth[missing] = None
            return truth
        index = np.where(missing, -1, values).astype(np.int64)
        return np.array(["", *classes])[index + 1]

    def to_array(self) -> NDArray[Any]:
        """Return the factors as they came, shape (n, K), as :meth:`column` returns each.

        The dtype is object where text, truth values and numbers stand side by side.
        """
        return side_by_side([self.column(k) for k in range(self.number)])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return :meth:`to_array`, so that ``np.asarray(factors)`` is the table of values."""
        return np.asarray(self.to_array(), dtype=dtype)

    def levels(self, k: int) -> Index:
        """Return the number 0, 1, ... of each distinct value of factor k, -1 where it is missing."""
        out = np.full(len(self), -1, dtype=np.int64)
        rows = self.present(k)
        out[rows] = np.unique(self.values[rows, k], return_inverse=True)[1].reshape(-1)
        return out

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
            out[rows] = equal_widths(values, bins)
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
    """Check factors and decide of what kind each one is.

    Parameters
    ----------
    factors : Factors, array, list, or table or column of pandas, polars or pyarrow
        Shape (n, K) or (n,).
        Numbers, text, truth values and categories, column by column. nan, None, the missing values
        of pandas, empty text, the words for them ("nan", "NA", "None", "null", ...) and what nan
        becomes when it is cast to int64 or int32 are missing values.
    n : int
    kinds : sequence, or dict by name, of str, optional
        One of "categorical", "ordinal", "continuous", "circular" and "circular:PERIOD". By default
        text and truth values are categorical, ordered categories ordinal, at most 100 different
        numbers ordinal if they are whole or in two rows each on average, other numbers continuous.
        Guesses that may be wrong are in `guessed`. Without a period that of a circular factor is
        its range and one step more, as for 0, 1, ..., 38 of 39 orientations. Angles that differ by
        less than 1e-5 periods are one.
    names : sequence of str, length K, optional
        Default: the columns of a data frame, else "factor_0", ...

    Returns
    -------
    Factors

    Raises
    ------
    ValueError
        On another shape or dtype, on infinite numbers, on a column of both text and numbers,
        unknown kinds, wrong numbers of names.

    Examples
    --------
    >>> table = as_table([["a", 2.5], ["b", None], ["", 1]], 3)
    >>> table.values
    array([[0. , 2.5],
           [1. , nan],
           [nan, 1. ]])
    >>> table.classes
    (('a', 'b'), None)
    """
    if isinstance(factors, Factors):
        if len(factors) != n:
            raise ValueError(f"factors must have {n} rows; they have {len(factors)}")
        if kinds is None and names is None:
            return factors
        found, named = list(factors.names), _names(names, factors.number) or factors.names
        columns = [
            Column(
                factors.values[:, k],
                factors.classes[k],
                factors.kinds[k] == "ordinal" or factors.classes[k] == TRUTH,
            )
            for k in range(factors.number)
        ]
    else:
        raw, found = columns_of(factors)
        shape = (len(raw[0]) if raw else 0, len(raw))
        if shape[0] != n or not raw:
            words = f"the shape is {shape_of(factors, shape)}"
            raise ValueError(f"factors must have the shape ({n}, K); {words}")
        named = _names(names, len(raw)) or tuple(found)
        columns = [parse(column, name) for column, name in zip(raw, named, strict=True)]
    given = _given(kinds, named)
    told = [
        Kind(factors.kinds[k], factors.periods[k], found[k] in factors.guessed)
        if isinstance(factors, Factors) and given[k] is None
        else kind_of(given[k], columns[k], named[k])
        for k in range(len(columns))
    ]
    values = [
        around(column.values, of.period) if of.kind == "circular" else column.values
        for column, of in zip(columns, told, strict=True)
    ]
    return Factors(
        np.stack(values, axis=1),
        tuple(of.kind for of in told),
        named,
        tuple(of.period for of in told),
        tuple(column.classes for column in columns),
        tuple(name for name, of in zip(named, told, strict=True) if of.guessed),
    )


def as_column(values: Any, n: int, name: str) -> NDArray[Any]:
    """Check labels or clusters and return them as a numpy array (n,) of numbers or text.

    Parameters
    ----------
    values : array, list or Series, shape (n,) or (n, 1)
    n : int
    name : str
        For messages.

    Raises
    ------
    ValueError
        On another shape, on what is neither number, text nor truth value, on infinite numbers.

    Examples
    --------
    >>> as_column(["a", None, "b"], 3, "labels")
    array(['a', '', 'b'], dtype='<U1')
    """
    columns, _ = columns_of(values)
    if len(columns) != 1 or len(columns[0]) != n:
        shape = shape_of(values, (len(columns[0]) if columns else 0, len(columns)))
        shape = shape[:1] if shape[1:] == (1,) else shape
        raise ValueError(f"{name} must have the shape ({n},); the shape is {shape}")
    raw = columns[0]
    parsed = parse(raw, name, name)
    hidden = raw.dtype.kind in "iu" and np.isnan(parsed.values).any()  # nan that was cast
    if isinstance(raw, np.ndarray) and raw.dtype.kind in "fiubU" and not hidden:
        return raw if raw.dtype.isnative else raw.astype(raw.dtype.newbyteorder("="))
    table = Factors(
        parsed.values[:, None], ("categorical",), (name,), (np.nan,), (parsed.classes,)
    )
    return table.column(0)


def _names(names: Sequence[str] | None, k: int) -> tuple[str, ...]:
    if names is None:
        return ()
    if isinstance(names, str) or len(names) != k:
        raise ValueError(f"factor_names must be {k} names; got {names!r}")
    return tuple(one_line(str(name)) for name in names)


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
