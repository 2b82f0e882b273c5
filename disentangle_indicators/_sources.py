"""Arrays and batches as what encodings are made of: checked, and gone through in blocks."""

from collections.abc import Callable, Iterable, Iterator
from math import prod
from typing import Any, NamedTuple

import array_api_compat
import numpy as np

from disentangle_indicators._array import (
    Array,
    as_array,
    as_mean,
    as_pair,
    check_finite,
    check_scale,
    namespace,
    row_blocks,
)
from disentangle_indicators._scales import repeated
from disentangle_indicators.moments import Moments

__all__ = ["Batches", "Source", "Stored", "of_arrays", "of_batches"]

Batches = Callable[[], Iterable[tuple[Array, Array]]]
"""Gives a fresh iterator over (mean, var) batches at each call."""

Stored = Callable[[int | None], Iterator[tuple[Array, Array | None]]]
"""Gives means and scales as they are stored, in blocks of so many rows, or as suits the source."""

_ROWS = 1 << 16

WIDE = 1024
"""Latents up to which covariances are computed unasked, in about a second: the time grows as d^3."""


class Source(NamedTuple):
    """Rows, latents, the stated scale ("" for means only), how to go through them, and notes."""

    n: int
    d: int
    scale: str
    stored: Stored
    notes: tuple[str, ...] = ()


def of_arrays(mean: Array, values: Array, scale: str) -> Source:
    """Check arrays, and return how they are gone through."""
    xp, mean = as_mean(mean)
    notes: tuple[str, ...] = ()
    if values is not None:
        values, notes = _repeated(xp, mean, values, scale)
        _, mean, values = as_pair(mean, values, scale)
    if mean.ndim != 2:
        raise ValueError(_of_more_axes(tuple(mean.shape)))
    check_finite(mean, "mean")
    if values is not None:
        check_scale(values, scale)
        _refuse_twice(mean, values, scale)

    def stored(rows: int | None) -> Iterator[tuple[Array, Array | None]]:
        if rows is None and scale in ("", "var"):
            yield mean, values
            return
        for at in row_blocks(mean, rows or _ROWS):
            yield mean[at, :], None if values is None else values[at, :]

    n, d = mean.shape
    if few_rows(n, d):
        notes += (f"{few_rows(n, d)}, give mean.T",)
    return Source(n, d, scale, stored, notes)


def few_rows(n: int, d: int) -> str:
    """Return a question where rows are so few that they may be latents, else nothing."""
    fewer = f"there are fewer rows ({n}) than latents ({d}): if rows and columns are swapped"
    return fewer if 2 * n < d else ""


def check_rows(values: Any, n: int, d: int, name: str, advice: str) -> None:
    """Refuse what has one row for each latent: rows and columns of one of both are swapped.

    Raises
    ------
    ValueError
        The message ends with the advice when it is those of the mean.
    """
    if not hasattr(values, "__len__") or getattr(values, "ndim", 1) == 0:
        return
    shape = tuple(getattr(values, "shape", (len(values),)))
    if shape[0] == n or n == d:
        return
    if shape[1:] == (n,):
        raise ValueError(f"{name} must have {n} rows; the shape is {shape}: give the transpose")
    if shape[0] == d:
        raise ValueError(
            f"{name} must have {n} rows; the shape is {shape}, and there are {d} latents: if rows "
            f"and columns of the means are swapped, {advice}"
        )


def _repeated(xp: Any, mean: Array, values: Any, name: str) -> tuple[Array, tuple[str, ...]]:
    """Repeat one width for each row, for each latent or for all, and note that."""
    if isinstance(values, (int, float, np.number)):
        values = xp.asarray(values, dtype=mean.dtype, device=array_api_compat.device(mean))
    values = as_array(values, name)
    shape = tuple(mean.shape)
    found = None if tuple(values.shape) == shape else repeated(tuple(values.shape), shape, name)
    if found is None:
        return values, ()
    fit, note = found
    own = namespace(values)
    return own.broadcast_to(own.reshape(values, fit), shape), (note,)


def _of_more_axes(shape: tuple[int, ...]) -> str:
    """Say how arrays of more than two axes become rows and latents."""
    n, c, *sites = shape
    text = (
        f"mean must have the shape (n, d); its shape is {shape}. Reshape the mean and its scale: "
        f"reshape({n}, -1) makes every entry a latent; "
    )
    if len(sites) == 1:
        text += f"reshape(-1, {sites[0]}) makes every step a row of {sites[0]} latents"
        rows = c
    else:
        text += f"np.moveaxis(x, 1, -1).reshape(-1, {c}) makes every site a row of {c} latents"
        rows = prod(sites)
    return (
        f"{text}, with clusters=np.repeat(np.arange({n}), {rows}). Samples of each posterior do "
        "not stand for its mean and variance"
    )


def _refuse_twice(mean: Array, values: Array, scale: str) -> None:
    xp = namespace(mean)
    twice = bool(xp.all(mean[0, :] == values[0, :])) and bool(xp.all(mean == values))
    if twice and not bool(xp.all(mean == mean[0, 0])):
        raise ValueError(f"mean and {scale} are the same array")


def of_batches(given: Any, threads: int) -> tuple[Source, Moments]:
    """Check batches, count their rows and sum over them."""
    if not callable(given) and not isinstance(given, (list, tuple)):
        raise ValueError(  # noqa: TRY004 - all bad input is a ValueError
            "batches= must be a list, or a callable that gives a fresh iterator"
        )
    source: Batches = given if callable(given) else lambda: given

    alone: bool | None = None

    def stored(rows: int | None) -> Iterator[tuple[Array, Array | None]]:
        for number, batch in enumerate(source()):
            mean, var = _pair(batch, number, alone)
            if var is None:
                _, mean = as_mean(mean)
            else:
                _, mean, var = as_pair(mean, var)
            for at in row_blocks(mean, rows) if rows else (slice(None),):
                yield mean[at, :], None if var is None else var[at, :]

    first = next(stored(None), None)
    if first is None:
        raise ValueError("there is no batch to score")
    alone = first[1] is None
    scale = "" if alone else "var"
    pairs = ((m, namespace(m).ones_like(m) if v is None else v) for m, v in stored(None))
    d = int(first[0].shape[-1])
    moments = Moments.of_batches(pairs, errors=True, covariance=d <= WIDE, threads=threads)
    return Source(moments.n, d, scale, stored), moments


def _pair(batch: Any, number: int, alone: bool | None) -> tuple[Array, Array | None]:
    """Return the means and variances of a batch, which all have or all lack the latter."""
    if len(batch) != 2:
        raise ValueError(f"batch {number} must be (mean, var); it has {len(batch)} parts")
    mean, var = batch
    if alone is not None and alone != (var is None):
        has, had = ("no", "") if var is None else ("", "no ")
        raise ValueError(
            f"batch {number} has {has or 'a'} var, and the first one has {had or 'a '}var"
        )
    return mean, var
