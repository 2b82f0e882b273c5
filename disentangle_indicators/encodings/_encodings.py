"""The posterior means and variances of a file, streamed in batches."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import as_array, variance
from disentangle_indicators.encodings._stored import Stored, reading

_BATCH_BYTES = 8 << 20
_FORMULAS = {"var": "{!r}", "std": "{!r}^2", "logvar": "exp({!r})", "logstd": "exp(2 {!r})"}


@dataclass(frozen=True, eq=False)
class Encodings:
    """Posterior means and variances of n samples in d latents, not read until they are asked for.

    Attributes
    ----------
    path : Path
    format : str
        "npz", "safetensors", ...
    n, d : int
        Samples and latents, after the layout.
    mean_key, scale_key : str
        The names the arrays have in the file; `scale_key` is "" for means only.
    scale : str
        "var", "std", "logvar" or "logstd": what the file holds; "" for means only.
    schema : str
        What decided the convention: "flag", "native" (our own metadata), the name of a library, or
        "name" (the key says it).
    layout : str
        "channels", "flatten", or "" where the file holds two-dimensional arrays.
    factors : array, shape (n, k), or None
    factor_names : tuple of str, length k
    labels, cluster : array, shape (n,), or None
        With the layout "channels", `cluster` is the image that a site belongs to.
    metadata : dict of str
    notes : tuple of str
        Warnings for the user.
    """

    path: Path
    format: str
    n: int
    d: int
    mean_key: str
    scale_key: str
    scale: str
    schema: str
    layout: str
    stored_mean: Stored = field(repr=False)
    stored_scale: Stored | None = field(repr=False)
    factors: NDArray[Any] | None = field(default=None, repr=False)
    factor_names: tuple[str, ...] = ()
    labels: NDArray[Any] | None = field(default=None, repr=False)
    cluster: NDArray[Any] | None = field(default=None, repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def batches(
        self, rows: int | None = None
    ) -> Iterator[tuple[NDArray[Any], NDArray[Any] | None]]:
        """Yield means and variances in row order, from the first row on every call.

        Parameters
        ----------
        rows : int, optional
            Samples a batch; the last one may be shorter. The default makes batches of 8 MB.

        Yields
        ------
        mean : array, shape (rows, d)
        var : array, shape (rows, d), or None
            None for a file of means only. Both are float32 or float64.

        Raises
        ------
        ValueError
            If a scale is NaN, infinite or not positive, or the file is damaged.
        """
        if rows is None:
            rows = max(1, _BATCH_BYTES // (8 * self.d))
        if rows < 1:
            raise ValueError(f"rows must be positive; got {rows}")
        means = _blocks(self.stored_mean, self.layout, rows)
        if self.stored_scale is None:
            for block in means:
                yield _floats(block, self.mean_key, self.path), None
            return
        first = 0
        scales = _blocks(self.stored_scale, self.layout, rows)
        for block, values in zip(means, scales, strict=True):
            yield _floats(block, self.mean_key, self.path), self._variance(values, first)
            first += len(block)

    @cached_property
    def mean(self) -> NDArray[Any]:
        """The means, whole, shape (n, d)."""
        (whole,) = _blocks(self.stored_mean, self.layout, self.n)
        return _floats(whole, self.mean_key, self.path)

    @cached_property
    def var(self) -> NDArray[Any] | None:
        """The variances, whole, shape (n, d), or None for means only."""
        if self.stored_scale is None:
            return None
        (whole,) = _blocks(self.stored_scale, self.layout, self.n)
        return self._variance(whole, 0)

    @cached_property
    def scales(self) -> NDArray[Any] | None:
        """The scales as they are stored, whole, shape (n, d), or None for means only."""
        if self.stored_scale is None:
            return None
        (whole,) = _blocks(self.stored_scale, self.layout, self.n)
        self._variance(whole, 0)
        return _floats(whole, self.scale_key, self.path)

    def describe(self) -> str:
        """Return one sentence about what was read, and by which rule.

        Returns
        -------
        str
            For instance "mean from 'mu', variance = exp('logvar') (schema: names), 10000 samples
            x 10 latents".
        """
        rule = {"name": "names"}.get(self.schema, self.schema)
        formula = _FORMULAS[self.scale].format(self.scale_key) if self.scale else ""
        scale = f"variance = {formula} (schema: {rule})" if self.scale else "no variances"
        return f"mean from {self.mean_key!r}, {scale}, {self.n} samples x {self.d} latents"

    def _variance(self, values: NDArray[Any], first_row: int) -> NDArray[Any]:
        try:
            return np.asarray(variance(values, self.scale, first_row))
        except ValueError as error:
            raise ValueError(f"{self.path}, key {self.scale_key!r}: {error}") from error


def laid_out(shape: tuple[int, ...], layout: str) -> tuple[int, int, int]:
    """Return the samples, the latents and the sites a sample of an array of this shape."""
    sites = prod(shape[2:]) if layout == "channels" else 1
    return shape[0] * sites, prod(shape[1:]) // max(sites, 1), sites


def _floats(block: NDArray[Any], key: str, path: Path) -> NDArray[Any]:
    with reading(path):
        return np.asarray(as_array(block, repr(key)))


def _blocks(stored: Stored, layout: str, rows: int) -> Iterator[NDArray[Any]]:
    """Yield slices of exactly `rows` samples, the last one excepted, whatever the layout."""
    sites = laid_out(stored.shape, layout)[2]
    held: NDArray[Any] | None = None
    for raw in stored.blocks(max(1, rows // sites)):
        block = _table(raw, layout)
        if held is not None and len(held):
            block = np.concatenate([held, block])
        whole = len(block) - len(block) % rows
        for start in range(0, whole, rows):
            yield block[start : start + rows]
        held = block[whole:]
    if held is not None and len(held):
        yield held


def _table(block: NDArray[Any], layout: str) -> NDArray[Any]:
    """Return (n, C, *sites) as (n * sites, C) for "channels", as (n, C * sites) for "flatten"."""
    if layout == "channels":
        return np.moveaxis(block, 1, -1).reshape(-1, block.shape[1])
    return block.reshape(len(block), -1) if layout else block
