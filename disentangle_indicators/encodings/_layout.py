"""From stored arrays of any layout to blocks of means and scales, (rows, d)."""

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import as_array, to_numpy
from disentangle_indicators.encodings._stored import Stored, reading
from disentangle_indicators.posteriors import Encodings, block_rows

LAYOUTS = ("channels", "last", "flatten", "transposed")
"""Sites are rows of the latents on axis 1 or on the last axis, sites are latents, or a table has
one row for each latent."""

OF_SITES = ("channels", "last")

_SHOWN = 16
"""Channels up to which each is shown."""


def blocks(
    path: Path, mean: Stored, scale: Stored | None, layout: str, rows: int | None
) -> Iterator[tuple[NDArray[Any], NDArray[Any] | None]]:
    """Yield means and scales in row order, float32 or float64, `rows` rows at a time.

    Parameters
    ----------
    path : Path
        For messages.
    mean, scale : Stored
        None for means only.
    layout : {"", "channels", "last", "flatten", "transposed"}
        With "transposed" the arrays are transposed already.
    rows : int, optional
        The default makes batches of 8 MB.
    """
    if rows is None:
        rows = block_rows(laid_out(mean.shape, layout)[1])
    means = _blocks(mean, layout, rows)
    if scale is None:
        for block in means:
            yield _floats(block, mean.name, path), None
        return
    for block, values in zip(means, _blocks(scale, layout, rows), strict=True):
        yield _floats(block, mean.name, path), _floats(values, scale.name, path)


def laid_out(shape: tuple[int, ...], layout: str) -> tuple[int, int, int]:
    """Return the rows, the latents and the sites of a row of an array of this shape."""
    sites = {"channels": prod(shape[2:]), "last": prod(shape[1:-1])}.get(layout, 1)
    return shape[0] * sites, prod(shape[1:]) // max(sites, 1), sites


def spread_of_channels(encodings: Encodings) -> str:
    """Return a note on the standard deviation of each channel, in units of the latents.

    Latent diffusion scales latents by the reciprocal of the standard deviation of all entries,
    such as 0.18215. The standard deviations are those of samples of the posteriors, or of means
    where there are only means.

    Parameters
    ----------
    encodings : Encodings

    Returns
    -------
    str

    Examples
    --------
    >>> import numpy as np
    >>> spread_of_channels(Encodings.of(np.array([[5.0, -3.0], [-5.0, 3.0]]), var=1e-4))
    'standard deviation of each channel: 5, 3; 1 / that of all entries = 0.2425'
    """
    moments = encodings.summary()
    scatter = to_numpy(moments.mean_scatter) / moments.n
    own = scatter if encodings.means_only else to_numpy(moments.variance)
    var = own * encodings.prior_var
    centre = to_numpy(moments.mean) * np.sqrt(encodings.prior_var) + encodings.prior_mean
    whole = np.sqrt(np.mean(var) + np.var(centre))
    std = np.sqrt(var)
    shown = ", ".join(f"{s:.4g}" for s in std) if len(std) <= _SHOWN else ""
    shown = shown or f"{std.min():.4g} to {std.max():.4g} in {len(std)} channels"
    return (
        f"standard deviation of each channel: {shown}; 1 / that of all entries = {1 / whole:.4g}"
    )


def _floats(block: NDArray[Any], key: str, path: Path) -> NDArray[Any]:
    with reading(path):
        return np.asarray(as_array(block, repr(key)))


def _blocks(stored: Stored, layout: str, rows: int) -> Iterator[NDArray[Any]]:
    """Yield slices of exactly `rows` rows, the last one excepted, whatever the layout."""
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
    """Return (n, C, *sites) or (n, *sites, C) as (n * sites, C), or (n, ...) as (n, entries)."""
    if layout == "last":
        return block.reshape(-1, block.shape[-1])
    if layout == "channels":
        return np.moveaxis(block, 1, -1).reshape(-1, block.shape[1])
    return block.reshape(len(block), -1) if layout == "flatten" else block
