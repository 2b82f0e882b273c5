"""What belongs to the rows of the encodings: factors (n, k), labels (n,) and clusters (n,)."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._factor_columns import side_by_side
from disentangle_indicators.encodings._many import open_source
from disentangle_indicators.encodings._stored import Contents, native
from disentangle_indicators.encodings.formats import format_of, open_file
from disentangle_indicators.factors import Factors, as_table

Source = str | os.PathLike[str]
"""A key of the file, or the path of another file."""


def plain(values: Any) -> NDArray[Any]:
    """Return an array of any namespace as a numpy array in the byte order of this machine."""
    if array_api_compat.is_torch_array(values):
        values = values.detach().cpu()
    return native(np.asarray(values))


def table_and_array(
    factors: Any, n: int, names: Sequence[str] | None = None
) -> tuple[Factors, NDArray[Any]]:
    """Check factors, and return them as well as an array (n, K); numbers keep their dtype."""
    table = as_table(factors, n, names=names)
    if isinstance(factors, (Factors, list, tuple)) or hasattr(factors, "iloc"):
        return table, table.to_array()
    array = plain(factors)
    array = array[:, None] if array.ndim == 1 else array
    return table, array if array.dtype.kind in "fiubU" else table.to_array()


def stored_factors(
    factors: Any, n: int, names: Sequence[str] | None, *, text: bool
) -> dict[str, NDArray[Any]]:
    """Return the arrays that a file keeps of factors; none of them holds objects.

    Numbers and truth values are kept as they are, and so is text, where the format holds it and
    the sorted values are the classes. Other tables are kept as numbers, beside `factor_classes`:
    for each factor the list of its classes in JSON, or null.
    """
    table, array = table_and_array(factors, n, names)
    arrays = {"factors": array, "factor_names": np.array(table.names)}
    kept = array.dtype.kind in ("fiubU" if text else "fiub")
    if not kept or as_table(array, n).classes != table.classes:
        arrays["factors"] = table.values
        arrays["factor_classes"] = np.array([json.dumps(c) for c in table.classes])
    guessed = as_table(arrays["factors"], n)
    if (guessed.kinds, guessed.classes) != (
        table.kinds,
        table.classes,
    ) or "circular" in table.kinds:
        kinds = zip(table.kinds, table.periods, strict=True)
        arrays["factor_kinds"] = np.array([k if np.isnan(p) else f"{k}:{p!r}" for k, p in kinds])
    return arrays


def with_kinds(values: NDArray[Any], kinds: Sequence[str], classes: Sequence[str]) -> Factors:
    """Return the factors of which :func:`stored_factors` kept the kinds, and numbers for classes."""
    plainly = as_table(values, len(values))
    if not classes:
        return as_table(values, len(values), kinds=kinds or None)
    if kinds and len(kinds) != plainly.number:
        raise ValueError(f"factor_kinds must be {plainly.number}; got {len(kinds)}")
    found = with_classes(plainly, classes)
    told = [kind.partition(":") for kind in kinds or found.kinds]
    return replace(
        found,
        kinds=tuple(kind for kind, _, _ in told),
        guessed=() if kinds else found.guessed,
        periods=tuple(float(period or "nan") for _, _, period in told),
    )


def with_classes(numbers: Factors, classes: Sequence[str]) -> Factors:
    """Return factors whose numbers are the indices of classes."""
    named = tuple(None if c is None else tuple(c) for c in map(json.loads, classes))
    if len(named) != numbers.number:
        raise ValueError(f"factor_classes must be {numbers.number} lists; got {len(named)}")
    for name, column, some in zip(numbers.names, numbers.values.T, named, strict=True):
        index = column[~np.isnan(column)]
        if some is not None and not np.isin(index, np.arange(len(some))).all():
            raise ValueError(f"factor_classes has {len(some)} classes of {name}, and others occur")
    kinds = tuple(
        kind if some is None else "categorical"
        for kind, some in zip(numbers.kinds, named, strict=True)
    )
    guessed = tuple(
        name
        for name, some in zip(numbers.names, named, strict=True)
        if some is None and name in numbers.guessed
    )
    return replace(numbers, kinds=kinds, classes=named, guessed=guessed)


def factors_of(
    contents: Contents, source: Source | None
) -> tuple[Factors | NDArray[Any] | None, tuple[str, ...], tuple[str, ...]]:
    """Return the factors of a key, of several keys joined by commas, or of another file.

    Without a source the key "factors" is taken, when it is there and is a table.

    Returns
    -------
    factors : Factors, or array, shape (n, k) or (n,), or None
    factor_names : tuple of str
        Empty when the file does not say.
    notes : tuple of str
    """
    arrays = contents.arrays
    if source is None:
        if not is_taken(contents, "factors", 1, 2):
            return None, (), ()
        source = "factors"
    if isinstance(source, str) and contents.find(source):
        typed, source = source, str(contents.find(source))
        values, names = arrays[source].read(), _names(contents)
        k = values.shape[1] if values.ndim > 1 else 1
        if source != "factors" and len(names) != k:
            names = (typed,) if k == 1 else ()
        if source != "factors":
            return values, names, ()
        kinds, classes = (_list(contents, f"factor_{what}") for what in ("kinds", "classes"))
        return (with_kinds(values, kinds, classes) if kinds or classes else values), names, ()
    keys = source.split(",") if isinstance(source, str) else []
    if keys and all(map(contents.find, keys)):
        columns = [arrays[str(contents.find(key))].read() for key in keys]
        return side_by_side(columns), tuple(keys), ()
    path = _other(contents, source, "factors")
    module = format_of(path)
    if not hasattr(module, "columns"):
        other = open_file(path)
        values = column_of(contents, path, "factors")
        kinds, classes = (_list(other, f"factor_{what}") for what in ("kinds", "classes"))
        found = with_kinds(values, kinds, classes) if kinds or classes else values
        return found, _names(other), ()
    columns = module.columns(path)
    notes = _without_index(columns, path)
    return side_by_side(list(columns.values())), tuple(columns), notes


def is_taken(contents: Contents, key: str, *axes: int) -> bool:
    """Whether a key is taken without a flag: it has so many axes, and holds no objects."""
    array = contents.arrays.get(key)
    return array is not None and len(array.shape) in axes and array.dtype != "object"


def _without_index(columns: dict[str, NDArray[Any]], path: Path) -> tuple[str, ...]:
    """Drop a first column of text that names the rows, each by another word; note it."""
    name = next(iter(columns), "")
    words = columns.get(name, np.empty(0))
    if len(columns) == 1 or words.dtype.kind != "U" or len(np.unique(words)) < len(words):
        return ()
    del columns[name]
    return (f"the column {name!r} of {path} is no factor: it names each row by another word",)


def column_of(contents: Contents, source: Source, name: str) -> NDArray[Any]:
    """Return the array of a key, or of another file: the one named `name`, or the only one."""
    if isinstance(source, str) and (key := contents.find(source)):
        return contents.arrays[key].read()
    path = _other(contents, source, name)
    other = open_file(path).arrays
    if hasattr(format_of(path), "columns"):
        other = {key: array for key, array in other.items() if key and len(array.shape) == 1}
    found = next((key for key in (name, name.removesuffix("s")) if key in other), None)
    if found is None and len(other) != 1:
        raise ValueError(
            f"{path}: {name} must be one column, and there are {', '.join(other)}; save one of them "
            f"alone, or call it {name}"
        )
    return (other[found] if found else next(iter(other.values()))).read()


def read_column(path: str | os.PathLike[str], source: Source, name: str = "by") -> NDArray[Any]:
    """Read a column that belongs to the rows of a file.

    Parameters
    ----------
    path : path
        The file.
    source : key or path
        An array of the file, or another file with that column alone.
    name : str
        For messages, and the name of the column in the other file.

    Returns
    -------
    array, shape (n,)

    Raises
    ------
    ValueError
        When there is no such column.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "encodings.npz")
    ...     np.savez(path, mean=np.zeros((2, 1)), split=np.array(["train", "test"]))
    ...     read_column(path, "split").tolist()
    ['train', 'test']
    """
    return column_of(open_source(Path(path))[0], source, name)


def _names(contents: Contents) -> tuple[str, ...]:
    if "factor_names" in contents.arrays:
        return tuple(str(name) for name in contents.arrays["factor_names"].read())
    return tuple(str(name) for name in json.loads(contents.metadata.get("factor_names", "[]")))


def _list(contents: Contents, name: str) -> tuple[str, ...]:
    """Return a list of text that :func:`stored_factors` made, an array or in the metadata."""
    if name in contents.arrays:
        return tuple(str(words) for words in contents.arrays[name].read())
    return tuple(str(words) for words in json.loads(contents.metadata.get(name, "[]")))


def _other(contents: Contents, source: Source, name: str) -> Path:
    if not Path(source).exists():
        raise ValueError(
            f"{name}: {str(source)!r} is neither a key nor a file; the keys are "
            f"{contents.listing()}"
        )
    return Path(source)
