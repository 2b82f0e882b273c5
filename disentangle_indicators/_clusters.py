"""Clusters: rows that depend on each other, and how far errors reach when clusters are few."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators.factors import as_column

__all__ = [
    "BLOCKS",
    "FEW_CLUSTERS",
    "INDEPENDENT",
    "blocks",
    "cluster_codes",
    "of_skewness",
    "widening",
]

INDEPENDENT = "Rows are taken as independent."
"""What reports print where nobody named rows that depend on each other."""

BLOCKS = 30
"""Consecutive blocks of a series that serve as clusters: the method of batch means."""

FEW_CLUSTERS = 30
"""Clusters below which reports name the number of clusters as few."""


def cluster_codes(clusters: Any, n: int) -> tuple[int, Any]:
    """Return the number of clusters and the code of each row's.

    Raises
    ------
    ValueError
        When there is not one entry per row, one is missing, or they are neither numbers nor text.
    """
    names, codes = np.unique(_complete(clusters, n, "clusters"), return_inverse=True)
    return len(names), codes


def blocks(order: Any, n: int) -> NDArray[np.int64]:
    """Cut a series into consecutive blocks of nearly equal size.

    Rows of the same time share a block. Averages of blocks are nearly independent if a block is
    much longer than the memory of the series (batch means; Schmeiser, 1982, takes 10 to 30).

    Parameters
    ----------
    order : array, shape (n,)
        Time of each row: numbers, dates, or text that sorts like time.
    n : int

    Returns
    -------
    array of int, shape (n,)
        Number of the block of each row, below 30 and below n / 2.

    Raises
    ------
    ValueError
        When there is not one entry per row, one is missing, or rows of the same time leave fewer
        than two blocks.

    Examples
    --------
    >>> blocks([30, 10, 20, 40], 4)
    array([1, 0, 0, 1])
    """
    times = _complete(_plain_dates(order), n, "order")
    number = max(min(BLOCKS, n // 2), 1)
    _, rank, counts = np.unique(times, return_inverse=True, return_counts=True)
    first = np.cumsum(counts) - counts  # rows before each time
    codes = np.unique(first * number // n, return_inverse=True)[1][rank]
    if codes.max() == 0:
        raise ValueError(
            f"order must leave two blocks of rows or more; {n} rows of {len(counts)} times do not"
        )
    return np.asarray(codes)


def widening(draws: int) -> float:
    r"""Return by how much Student's t widens an interval for few draws.

    .. math:: t_{.975}(G - 1) / z_{.975}

    with G draws. A standard error times this covers with 1.96 what it covers with Student's t.

    Parameters
    ----------
    draws : int
        Independent draws, such as clusters.

    Returns
    -------
    float
        At least 1; infinite for one draw.

    Examples
    --------
    >>> round(widening(10), 3), round(widening(1000), 3)
    (1.154, 1.001)
    """
    from scipy.special import ndtri, stdtrit

    return float(stdtrit(draws - 1, 0.975) / ndtri(0.975)) if draws > 1 else math.inf


def of_skewness(draws: Any) -> NDArray[np.float64]:
    r"""Return by how much more than Student's t skewed draws widen an interval of their average.

    .. math:: 1 + 2\,\frac{z^4 + 2 z^2 - 3}{18}\,\frac{g^2}{G}, \qquad z = z_{.975}

    with g the skewness of G draws. The average of skewed draws goes with its own error: where one
    is too small, so is the other. The Edgeworth expansion of the studentised average asks for the
    term once (Hall, 1992, The Bootstrap and Edgeworth Expansion, 2.6). It is taken twice, because
    few draws show too little skewness: by simulation, and not by theory.

    Parameters
    ----------
    draws : array, shape (G, ...)
        Such as sums over clusters.

    Returns
    -------
    array, shape (...)
        At least 1 and, since g² is at most G, at most 3.16; 1 for fewer than three draws.

    Examples
    --------
    >>> of_skewness(np.array([[-1.0, 0.0], [0.0, 0.0], [1.0, 3.0]])).round(2)
    array([1.  , 3.16])
    """
    from scipy.special import ndtri

    z = ndtri(0.975)
    count = len(draws)
    apart = draws - np.mean(draws, axis=0)
    square = np.sum(apart**2, axis=0)
    if count < 3:
        return np.ones_like(square)
    scaled = np.divide(apart, np.sqrt(square), out=np.zeros_like(apart), where=square > 0)
    share = count * (count - 1) * (np.sum(scaled**3, axis=0) / (count - 2)) ** 2  # g^2 / G
    return np.asarray(1 + (z**4 + 2 * z**2 - 3) / 9 * share)


def _plain_dates(order: Any) -> Any:
    """Return dates as whole numbers, anything else as it is."""
    kind = getattr(getattr(order, "dtype", None), "kind", "")
    if kind not in "mM" or not kind:
        return order
    values = np.asarray(order)
    if np.any(np.isnat(values)):
        row = int(np.argmax(np.isnat(values)))
        raise ValueError(f"order must be given for every row; order[{row}] is missing")
    return values.astype(np.int64)


def _complete(values: Any, n: int, name: str) -> NDArray[Any]:
    """Return a column (n,) in which nothing is missing."""
    column = as_column(values, n, name)
    missing = column == "" if column.dtype.kind == "U" else column != column  # noqa: PLR0124 - nan
    if np.any(missing):
        row = int(np.argmax(missing))
        raise ValueError(f"{name} must be given for every row; {name}[{row}] is missing")
    return column
