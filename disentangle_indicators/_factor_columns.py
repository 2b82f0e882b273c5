"""The columns of a table of factors, labels or clusters, as numbers and names of classes."""

from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import Float, on_host

__all__ = ["EXACT", "TRUTH", "Column", "columns_of", "parse", "shape_of", "side_by_side"]

TRUTH = ("False", "True")
"""Classes of truth values."""

MISSING = ("", "nan", "NaN", "NAN", "NA", "N/A", "<NA>", "None", "NaT", "null", "NULL")
"""Text that stands for a missing value."""

CAST = (-(2.0**63), -(2.0**31))
"""What nan becomes when it is cast to an integer of 64 or 32 bits."""

EXACT = 2.0**53
"""Greatest whole number up to which float64 holds all."""


class Column(NamedTuple):
    """A column as numbers; `ordered` says that its classes have an order."""

    values: Float
    classes: tuple[str, ...] | None
    ordered: bool


def columns_of(factors: Any) -> tuple[list[Any], list[str]]:
    """Return the columns as numpy arrays or pandas Series, and their names."""
    if hasattr(factors, "__arrow_c_stream__") and not hasattr(factors, "iloc"):
        return _of_frame(factors)
    if hasattr(factors, "iloc"):  # pandas, which is not imported here
        if hasattr(factors, "columns"):
            k = factors.shape[1]
            return [factors.iloc[:, i] for i in range(k)], [str(name) for name in factors.columns]
        return [factors], ["factor_0" if factors.name is None else str(factors.name)]
    table = _array(factors)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2:
        return [], []
    return list(table.T), [f"factor_{i}" for i in range(table.shape[1])]


def _of_frame(factors: Any) -> tuple[list[Any], list[str]]:
    """Return the columns of a table of polars, pyarrow or another library that narwhals reads."""
    import narwhals as nw

    frame = nw.from_native(factors, allow_series=True)
    if isinstance(frame, nw.Series):
        return [_of_arrow(frame)], [frame.name or "factor_0"]
    return [_of_arrow(frame[name]) for name in frame.columns], list(frame.columns)


def _of_arrow(series: Any) -> NDArray[Any]:
    """Return a column as numbers, or as objects where there is text, truth or a missing value."""
    import narwhals as nw

    if series.dtype.is_numeric() and not series.null_count():
        return np.asarray(series.to_numpy())
    out = np.empty(len(series), dtype=object)
    out[:] = series.to_list()
    if series.dtype in (nw.Categorical, nw.Enum):
        out[:] = ["" if value is None else str(value) for value in out]
    return out


def _array(factors: Any) -> NDArray[Any]:
    try:
        table = on_host(factors)
    except ValueError as error:
        raise ValueError(f"factors must have rows of one length ({error})") from error
    if isinstance(factors, (list, tuple)):
        nested = not any(hasattr(row, "__array__") for row in factors)
        if nested or table.dtype.kind in "US":  # numpy has given all columns one dtype
            return np.array(factors, dtype=object)
    return table.astype(object) if table.dtype.kind == "T" else table


def shape_of(factors: Any, columns: tuple[int, int]) -> tuple[int, ...]:
    if columns[1]:
        return columns
    return tuple(factors.shape if hasattr(factors, "shape") else np.shape(factors))


def parse(column: Any, name: str, what: str = "factors") -> Column:
    if hasattr(column, "iloc"):
        return _of_series(column, name, what)
    kind = column.dtype.kind
    if kind == "b":
        return Column(column.astype(np.float64), TRUTH, ordered=True)
    if kind in "fiu":
        return Column(_finite(column.astype(np.float64), name, what), None, ordered=True)
    if kind == "S":
        return _of_text(np.char.decode(column, "utf-8", "backslashreplace"))
    if kind == "U":
        return _of_text(column)
    if kind == "O":
        return _of_objects(column, name, what)
    raise ValueError(f"{what} must be numbers or text; {name} has the dtype {column.dtype}")


def _of_series(series: Any, name: str, what: str) -> Column:
    """Read a pandas column of any dtype: numpy's, nullable, text or categories."""
    categories = getattr(series.dtype, "categories", None)
    if categories is not None and hasattr(series, "cat"):
        classes = tuple(str(category) for category in categories)
        if len(set(classes)) == len(classes):
            kept = [i for i, word in enumerate(classes) if word not in MISSING]
            index = np.full(len(classes) + 1, np.nan)  # the last one is that of the code -1
            index[kept] = np.arange(len(kept))
            words = tuple(classes[i] for i in kept)
            return Column(index[np.asarray(series.cat.codes)], words, bool(series.cat.ordered))
        return parse(np.asarray(series, dtype=object), name, what)
    if isinstance(series.dtype, np.dtype):
        return parse(np.asarray(series), name, what)
    if series.dtype.kind in "fiu":
        return parse(series.to_numpy(np.float64, na_value=np.nan), name, what)
    return parse(np.asarray(series, dtype=object), name, what)


def _of_text(column: NDArray[Any]) -> Column:
    present = ~np.isin(column, MISSING)
    classes, index = np.unique(column[present], return_inverse=True)
    values = np.full(len(column), np.nan)
    values[present] = index.reshape(-1)
    return Column(values, tuple(str(c) for c in classes), ordered=False)


def _of_objects(column: NDArray[Any], name: str, what: str) -> Column:
    sorts = [_sort(value) for value in column]
    first = {sort: row for row, sort in reversed(list(enumerate(sorts))) if sort != "missing"}
    if "" in first:
        value = column[first[""]]
        raise ValueError(
            f"{what} must be numbers or text; {name}[{first['']}] is a {type(value).__name__}"
        )
    if "text" in first and len(first) > 1:
        row, other = first.pop("text"), min(first.values())
        raise ValueError(
            f"a column must not hold both text and numbers; {name}[{row}] = {column[row]!r} and "
            f"{name}[{other}] = {column[other]!r}"
        )
    missing = np.array([sort == "missing" for sort in sorts], dtype=bool)
    if "text" in first:
        words = [
            "" if gone else v.decode("utf-8", "backslashreplace") if isinstance(v, bytes) else v
            for v, gone in zip(column, missing, strict=True)
        ]
        return _of_text(np.array(words, dtype=str))
    numbers = np.full(len(column), np.nan)
    numbers[~missing] = [_float(value) for value in column[~missing]]
    if set(first) == {"truth"}:
        return Column(numbers, TRUTH, ordered=True)
    return Column(_finite(numbers, name, what), None, ordered=True)


def _sort(value: Any) -> str:
    """Return "missing", "truth", "number" or "text"; "" for anything else."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return "missing"
    if isinstance(value, (str, bytes)):
        word = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
        return "missing" if word in MISSING else "text"
    if isinstance(value, (bool, np.bool_)):
        return "truth"
    if isinstance(value, Real):
        return "number" if value == value else "missing"  # noqa: PLR0124
    return ""


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _finite(numbers: Float, name: str, what: str) -> Float:
    if np.isinf(numbers).any():
        row = int(np.argmax(np.isinf(numbers)))
        raise ValueError(f"{what} must be finite or nan; {name}[{row}] = {numbers[row]}")
    return np.where(np.isin(numbers, CAST), np.nan, numbers)


def side_by_side(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Stack columns (n,) to a table (n, K); of objects where text, truth and numbers meet."""
    if len({column.dtype.kind if column.dtype.kind in "bUO" else "f" for column in columns}) == 1:
        return np.column_stack(list(columns))
    out = np.empty((len(columns[0]), len(columns)), dtype=object)
    for k, column in enumerate(columns):
        out[:, k] = column
    return out
