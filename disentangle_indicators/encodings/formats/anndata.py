"""AnnData (.h5ad) and MuData (.h5mu) through h5py alone: of their arrays, obs and obsm.

Written are the names under which scvi-tools keeps its posteriors, so that both sides find them:
`obsm/X_latent_qzm`, `obsm/X_latent_qzv`, and factors, labels and clusters as columns of `obs`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators.encodings.formats import hdf5

SUFFIXES = (".h5ad", ".h5mu")
MEMORY = "a block of chunks; a decoded column"
EXTRA = hdf5.EXTRA
HOLDS_TEXT = False
WRITTEN = (".h5ad",)
"""Suffixes that are written."""

MEAN, VARIANCE = "X_latent_qzm", "X_latent_qzv"

read = hdf5.read


def matches(path: Path, head: bytes) -> bool:
    """Whether a file is surely AnnData; its reader is that of HDF5, which matches first."""
    return False


def write(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> None:
    """Write an AnnData file without expression values."""
    mean = arrays["mean"]
    n = len(mean)
    columns = _columns(arrays, metadata)
    with hdf5.created(path) as root:
        _encode(root, "anndata", "0.1.0")
        obsm = _group(root, "obsm")
        _array(obsm, MEAN, mean.reshape(n, -1))
        if "logvar" in arrays:
            _array(obsm, VARIANCE, _variance(arrays["logvar"].reshape(n, -1)))
        _table(root, "obs", columns, [str(i) for i in range(n)])
        _table(root, "var", {}, [])
        for name in ("layers", "obsp", "varm", "varp", "uns"):
            _group(root, name)
        uns = _group(root["uns"], "dindic")
        for key, value in metadata.items():
            _encode(uns.create_dataset(key, data=value), "string", "0.2.0")


def _columns(
    arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> dict[str, NDArray[Any]]:
    """Return the columns of obs by name."""
    columns: dict[str, NDArray[Any]] = {}
    if "factors" in arrays:
        names = json.loads(metadata.get("factor_names", "null"))
        names = names or [f"factor_{k}" for k in range(arrays["factors"].shape[1])]
        classes = json.loads(metadata.get("factor_classes", "null")) or ["null"] * len(names)
        for name, column, words in zip(names, arrays["factors"].T, classes, strict=True):
            known = json.loads(words)
            columns[name] = column if known is None else _named(column, known)
    return columns | {key: arrays[key] for key in ("labels", "clusters") if key in arrays}


def _named(index: NDArray[Any], classes: list[str]) -> NDArray[Any]:
    """Return the classes that a column of numbers stands for; "" where it is nan."""
    words = np.array([*classes, ""])
    return np.asarray(words[np.where(np.isnan(index), -1, index).astype(int)])


def _variance(logvar: NDArray[Any]) -> NDArray[Any]:
    """Return variances, in double precision where they underflow otherwise."""
    var: NDArray[Any] = np.exp(logvar)
    return var if var.all() else np.exp(logvar, dtype=np.float64)


def _encode(node: Any, kind: str, version: str) -> None:
    node.attrs.update({"encoding-type": kind, "encoding-version": version})


def _group(parent: Any, name: str) -> Any:
    group = parent.create_group(name)
    _encode(group, "dict", "0.1.0")
    return group


def _array(parent: Any, name: str, values: NDArray[Any]) -> None:
    text = values.dtype.kind == "U"
    _encode(hdf5.store(parent, name, values), "string-array" if text else "array", "0.2.0")


def _table(parent: Any, name: str, columns: Mapping[str, NDArray[Any]], index: list[str]) -> None:
    import h5py

    table = parent.create_group(name)
    _encode(table, "dataframe", "0.2.0")
    order = np.array(list(columns), dtype=object)
    table.attrs.create("column-order", order, dtype=h5py.string_dtype())
    table.attrs["_index"] = "_index"
    for column, values in columns.items():
        _array(table, column, values)
    _array(table, "_index", np.array(index, dtype=str))
