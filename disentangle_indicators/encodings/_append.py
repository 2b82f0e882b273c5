"""Encodings that arrive batch by batch, of which nobody knows how many there will be."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import check_finite, one_scale
from disentangle_indicators._files import atomic
from disentangle_indicators.encodings._write import beside, check_suffix, host, log_variance, store


class Appender:
    """A file that grows by batches; :meth:`add` is its only method."""

    def __init__(self, scratch: Path, metadata: Mapping[str, str]) -> None:
        self._scratch = scratch
        self.metadata = dict(metadata)
        self._columns: dict[str, list[NDArray[Any]]] = {}
        self.n = 0
        self.shape: tuple[int, ...] = ()
        self.dtype: np.dtype[Any] | None = None

    def add(
        self,
        mean: Any,
        *,
        var: Any = None,
        std: Any = None,
        logvar: Any = None,
        logstd: Any = None,
        factors: Any = None,
        labels: Any = None,
        clusters: Any = None,
    ) -> None:
        """Append rows.

        Parameters
        ----------
        mean : array, shape (b, d) or (b, C, ...)
        var, std, logvar, logstd : array, shape of `mean`
            One of them.
        factors : array, shape (b, k), optional
        labels, clusters : array, shape (b,), optional
            The same columns with every batch.

        Raises
        ------
        ValueError
            On arrays that do not fit each other or the batches before, and on entries that are not
            finite.
        """
        scale, values = one_scale(var, std, logvar, logstd)
        if not scale:
            raise ValueError("batches need a scale: give var=, std=, logvar= or logstd=")
        mean = host(mean, "mean")
        if mean.ndim < 2 or (self.shape and mean.shape[1:] != self.shape):
            wanted = ", ".join(map(str, ("b", *(self.shape or ("d",)))))
            raise ValueError(f"mean must have the shape ({wanted}); its shape is {mean.shape}")
        check_finite(mean, "mean", self.n)
        arrays = {"mean": mean, "logvar": log_variance(host(values, scale), scale, mean.shape)}
        columns = {"factors": factors, "labels": labels, "clusters": clusters}
        given = {name: np.asarray(each) for name, each in columns.items() if each is not None}
        if self.n and given.keys() != self._columns.keys():
            raise ValueError(
                f"every batch needs the same columns; the first has {_listed(self._columns)}, and "
                f"row {self.n} has {_listed(given)}"
            )
        for name, column in given.items():
            if len(column) != len(mean):
                raise ValueError(f"{name} must have {len(mean)} rows; there are {len(column)}")
        self.shape, self.dtype = mean.shape[1:], self.dtype or mean.dtype
        for name, array in arrays.items():
            with open(self._scratch / name, "ab") as stream:
                stream.write(
                    np.ascontiguousarray(array, self.dtype).data
                )  # tofile loses the errno
        for name, column in given.items():
            self._columns.setdefault(name, []).append(column)
        self.n += len(mean)

    def column(self, name: str) -> NDArray[Any] | None:
        """Return a column of all batches."""
        return np.concatenate(self._columns[name]) if name in self._columns else None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return means and log variances, on disk."""
        assert self.dtype is not None
        return {
            name: np.memmap(self._scratch / name, self.dtype, "r", 0, (self.n, *self.shape))
            for name in ("mean", "logvar")
        }


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(names) or "none"


@contextmanager
def append_encodings(
    path: str | os.PathLike[str],
    *,
    factor_names: Sequence[str] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Iterator[Appender]:
    """Yield an object that takes batches of encodings; the file appears when the block ends.

    The number of rows need not be known, and what is held in memory does not grow with it, but for
    factors, labels and clusters. When the block raises, nothing is left behind.

    Parameters
    ----------
    path : path
        Ends as for :func:`~disentangle_indicators.write_encodings`.
    factor_names : sequence of str, optional
    metadata : dict of str, optional

    Yields
    ------
    Appender
        Whose ``add(mean, logvar=...)`` appends a batch, and whose ``metadata`` can be added to.

    Raises
    ------
    ValueError
        If the format is not written, no row was added, or an array is not what it must be.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from disentangle_indicators.encodings import append_encodings, read_encodings
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "encodings.npz")
    ...     with append_encodings(path) as file:
    ...         for b in (3, 1):
    ...             file.add(np.full((b, 2), b), std=np.ones((b, 2)), labels=np.arange(b))
    ...     read_encodings(path).mean[:, 0], read_encodings(path).labels
    (array([3., 3., 3., 1.]), array([0, 1, 2, 0]))
    """
    path = Path(path)
    check_suffix(path)
    with (
        atomic(path) as temporary,
        TemporaryDirectory(prefix=f"{temporary.name}-", dir=temporary.parent) as scratch,
    ):
        file = Appender(Path(scratch), metadata or {})
        yield file
        if file.n == 0:
            raise ValueError("no batch with a row was added")
        columns = (file.column(name) for name in ("factors", "labels", "clusters"))
        factors, labels, clusters = columns
        others = beside(path, file.n, factors, factor_names, labels, clusters)
        store(temporary, path, file.arrays() | others, file.metadata)
