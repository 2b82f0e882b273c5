"""Hierarchical files (HDF5, zarr) as named arrays: the key of an array is its path in the file.

AnnData and MuData files are such trees in which a group may stand for one array: a table, a
categorical or nullable column, a sparse matrix. Their attribute `encoding-type` names which
(the on-disk format of anndata 0.7 and later). Of these files only `obs` and `obsm` are listed.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators.encodings._stored import (
    Stored,
    check_count,
    check_size,
    cut,
    cut_anew,
    native,
    reading,
    refused,
)

__all__ = ["arrays_of", "metadata_of"]

Opener = Callable[[], AbstractContextManager[Any]]
"""Opens the root group of the file anew."""

ROOTS = ("anndata", "MuData")
"""Values of the root's `encoding-type`, beside which only tables of observations are listed."""

LISTED = ("obs", "obsm")

PICKLED = ("filters", "codecs", "compressor", "compressors", "serializer")
"""Entries of the metadata of a zarr array in which a codec is named."""


def arrays_of(path: Path, root: Any, opener: Opener) -> dict[str, Stored]:
    """Return the arrays of a tree by their path.

    Parameters
    ----------
    path : Path
        For messages.
    root : group
        Of h5py or zarr, open.
    opener : callable
    """
    with _without_warnings():
        _refuse_old(root)
        return {
            stored.name: stored
            for name, node in _leaves(root)
            for stored in _of_node(path, name, node, opener)
        }


def _refuse_old(root: Any) -> None:
    """Refuse AnnData files whose obs is an array of records, and tables of pandas.

    Raises
    ------
    ValueError
        With the line that writes the file anew.
    """
    keys = sorted(root.keys())
    check_count(len(keys))
    children = {str(key): _child(root, key) for key in keys}
    tables = [children[name] for name in LISTED if name in children]
    if any(getattr(getattr(node, "dtype", None), "names", None) for node in tables):
        raise ValueError(
            "an AnnData file as anndata wrote it before version 0.7; write it anew with "
            "anndata.read_h5ad(path).write_h5ad('encodings.h5ad')"
        )
    for key, child in children.items():
        if child is not None and _string(child.attrs.get("pandas_type", "")):
            raise ValueError(
                f"{key!r} is a table that pandas wrote with PyTables, which is not read; write it as "
                f"pandas.read_hdf(path, {key!r}).to_csv('encodings.csv', index=False)"
            )


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keep back what zarr says about writing text, which nobody does here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Zarr V3 specification")
        yield


def metadata_of(root: Any) -> dict[str, str]:
    """Return the attributes of the root that are text, but for those that name its own encoding."""
    return {
        key: value
        for key, value in root.attrs.items()
        if isinstance(value, str) and not key.startswith("encoding-")
    }


def _kind(node: Any) -> str:
    """Return the `encoding-type` of a node, "" for none."""
    return _string(node.attrs.get("encoding-type", ""))


def _is_group(node: Any) -> bool:
    return hasattr(node, "keys")


def _is_annotated(root: Any) -> bool:
    """Whether a root is that of AnnData or MuData; before anndata 0.8 only `obs` says so."""
    if _kind(root) in ROOTS:
        return True
    return "obsm" in root and "obs" in root and _kind(root["obs"]) == "dataframe"


def _leaves(root: Any) -> Iterator[tuple[str, Any]]:
    """Yield the nodes that are one array or one table, with their paths."""
    annotated = _is_annotated(root)
    pending = [(str(key), root, str(key)) for key in sorted(root.keys())]
    for count, (name, parent, key) in enumerate(pending):  # which grows on the way
        check_count(count)  # a group may contain itself
        node = None if annotated and not _listed(name) else _child(parent, key)
        if node is None:
            continue
        if _is_group(node) and _kind(node) in ("", "dict", *ROOTS):
            pending += [(f"{name}/{each}", node, str(each)) for each in sorted(node.keys())]
        else:
            yield name, node


def _listed(name: str) -> bool:
    """Whether a path of an AnnData or MuData file leads to a table of observations."""
    parts = name.split("/")
    if parts[0] == "mod":
        return len(parts) < 3 or parts[2] in LISTED
    return parts[0] in LISTED


def _child(parent: Any, key: str) -> Any:
    """Return a member of a group; None for a link into another file, which is not followed."""
    if not type(parent).__module__.startswith("h5py"):
        return parent[key]
    import h5py

    external = isinstance(parent.get(key, getlink=True), h5py.ExternalLink)
    return None if external else parent.get(key)  # None for a link that leads nowhere


def _of_node(path: Path, name: str, node: Any, opener: Opener) -> Iterator[Stored]:
    """Yield the arrays that a node stands for."""
    kind = _kind(node)
    if not _is_group(node):
        yield _dataset(path, name, node, opener)
    elif kind == "dataframe":
        yield from _table(path, name, node, opener)
    elif kind in DECODED:
        decode, dtype, shape = DECODED[kind], DTYPES.get(kind, "float64"), _shape(node)
        yield _decoded(path, name, shape, dtype, decode, opener)


def _shape(group: Any) -> tuple[int, ...]:
    """Return the shape of the array that a group stands for."""
    for key in ("codes", "values"):
        if key in group:
            return tuple(group[key].shape)
    return tuple(int(size) for size in group.attrs["shape"])


def _dataset(path: Path, name: str, node: Any, opener: Opener) -> Stored:
    shape, dtype = tuple(node.shape), node.dtype
    if getattr(node, "external", None) or getattr(node, "is_virtual", False):
        return refused(
            name, shape, str(dtype), path, "is stored in another file; copy it into one"
        )
    if _is_pickled(node):
        return refused(
            name, shape, "object", path, "is stored with pickle, which may run code; re-save it as "
            "numbers or fixed-length text"
        )  # fmt: skip
    if getattr(dtype, "kind", "T") in "OSTU":
        return _decoded(path, name, shape, "str", _text, opener)
    if dtype.kind not in "fiub":
        return refused(name, shape, str(dtype), path, f"must be numbers or text; it is {dtype}")
    chunk = _chunk(node)
    if chunk and prod(chunk) * dtype.itemsize > 0:
        check_size(path, f"a chunk of {name}", prod(chunk) * dtype.itemsize)

    def parts(rows: int) -> Iterator[NDArray[Any]]:
        height = chunk[0] if chunk else 1
        step = -(-rows // height) * height  # whole chunks, so that each is inflated once
        with opener() as root:
            source = root[name]
            for start in range(0, shape[0], step):
                yield native(np.asarray(source[start : start + step]))

    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        with reading(path):
            if shape:
                yield from cut_anew(parts(rows), rows)
                return
            with opener() as root:
                yield native(np.asarray(root[name][()]))

    return Stored(name, shape, dtype.name, blocks)


def _chunk(node: Any) -> tuple[int, ...]:
    """Return the shape of what is inflated at once; () for an array that is not compressed."""
    return tuple(getattr(node, "shards", None) or getattr(node, "chunks", None) or ())


def _is_pickled(node: Any) -> bool:
    """Whether a zarr array names a codec that unpickles."""
    metadata = getattr(node, "metadata", None)
    entries = metadata.to_dict() if metadata is not None else {}
    return any("pickle" in str(entries.get(key, "")).lower() for key in PICKLED)


def _table(path: Path, name: str, node: Any, opener: Opener) -> Iterator[Stored]:
    """Yield the columns of a table by their paths; in obsm, the table as one array."""
    order = [_string(column) for column in node.attrs.get("column-order", ())]
    if "obsm" not in name.split("/"):
        for column in order:
            if f"__categories/{column}" in node:  # as before anndata 0.8
                shape, names = tuple(node[column].shape), _old_categorical(column)
                yield _decoded(path, f"{name}/{column}", shape, "str", names, opener, at=name)
            else:
                yield from _of_node(path, f"{name}/{column}", node[column], opener)
        return
    n = int(node[_string(node.attrs.get("_index", "_index"))].shape[0])

    def decode(group: Any) -> NDArray[Any]:
        return np.stack([np.asarray(group[column][()], float) for column in order], axis=1)

    yield _decoded(path, name, (n, len(order)), "float64", decode, opener)


def _decoded(
    path: Path,
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    decode: Callable[[Any], NDArray[Any]],
    opener: Opener,
    *,
    at: str = "",
) -> Stored:
    """Return an array that is decoded whole, from the node `at` or that of its name."""

    def blocks(rows: int) -> Iterator[NDArray[Any]]:
        with reading(path), _without_warnings(), opener() as root:
            check_size(path, name, 8 * prod(shape))
            whole = decode(root[at or name])
        yield from cut(whole, rows)

    return Stored(name, shape, dtype, blocks)


def _string(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _text(node: Any) -> NDArray[Any]:
    """Return an array of text."""
    if hasattr(node, "asstr") and node.dtype.kind == "O":
        values = _cells(node) if _is_references(node) else node.asstr()[()]
    else:
        values = node[()]
    flat = [_string(value) for value in np.asarray(values, dtype=object).ravel()]
    return np.array(flat, dtype=str).reshape(node.shape)


def _is_references(node: Any) -> bool:
    import h5py

    return h5py.check_ref_dtype(node.dtype) is not None


def _cells(node: Any) -> NDArray[Any]:
    """Return the text of cells of MATLAB, which are references to arrays of UTF-16."""
    words = np.empty(node.shape, dtype=object)
    for at, reference in np.ndenumerate(node[()]):
        letters = node.file[reference]
        if _string(letters.attrs.get("MATLAB_class", "")) != "char":
            raise ValueError(f"{node.name[1:]!r} holds references to other than text")
        codes = [] if "MATLAB_empty" in letters.attrs else letters[()]
        words[at] = np.asarray(codes, "<u2").tobytes().decode("utf-16-le", "replace")
    return words


def _categories(node: Any) -> NDArray[Any]:
    """Return the names of categories as text, and behind them the missing one."""
    names = DECODED[_kind(node)](node) if _is_group(node) else _text(node)
    return np.append(names.astype(str), "")


def _categorical(group: Any) -> NDArray[Any]:
    """Return the categories of rows as text, "" where they are missing, which is code -1."""
    return np.asarray(_categories(group["categories"])[np.asarray(group["codes"][()])])


def _old_categorical(column: str) -> Callable[[Any], NDArray[Any]]:
    """Return what decodes a column of a table that keeps the categories of all columns apart."""

    def decode(table: Any) -> NDArray[Any]:
        names = _categories(table[f"__categories/{column}"])
        return np.asarray(names[np.asarray(table[column][()])])

    return decode


def _nullable(group: Any) -> NDArray[Any]:
    """Return numbers, nan where masked, or text and truth values as text, "" where masked."""
    values, mask = group["values"], np.asarray(group["mask"][()], dtype=bool)
    if getattr(values.dtype, "kind", "T") in "bOSTU":
        return np.where(mask, "", _text(values))
    return np.where(mask, np.nan, np.asarray(values[()], dtype=float))


def _sparse(group: Any) -> NDArray[Any]:
    from scipy import sparse

    made = sparse.csr_array if _kind(group) == "csr_matrix" else sparse.csc_array
    data, indices, indptr = (np.asarray(group[key][()]) for key in ("data", "indices", "indptr"))
    rows, columns = _shape(group)
    return np.asarray(made((data, indices, indptr), shape=(rows, columns)).toarray())


DECODED: dict[str, Callable[[Any], NDArray[Any]]] = {
    "categorical": _categorical,
    "nullable-integer": _nullable,
    "nullable-boolean": _nullable,
    "nullable-string-array": _nullable,
    "csr_matrix": _sparse,
    "csc_matrix": _sparse,
}
"""What makes one array of a group of each encoding."""

DTYPES = dict.fromkeys(("categorical", "nullable-boolean", "nullable-string-array"), "str")
"""Its dtype, float64 for the others."""
