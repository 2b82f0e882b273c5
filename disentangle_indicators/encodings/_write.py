"""Writing encodings, atomically."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import as_array, check_finite, one_scale, variance
from disentangle_indicators._files import atomic
from disentangle_indicators._scales import repeated
from disentangle_indicators.encodings._columns import plain, stored_factors
from disentangle_indicators.encodings.formats import WRITERS, suffix_of
from disentangle_indicators.encodings.names import NATIVE
from disentangle_indicators.factors import as_column

_ROWS = 1 << 14
_OF_FACTORS = ("factor_names", "factor_classes", "factor_kinds")


def write_encodings(
    path: str | os.PathLike[str],
    mean: Any,
    *,
    var: Any = None,
    std: Any = None,
    logvar: Any = None,
    logstd: Any = None,
    factors: Any = None,
    factor_names: Sequence[str] | None = None,
    labels: Any = None,
    clusters: Any = None,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write posterior means and variances to a file, whose suffix is its format.

    The scale is stored as log-variance, which does not underflow. The file is written under a
    temporary name beside the target and renamed, so that the target is never half a file.

    Parameters
    ----------
    path : path
        Ends with .npz, .safetensors, .h5, .hdf5, .h5ad, .parquet, .pq or .zarr.zip. An .h5ad file
        has variances, under the names of scvi-tools, and factors and labels in `obs`.
    mean : array, shape (n, d) or (n, C, ...)
        float32 stays float32, half precision becomes float32, everything else float64.
    var, std, logvar, logstd : array, shape of `mean`, (n, 1), (n,), (1, d), (d,) or (), optional
        One of them, or none for means only.
    factors : Factors, array, shape (n, k), or data frame, optional
        Numbers, text and truth values, column by column.
    factor_names : sequence of str, length k, optional
    labels : array, shape (n,), optional
        Numbers; text not in .safetensors and .zarr.zip.
    clusters : array, shape (n,), optional
        Groups of dependent rows; numbers or text, as for labels. Read back by itself.
    metadata : dict of str, optional

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        If an array is not what it must be, or the format cannot hold it.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from disentangle_indicators.encodings import read_encodings, write_encodings
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "encodings.npz")
    ...     _ = write_encodings(path, np.zeros((4, 2)), std=np.full((4, 2), 0.5))
    ...     read_encodings(path).var[0]
    array([0.25, 0.25])
    """
    path = Path(path)
    check_suffix(path)
    arrays = {"mean": host(mean, "mean")}
    shape = arrays["mean"].shape
    if len(shape) < 2 or 0 in shape:
        raise ValueError(f"mean must have the shape (n, d); its shape is {shape}")
    check_finite(arrays["mean"], "mean")
    scale, values = one_scale(var, std, logvar, logstd)
    if scale:
        arrays["logvar"] = log_variance(host(values, scale), scale, shape)
    arrays |= beside(path, shape[0], factors, factor_names, labels, clusters)
    with atomic(path) as temporary:
        store(temporary, path, arrays, metadata)
    return path


def check_suffix(path: Path) -> None:
    if suffix_of(path) not in WRITERS:
        raise ValueError(
            f"{path}: encodings are written to {' or '.join(WRITERS)}, not to {path.suffix!r}"
        )


def beside(
    path: Path,
    n: int,
    factors: Any,
    factor_names: Sequence[str] | None,
    labels: Any,
    clusters: Any,
) -> dict[str, NDArray[Any]]:
    """Check what belongs to the rows, and return the arrays to be stored."""
    arrays: dict[str, NDArray[Any]] = {}
    if factors is not None:
        text = WRITERS[suffix_of(path)].HOLDS_TEXT
        arrays |= stored_factors(factors, n, factor_names or None, text=text)
    elif factor_names is not None:
        raise ValueError("factor_names are given without factors")
    if labels is not None:
        arrays["labels"] = as_column(labels, n, "labels")
    if clusters is not None:
        arrays["clusters"] = as_column(clusters, n, "clusters")
    return arrays


def store(
    temporary: Path,
    path: Path,
    arrays: dict[str, NDArray[Any]],
    metadata: Mapping[str, str] | None,
) -> None:
    said = {str(k): str(v) for k, v in (metadata or {}).items() if k not in _OF_FACTORS}
    said |= {"format": NATIVE, "scale": "logvar" if "logvar" in arrays else ""}
    suffix = suffix_of(path)
    for name in () if WRITERS[suffix].HOLDS_TEXT else _OF_FACTORS:
        if name in arrays:
            said[name] = json.dumps(arrays.pop(name).tolist())
    with open(temporary, "wb"):  # an error of the system's, before one of a library's
        pass
    WRITERS[suffix].write(temporary, arrays, said)


def host(values: Any, name: str) -> NDArray[Any]:
    return plain(as_array(values, name))


def log_variance(values: NDArray[Any], scale: str, shape: tuple[int, ...]) -> NDArray[Any]:
    if values.shape != shape and (found := repeated(values.shape, shape, scale)):
        values = np.broadcast_to(values.reshape(found[0]), shape)
    if values.shape != shape:
        raise ValueError(
            f"mean and {scale} must have the same shape; got {shape} and {values.shape}"
        )
    variance(values, scale)
    wide = np.log(values, dtype=np.float64) if scale in ("var", "std") else values
    return np.asarray(wide * (2 if scale in ("std", "logstd") else 1), dtype=values.dtype)
