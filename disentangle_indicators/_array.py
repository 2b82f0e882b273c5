"""The array namespace of the arguments, and the checks of the public edge.

Inside the library every scale is a variance and every array has already passed through here, so
the formulas check nothing.
"""

import math
from collections.abc import Iterator
from typing import Any

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._scales import SCALES

Array = Any
"""An array of any namespace: numpy, torch on any device, array-api-strict."""

Float = NDArray[np.float64]

LOG_2PI = math.log(2 * math.pi)

_CACHE_BYTES = 1 << 21
_DEVICE_BYTES = 1 << 27
_STREAM = 0x71A  # of all draws from a seed


def as_array(values: Any, name: str) -> Array:
    """Return `values` as a real floating array of its own namespace, cut from any autograd graph.

    Half-precision floats become float32 and integers float64, because a sum of squares in eleven
    bits is noise. Lists and data frames become numpy arrays.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise ValueError(  # noqa: TRY004 - all bad input is a ValueError
            f"{name} is a masked array: drop or fill its masked entries first"
        )
    if isinstance(values, np.ndarray) or not array_api_compat.is_array_api_obj(values):
        values = np.asarray(values)
    elif array_api_compat.is_torch_array(values):
        values = _dense(values, name).detach()
    elif array_api_compat.is_jax_array(values):
        # jax has no float64 unless asked for, and sums are float64
        small = "float16" in str(values.dtype)
        values = np.asarray(values.astype("float32") if small else values)
    xp = array_api_compat.array_namespace(values)
    if array_api_compat.is_numpy_array(values) and values.dtype.kind not in "fiu":
        raise ValueError(f"{name} must hold real numbers; its dtype is {values.dtype}")
    if values.dtype in (xp.float32, xp.float64):
        return values
    if xp.isdtype(values.dtype, ("complex floating", "bool")):
        raise ValueError(f"{name} must hold real numbers; its dtype is {values.dtype}")
    if xp.isdtype(values.dtype, "integral"):
        return widen(xp, values)
    small = "float16" in str(values.dtype)
    return xp.astype(values, xp.float32 if small else xp.float64)


def _dense(tensor: Array, name: str) -> Array:
    """Refuse a tensor of torch whose numbers are not there, or not one by one."""
    if str(tensor.layout) != "torch.strided":
        raise ValueError(f"{name} is a sparse tensor: give {name}.to_dense()")
    if tensor.device.type == "meta":
        raise ValueError(f"{name} is on the meta device, so that it has a shape and no numbers")
    if tensor.is_quantized:
        raise ValueError(f"{name} is a quantised tensor: give {name}.dequantize()")
    return tensor


def as_mean(mean: Any) -> tuple[Any, Array]:
    """Check the means of the posteriors and return their namespace and the array (..., n, d)."""
    mean = as_array(mean, "mean")
    if mean.ndim < 2:
        raise ValueError(f"mean must have the shape (..., n, d); its shape is {tuple(mean.shape)}")
    for axis, word in ((-2, "rows"), (-1, "latents")):
        if mean.shape[axis] == 0:
            raise ValueError(f"mean has no {word}; its shape is {tuple(mean.shape)}")
    return array_api_compat.array_namespace(mean), mean


def as_pair(mean: Any, values: Any, name: str = "var") -> tuple[Any, Array, Array]:
    """Check that means and variances belong together; return the namespace and both arrays."""
    xp, mean = as_mean(mean)
    if values is None:
        raise ValueError(
            "the width of the posteriors is missing: give var=, std=, logvar= or logstd="
        )
    values = as_array(values, name)
    if array_api_compat.array_namespace(values) is not xp:
        raise ValueError(
            f"mean and {name} must come from one library; got {type(mean).__module__} and "
            f"{type(values).__module__}"
        )
    if tuple(values.shape) != tuple(mean.shape):
        raise ValueError(
            f"mean and {name} must have the same shape; got {tuple(mean.shape)} and "
            f"{tuple(values.shape)}"
        )
    return xp, mean, values


def as_posteriors(
    mean: Any, var: Any, std: Any, logvar: Any, logstd: Any, first_row: int = 0
) -> tuple[Any, Array, Array]:
    """Check means and the one scale that is given; return namespace, means and variances.

    Variances that are given as variances are checked by what sums over them.
    """
    scale, values = one_scale(var, std, logvar, logstd)
    xp, mean, values = as_pair(mean, values, scale or "var")
    return xp, mean, values if scale == "var" else variance(values, scale, first_row)


def as_codes(codes: Any) -> Float:
    """Check codes (n, d) and return them as a numpy float64 array."""
    codes = as_array(codes, "codes")
    if codes.ndim != 2 or 0 in codes.shape:
        raise ValueError(f"codes must have the shape (n, d); the shape is {tuple(codes.shape)}")
    as_mean(codes)
    check_finite(codes, "codes")
    return to_numpy(codes)


def check_finite(array: Array, name: str, first_row: int = 0) -> None:
    """Raise a ValueError that names the first NaN or infinity of a (..., n, d) array."""
    xp = array_api_compat.array_namespace(array)
    with np.errstate(all="ignore"):
        if bool(xp.isfinite(xp.sum(array))):
            return  # one read and no array of flags; a NaN or an infinity would be in the sum
    _refuse(xp, array, ~xp.isfinite(array), f"{name} must be finite", name, first_row)


def check_positive(array: Array, name: str, first_row: int = 0) -> None:
    """Raise a ValueError that names the first entry of a (..., n, d) array that is not above 0."""
    xp = array_api_compat.array_namespace(array)
    check_finite(array, name, first_row)
    if bool(xp.min(array) > 0):
        return
    rule = f"{name} must be positive"
    if bool(xp.any(array < 0)):
        rule += " (negative numbers look like a logarithm: is this logvar or logstd?)"
    elif bool(xp.any(array == 0)):
        rule += " (an exact zero is an underflow: export the logarithm, or float64)"
    _refuse(xp, array, array <= 0, rule, name, first_row)


def _refuse(xp: Any, array: Array, bad: Array, rule: str, name: str, first_row: int) -> None:
    if bool(xp.any(bad)):
        flat = int(xp.argmax(xp.astype(xp.reshape(bad, (-1,)), xp.int8)))
        where = [int(i) for i in np.unravel_index(flat, tuple(array.shape))]
        if array.ndim > 1:
            where[-2] += first_row
        entry = f"{name}[{', '.join(map(str, where))}]" if where else name
        raise ValueError(f"{rule}; {entry} = {float(xp.reshape(array, (-1,))[flat]):g}")


def check_scale(values: Array, scale: str, first_row: int = 0) -> None:
    """Refuse a scale that no encoder can mean: not finite, not positive, out of range."""
    if scale not in SCALES:
        raise ValueError(f"scale must be one of {', '.join(SCALES)}; got {scale!r}")
    (check_positive if scale in ("var", "std") else check_finite)(values, scale, first_row)
    if scale == "var":
        return
    low, high = _log_variances(values, scale)
    if not -700.0 < low <= high < 700.0:
        xp = array_api_compat.array_namespace(values)
        raise ValueError(
            f"{scale} gives variances outside of 1e-304 to 1e304; its extremes are "
            f"{float(xp.min(values)):g} and {float(xp.max(values)):g}"
        )


def _log_variances(values: Array, scale: str) -> tuple[float, float]:
    """Return the least and the greatest log variance of a standard deviation or a logarithm."""
    xp = array_api_compat.array_namespace(values)
    low, high = xp.min(values), xp.max(values)
    if scale == "std":
        return float(xp.log(low)) * 2, float(xp.log(high)) * 2
    times = 1 if scale == "logvar" else 2
    return float(low) * times, float(high) * times


def variance(values: Array, scale: str, first_row: int = 0, *, checked: bool = False) -> Array:
    """Turn a stated scale into variances, refusing what no encoder can mean.

    Parameters
    ----------
    values : array, shape (..., n, d)
    scale : {"var", "std", "logvar", "logstd"}
    first_row : int
        Number of the first row, for the message when `values` is one batch of many.
    checked : bool
        Whether :func:`check_scale` has passed them already.

    Returns
    -------
    array, shape (..., n, d)
        Positive and finite. float32 stays float32 unless the variance would leave its range.
    """
    values = as_array(values, scale)
    if not checked:
        check_scale(values, scale, first_row)
    if scale == "var":
        return values
    xp = array_api_compat.array_namespace(values)
    low, high = _log_variances(values, scale)
    if not -80.0 < low <= high < 80.0:
        values = widen(xp, values)
    if scale == "std":
        return values * values
    return xp.exp(values if scale == "logvar" else values * 2)


def one_scale(
    var: Any = None, std: Any = None, logvar: Any = None, logstd: Any = None
) -> tuple[str, Any]:
    """Return the name and the value of the one scale that was given, or ("", None) for none."""
    given = {
        name: values
        for name, values in zip(SCALES, (var, std, logvar, logstd), strict=True)
        if values is not None
    }
    if len(given) > 1:
        raise ValueError(f"give one of var, std, logvar and logstd; got {', '.join(given)}")
    return next(iter(given.items())) if given else ("", None)


def widen(xp: Any, array: Array) -> Array:
    """Return `array` in float64, on the host when its device has no float64."""
    if isinstance(array, np.ndarray):
        return array.astype(np.float64, copy=False)
    device = array_api_compat.device(array)
    if "float64" in xp.__array_namespace_info__().dtypes(device=device, kind="real floating"):
        return xp.astype(array, xp.float64)
    return xp.astype(array_api_compat.to_device(array, "cpu"), xp.float64)


def to_numpy(array: Any) -> Float:
    """Return an array of any namespace as a numpy float64 array; CPU arrays are viewed."""
    if array_api_compat.is_torch_array(array):
        array = array.detach().cpu().numpy()
    return np.asarray(array, dtype=np.float64)


def namespace(array: Any) -> Any:
    """Return the array namespace of `array`."""
    return array_api_compat.array_namespace(array)


def scalar(array: Any) -> Any:
    """Return a Python number for an array without axes, and any other array as it is."""
    if not array_api_compat.is_array_api_obj(array) or array.ndim:
        return array
    is_bool = array.dtype == array_api_compat.array_namespace(array).bool
    return bool(array) if is_bool else float(array)


def eye_like(array: Array) -> Array:
    """Return the identity of the size, dtype and device of square matrices (..., d, d)."""
    xp = array_api_compat.array_namespace(array)
    device = array_api_compat.device(array)
    return xp.eye(array.shape[-1], dtype=array.dtype, device=device)


def transpose(array: Array) -> Array:
    """Swap the last two axes."""
    return array_api_compat.array_namespace(array).linalg.matrix_transpose(array)


def seed_of(rng: Any) -> int | None:
    """Return the seed that `rng` is, and None for a generator."""
    return None if isinstance(rng, np.random.Generator) else int(rng)


def generator(rng: Any) -> np.random.Generator:
    """Return `rng`, or the generator of a seed.

    Data are often drawn with ``default_rng(0)`` as well: the stream of a seed is another one
    than numpy's own, so that no draw repeats the data.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, (int, np.integer)) and rng >= 0:
        return np.random.default_rng([_STREAM, int(rng)])
    raise ValueError(f"rng must be a numpy Generator or an int of at least 0; got {rng!r}")


def on_host(values: Any) -> NDArray[Any]:
    """Return any array as a numpy array of its own type; arrays on the CPU are viewed."""
    if array_api_compat.is_torch_array(values):
        values = values.detach().cpu().numpy()
    return np.asarray(values)


def row_blocks(array: Array, rows: int | None = None) -> Iterator[slice]:
    """Cut the sample axis of an (..., n, d) array into slices that fit the cache of its device."""
    n = array.shape[-2]
    if rows is None:
        on_host = array_api_compat.is_numpy_array(array) or "cpu" in str(
            array_api_compat.device(array)
        )
        row_bytes = 8 if "64" in str(array.dtype) else 4
        for k in (*array.shape[:-2], array.shape[-1]):
            row_bytes *= k
        budget = (_CACHE_BYTES if on_host else _DEVICE_BYTES) // max(row_bytes, 1)
        rows = max(64, budget - budget % 64)
    for start in range(0, n, rows):
        yield slice(start, min(start + rows, n))
