"""Encodings as batches that can be gone through more than once, in units of the prior."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from disentangle_indicators._array import (
    Array,
    as_pair,
    check_finite,
    check_positive,
    on_host,
    row_blocks,
)

Batches = Callable[[], Iterable[tuple[Array, Array]]]
"""Gives a fresh iterator over (mean, var) batches at each call."""

_ROWS = 1 << 14


def as_batches(batches: Any) -> Batches:
    """Return a callable that gives the batches; a list of them will do."""
    if callable(batches):
        return batches  # type: ignore[no-any-return]
    if isinstance(batches, (list, tuple)):
        return lambda: batches
    raise ValueError("batches= must be a list, or a callable that gives a fresh iterator")


def cluster_codes(clusters: Any, n: int) -> tuple[int, Any]:
    """Return the number of clusters and the code of each row's.

    Raises
    ------
    ValueError
        When there is not one entry per row, or one is missing.
    """
    values = on_host(clusters)
    if values.shape != (n,):
        raise ValueError(f"cluster must have {n} entries, one per row; got {values.shape}")
    missing = [row for row in range(n) if values[row] is None] if values.dtype == object else []
    if values.dtype.kind == "f":
        missing = np.flatnonzero(np.isnan(values)).tolist()
    if missing:
        raise ValueError(f"cluster must be given for every row; cluster[{missing[0]}] is missing")
    names, codes = np.unique(values, return_inverse=True)
    return len(names), codes


def in_prior_units(batches: Batches, prior_mean: Any, prior_var: Any) -> Batches:
    """Change variables so that the prior N(prior_mean, prior_var) becomes the unit Gaussian.

    Parameters
    ----------
    batches : callable
        Gives a fresh iterator over (mean, var) batches at each call.
    prior_mean, prior_var : float or array, shape (d,)

    Returns
    -------
    callable
        The batches of (mean - prior_mean) / sqrt(prior_var) and var / prior_var.

    Raises
    ------
    ValueError
        When the prior is not finite, its variance not positive, or its length not d.

    Examples
    --------
    >>> import numpy as np
    >>> source = in_prior_units(lambda: [(np.ones((2, 1)), np.ones((2, 1)))], 1.0, 4.0)
    >>> [(mean.tolist(), var.tolist()) for mean, var in source()]
    [([[0.0], [0.0]], [[0.25], [0.25]])]
    """
    centre = np.atleast_1d(np.asarray(prior_mean, dtype=np.float64))
    spread = np.atleast_1d(np.asarray(prior_var, dtype=np.float64))
    if not np.all(np.isfinite(centre)):
        raise ValueError(f"prior_mean must be finite; got {prior_mean}")
    if not np.all((spread > 0) & np.isfinite(spread)):
        raise ValueError(f"prior_var must be positive and finite; got {prior_var}")
    if centre.size == spread.size == 1 and centre[0] == 0 and spread[0] == 1:
        return batches

    def changed() -> Iterator[tuple[Array, Array]]:
        first = 0
        for mean, var in batches():
            xp, mean, var = as_pair(mean, var)
            for name, values in (("prior_mean", centre), ("prior_var", spread)):
                if values.size not in (1, mean.shape[-1]):
                    raise ValueError(
                        f"{name} must be one number or {mean.shape[-1]}; got {values.size}"
                    )
            c = xp.asarray(centre, dtype=mean.dtype, device=mean.device)
            v = xp.asarray(spread, dtype=mean.dtype, device=mean.device)
            for rows in row_blocks(mean, _ROWS):
                check_finite(mean[rows, :], "mean", first + rows.start)
                check_positive(var[rows, :], "var", first + rows.start)
                yield (mean[rows, :] - c) / xp.sqrt(v), var[rows, :] / v
            first += mean.shape[0]

    return changed
