"""What belongs to the rows of the encodings: factors (n, k), labels (n,) and clusters (n,)."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from disentangle_indicators.encodings import tabular
from disentangle_indicators.encodings._formats import FORMATS, open_file
from disentangle_indicators.encodings._stored import Contents, native

Source = str | os.PathLike[str]
"""A key of the file, or the path of another file."""


def as_table(values: Any, n: int) -> NDArray[Any]:
    """Check factors, shape (n, k) or (n,), and return them as an array of numbers (n, k)."""
    table = plain(values)
    if table.dtype.kind not in "fiub":
        raise ValueError(f"factors must be numbers; the dtype is {table.dtype}")
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2 or len(table) != n or table.shape[1] == 0:
        raise ValueError(f"factors must have the shape ({n}, k); the shape is {table.shape}")
    return table


def as_column(values: Any, n: int, name: str) -> NDArray[Any]:
    """Check labels or clusters, shape (n,) or (n, 1), and return them as an array (n,)."""
    column = plain(values)
    if column.dtype.kind == "O" and all(isinstance(value, str) for value in column.flat):
        column = column.astype(str)
    if column.dtype.kind not in "fiubU":
        raise ValueError(f"{name} must be numbers or text; the dtype is {column.dtype}")
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.shape != (n,):
        raise ValueError(f"{name} must have the shape ({n},); the shape is {column.shape}")
    return column


def as_names(names: Sequence[str] | None, k: int) -> tuple[str, ...]:
    """Return the names of k factors, "factor_0" and so on when there are none."""
    if not names:
        return tuple(f"factor_{i}" for i in range(k))
    if isinstance(names, str) or len(names) != k:
        raise ValueError(f"factor_names must be {k} names; got {names!r}")
    return tuple(str(name) for name in names)


def plain(values: Any) -> NDArray[Any]:
    """Return an array of any namespace as a numpy array in the byte order of this machine."""
    if array_api_compat.is_torch_array(values):
        values = values.detach().cpu()
    return native(np.asarray(values))


def factors_of(
    contents: Contents, source: Source | None
) -> tuple[NDArray[Any] | None, tuple[str, ...]]:
    """Return the factors of a key, of several keys joined by commas, or of another file.

    Without a source the key "factors" is taken, when it is there and is a table.

    Returns
    -------
    factors : array, shape (n, k) or (n,), or None
    factor_names : tuple of str
        Empty when the file does not say.
    """
    arrays = contents.arrays
    if source is None:
        if "factors" not in arrays or len(arrays["factors"].shape) not in (1, 2):
            return None, ()
        source = "factors"
    if isinstance(source, str) and source in arrays:
        values, names = arrays[source].read(), _names(contents)
        k = values.shape[1] if values.ndim > 1 else 1
        if source != "factors" and len(names) != k:
            names = (source,) if k == 1 else ()
        return values, names
    keys = source.split(",") if isinstance(source, str) else []
    if keys and all(key in arrays for key in keys):
        return np.column_stack([arrays[key].read() for key in keys]), tuple(keys)
    path = _other(contents, source, "factors")
    if FORMATS.get(path.suffix.lower()) is not tabular:
        return column_of(contents, path, "factors"), _names(open_file(path))
    columns = tabular.columns(path)
    for name, values in columns.items():
        if values.dtype.kind == "U":
            raise ValueError(f"{path}: factors must be numbers; the column {name!r} holds text")
    return np.column_stack(list(columns.values())), tuple(columns)


def column_of(contents: Contents, source: Source, name: str) -> NDArray[Any]:
    """Return the array of a key, or of another file that holds it under `name` or alone."""
    if isinstance(source, str) and source in contents.arrays:
        return contents.arrays[source].read()
    path = _other(contents, source, name)
    other = open_file(path).arrays
    if FORMATS[path.suffix.lower()] is tabular:
        other = {key: array for key, array in other.items() if key and len(array.shape) == 1}
    if name not in other and len(other) != 1:
        raise ValueError(f"{path}: {name} must be alone or named so; there are {', '.join(other)}")
    return (other[name] if name in other else next(iter(other.values()))).read()


def _names(contents: Contents) -> tuple[str, ...]:
    if "factor_names" in contents.arrays:
        return tuple(str(name) for name in contents.arrays["factor_names"].read())
    return tuple(str(name) for name in json.loads(contents.metadata.get("factor_names", "[]")))


def _other(contents: Contents, source: Source, name: str) -> Path:
    if not Path(source).exists():
        raise ValueError(
            f"{name}: {str(source)!r} is neither a key nor a file; the keys are "
            f"{contents.listing()}"
        )
    return Path(source)
