"""What is fed to an encoder: rows of a data set as batches, and what a user's loader yields."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dindic_models.batches import Batches, Rows
from dindic_models.data import Data
from dindic_models.data._data import digest_array, mapped
from disentangle_indicators.encodings._stored import check_length
from disentangle_indicators.encodings.formats import npz

__all__ = ["ArrayFeed", "Batch", "Feed", "batch_of", "input_of"]

INPUTS = ("x", "image", "images", "pixel_values", "input", "inputs", "data")
"""Keys of what is encoded, in a dict that a loader yields."""

BESIDE = {
    "labels": ("labels", "label", "y", "target", "targets"),
    "factors": ("factors", "factor", "latents"),
    "clusters": ("clusters", "cluster"),
    "rows": ("rows",),
}
"""Keys of what belongs to the rows."""


class Batch:
    """One batch: its input, and the columns of its rows as arrays."""

    def __init__(self, x: Any, beside: Mapping[str, NDArray[Any]]) -> None:
        self.x, self.beside = x, dict(beside)


def batch_of(given: Any) -> Batch:
    """Recognise what a loader yields.

    Parameters
    ----------
    given : array, (array, array), or dict
        x; or x and y, where y is labels if it has one axis, and factors if it has two; or a dict
        with x under one of the names `INPUTS` and others under those of `BESIDE`.

    Raises
    ------
    ValueError
        On anything else.

    Examples
    --------
    >>> batch_of((torch.zeros(3, 4), torch.arange(3))).beside
    {'labels': array([0, 1, 2])}
    """
    if isinstance(given, Mapping):
        return _of_dict(given)
    if isinstance(given, (tuple, list)) and given and not _is_number(given[0]):
        if len(given) > 2:
            raise ValueError(
                f"the loader yields {len(given)} values: yield x, (x, y), or a dict with x"
            )
        y = _column(given[1]) if len(given) == 2 else None
        if y is not None and y.ndim not in (1, 2):
            raise ValueError(f"y must be labels (b,) or factors (b, k); its shape is {y.shape}")
        name = "labels" if y is not None and y.ndim == 1 else "factors"
        return Batch(_tensor(given[0]), {} if y is None else {name: y})
    return Batch(_tensor(given), {})


def input_of(given: Any) -> Any:
    """Return what is encoded of a batch: itself, its first value, or the one of a known name.

    Raises
    ------
    ValueError
        On a dict without such a name.

    Examples
    --------
    >>> input_of((torch.zeros(2), torch.ones(2)))
    tensor([0., 0.])
    """
    if isinstance(given, Mapping):
        found = [key for key in INPUTS if key in given]
        if not found:
            raise ValueError(
                f"the loader yields a dict with {', '.join(map(str, given))}: what is encoded must "
                f"be called {INPUTS[0]}"
            )
        return _tensor(given[found[0]])
    if isinstance(given, (tuple, list)) and given and not _is_number(given[0]):
        return _tensor(given[0])
    return _tensor(given)


def _of_dict(given: Mapping[str, Any]) -> Batch:
    found = {
        name: _column(given[key])
        for name, keys in BESIDE.items()
        for key in keys
        if key in given and given[key] is not None
    }
    return Batch(input_of(given), found)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _tensor(x: Any) -> Any:
    """Return arrays as tensors; what else an encoder may take, such as a dict, as it is."""
    return torch.as_tensor(x) if isinstance(x, (np.ndarray, list)) else x


def _column(values: Any) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


class Feed:
    """Rows of a data set, batch by batch, as `encode` takes them; read again at each iteration.

    Parameters
    ----------
    data : Data
    rows : sequence of int
    batch : int
        Images in a batch.
    span : (float, float)
        What black and white are to become.

    Examples
    --------
    >>> from dindic_models.data import open_data
    >>> sprites = Feed(open_data(dataset="sprites"), range(5), batch=2, span=(-1, 1))
    >>> [(float(each["x"].min()), each["factors"].shape) for each in sprites]
    [(-1.0, (2, 5)), (-1.0, (2, 5)), (-1.0, (1, 5))]
    """

    def __init__(
        self,
        data: Data,
        rows: Rows | Sequence[int],
        *,
        batch: int = 1000,
        span: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        self.data, self.rows, self.span = data, np.asarray(rows, np.int64), span
        self.positions = np.split(np.arange(len(self.rows)), range(batch, len(self.rows), batch))

    @property
    def metadata(self) -> dict[str, str]:
        """What is stored about the data: their name and fingerprint."""
        return {"data": self.data.name, "data_fingerprint": self.data.fingerprint}

    @property
    def factor_names(self) -> tuple[str, ...]:
        """Names of the factors, none where there are no factors."""
        return () if self.data.factors is None else self.data.factor_names

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.positions)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield dicts with x, a tensor (b, C, H, W), and with factors and labels where there are any."""
        low, high = self.span
        batches = Batches(self.data.images, self.rows, torch.device("cpu"))
        for chosen, x in zip(self.positions, batches.each(self.positions), strict=True):
            rows = self.rows[chosen]
            both = {"factors": self.data.factors, "labels": self.data.labels}
            beside = {name: each[rows] for name, each in both.items() if each is not None}
            scaled = x if (low, high) == (0, 1) else x * (high - low) + low
            yield {"x": scaled, "rows": rows, **beside}


class ArrayFeed:
    """The rows of an array in a file, as they are: no image, no units.

    Parameters
    ----------
    path : path
        A .npy file, memory-mapped; or an .npz file with one array of two axes or more, beside
        `labels`, `factors` and `clusters`.
    batch : int

    Raises
    ------
    ValueError
        If it is no such file, or there is not one array.
    FileNotFoundError
        If there is no such file.
    """

    def __init__(self, path: str | Path, *, batch: int = 1000) -> None:
        path = Path(path)
        if path.suffix.lower() not in (".npy", ".npz"):
            raise ValueError(f"{path}: arrays are fed from .npy and .npz files")
        arrays: dict[str, Any]
        if path.suffix.lower() == ".npy":
            arrays = {"x": mapped(path)}
        else:
            arrays = {name: stored.read() for name, stored in npz.read(path).arrays.items()}
        self.beside = {name: arrays.pop(name) for name in BESIDE if name in arrays}
        names = [name for name, values in arrays.items() if values.ndim > 1]
        if len(names) != 1:
            listed = ", ".join(arrays) or "none"
            raise ValueError(f"{path}: one array must have two axes or more; there are {listed}")
        self.x, self.batch = arrays[names[0]], batch
        self._path, self._size = path, path.stat().st_size
        for name, values in self.beside.items():
            if values.ndim == 0 or len(values) != len(self.x):
                raise ValueError(f"{path}: {name} must have {len(self.x)} rows")

    @property
    def source(self) -> str:
        """One sentence about the array."""
        return f"an array {self.x.shape} of {self.x.dtype}, which is fed as it is"

    @property
    def metadata(self) -> dict[str, str]:
        """What is stored about the data: a digest."""
        return {"data": "array", "data_fingerprint": digest_array(self.x)}

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(range(0, len(self.x), self.batch))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield dicts with x and what is beside it; numbers become float32, float64 stays."""
        for start in range(0, len(self.x), self.batch):
            rows = slice(start, start + self.batch)
            check_length(self._path, self._size)
            x = np.array(self.x[rows])
            kind = np.float64 if x.dtype == np.float64 else np.float32
            beside = {name: values[rows] for name, values in self.beside.items()}
            yield {"x": torch.from_numpy(x.astype(kind)), **beside}
