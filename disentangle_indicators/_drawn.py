"""Random rows of encodings, for questions whose time grows with the number of rows."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import generator
from disentangle_indicators.posteriors import Encodings

__all__ = ["MANY", "SOME", "Drawn", "drawn"]

MANY = 100_000
"""Rows beyond which rotations are computed of some of them, unless asked otherwise."""

SOME = 20_000
"""Rows that are drawn then."""


class Drawn(NamedTuple):
    """Some rows with what belongs to them.

    Parameters
    ----------
    encodings : Encodings
    rows : array of int, shape (count,), or None
        Their numbers, sorted; None where all rows are taken.
    note : str
        How many there are of how many; empty where all rows are taken.
    """

    encodings: Encodings
    rows: NDArray[np.int64] | None = None
    note: str = ""

    def taken(self, column: Any) -> Any:
        """Return the drawn rows of an array or of factors."""
        if self.rows is None or column is None:
            return column
        return column.take(self.rows) if hasattr(column, "classes") else column[self.rows]


def drawn(encodings: Encodings, rows: int | None, rng: np.random.Generator | int) -> Drawn:
    """Draw rows at random, without repetition; the encodings are read in blocks.

    Parameters
    ----------
    encodings : Encodings
    rows : int or None
        How many; by default 20,000 of more than 100,000, and otherwise all.
    rng : numpy.random.Generator or int
        Its own stream is left as it is.

    Returns
    -------
    Drawn

    Raises
    ------
    ValueError
        If `rows` is not positive.

    Examples
    --------
    >>> encodings = Encodings.of(np.arange(8.0).reshape(4, 2), np.ones((4, 2)), labels=range(4))
    >>> some = drawn(encodings, 2, 0)
    >>> some.encodings.mean[:, 0].tolist() == (2.0 * some.encodings.labels).tolist()
    True
    >>> some.note
    '2 random rows of 4'
    """
    n = encodings.n
    if rows is None:
        rows = SOME if n > MANY else n
    if rows < 1:
        raise ValueError(f"rows must be positive; got {rows}")
    if rows >= n:
        return Drawn(encodings)
    (apart,) = generator(rng).spawn(1)
    chosen = np.sort(apart.choice(n, rows, replace=False))
    return Drawn(encodings.take(chosen), chosen, f"{rows} random rows of {n}")
