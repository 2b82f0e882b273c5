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
from disentangle_indicators.encodings import npz, safetensors
from disentangle_indicators.encodings._columns import as_column, as_names, as_table, plain
from disentangle_indicators.encodings.keys import NATIVE

WRITERS = {".npz": npz, ".safetensors": safetensors}


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
    cluster: Any = None,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write posterior means and variances to an .npz or a .safetensors file.

    The scale is stored as log-variance, which does not underflow. The file is written under a
    temporary name beside the target and renamed, so that the target is never half a file.

    Parameters
    ----------
    path : path
        Ends with .npz or .safetensors.
    mean : array, shape (n, d) or (n, C, ...)
        float32 stays float32, half precision becomes float32, everything else float64.
    var, std, logvar, logstd : array, shape of `mean`, optional
        One of them, or none for means only.
    factors : array of numbers, shape (n, k), optional
    factor_names : sequence of str, length k, optional
    labels : array, shape (n,), optional
        Numbers; text only in .npz.
    cluster : array, shape (n,), optional
        Groups of dependent rows; numbers, or text only in .npz. Read back by itself.
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
    if path.suffix.lower() not in WRITERS:
        raise ValueError(
            f"{path}: encodings are written to {' or '.join(WRITERS)}, not to {path.suffix!r}"
        )
    arrays = {"mean": _host(mean, "mean")}
    shape = arrays["mean"].shape
    if len(shape) < 2 or 0 in shape:
        raise ValueError(f"mean must have the shape (n, d); its shape is {shape}")
    check_finite(arrays["mean"], "mean")
    scale, values = one_scale(var, std, logvar, logstd)
    if scale:
        arrays["logvar"] = _logvar(_host(values, scale), scale, shape)
    if factors is not None:
        arrays["factors"] = as_table(factors, len(arrays["mean"]))
        k = arrays["factors"].shape[1]
        arrays["factor_names"] = np.array(as_names(factor_names, k))
    elif factor_names is not None:
        raise ValueError("factor_names are given without factors")
    if labels is not None:
        arrays["labels"] = as_column(labels, len(arrays["mean"]), "labels")
    if cluster is not None:
        arrays["cluster"] = as_column(cluster, len(arrays["mean"]), "cluster")
    said = {str(k): str(v) for k, v in (metadata or {}).items() if k != "factor_names"}
    said |= {"format": NATIVE, "scale": "logvar" if scale else ""}
    if path.suffix.lower() == ".safetensors" and "factor_names" in arrays:
        said["factor_names"] = json.dumps(arrays.pop("factor_names").tolist())
    with atomic(path) as temporary:
        WRITERS[path.suffix.lower()].write(temporary, arrays, said)
    return path


def _host(values: Any, name: str) -> NDArray[Any]:
    return plain(as_array(values, name))


def _logvar(values: NDArray[Any], scale: str, shape: tuple[int, ...]) -> NDArray[Any]:
    if values.shape != shape:
        raise ValueError(
            f"mean and {scale} must have the same shape; got {shape} and {values.shape}"
        )
    variance(values, scale)
    wide = np.log(values, dtype=np.float64) if scale in ("var", "std") else values
    return np.asarray(wide * (2 if scale in ("std", "logstd") else 1), dtype=values.dtype)
