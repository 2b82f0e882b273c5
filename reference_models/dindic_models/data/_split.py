"""Which rows are for training, validation and testing."""

import numpy as np
from numpy.typing import NDArray

from dindic_models.data._data import Data, Ratio

PARTS = ("train", "validation", "test")


def split(n: int, ratio: Ratio, *, seed: int) -> dict[str, NDArray[np.int64]]:
    """Part n rows at random, as the paper does (appendix D.2 to D.4).

    A permutation by ``numpy.random.default_rng(seed)`` is cut at round(r_1 n) and
    round((r_1 + r_2) n); every row falls in one part, and the rows of a part are sorted.

    Parameters
    ----------
    n : int
    ratio : three floats, not negative, with the sum 1
        The shares of training, validation and test.
    seed : int

    Returns
    -------
    dict of sorted integer arrays
        "train", "validation" and "test".

    Raises
    ------
    ValueError
        If the shares are not three numbers, one is negative or their sum is not 1.

    Examples
    --------
    >>> from dindic_models.data import split
    >>> {part: len(rows) for part, rows in split(70000, (0.6, 0.2, 0.2), seed=0).items()}
    {'train': 42000, 'validation': 14000, 'test': 14000}
    """
    if n < 0:
        raise ValueError(f"n must not be negative; got {n}")
    if len(ratio) != 3 or not all(0 <= share <= 1 for share in ratio):
        raise ValueError(f"ratio must be three shares between 0 and 1; got {tuple(ratio)}")
    if abs(sum(ratio) - 1) > 1e-6:
        raise ValueError(f"ratio must have the sum 1; the sum of {tuple(ratio)} is {sum(ratio):g}")
    order = np.random.default_rng(seed).permutation(n)
    cuts = [round(ratio[0] * n), round((ratio[0] + ratio[1]) * n)]
    return dict(zip(PARTS, map(np.sort, np.split(order, cuts)), strict=True))


def rows(data: Data, part: str, *, split: str = "paper", seed: int = 0) -> NDArray[np.int64]:
    """Return the positions of the images of one part of a data set, sorted.

    Parameters
    ----------
    data : Data
    part : {"train", "validation", "test", "all"}
    split : {"paper", "official"}
        The paper's random split by ``data.ratio``, or the parts that the data set comes in.
    seed : int
        Of the paper's split.

    Raises
    ------
    ValueError
        If there is no such part; the message names those there are.

    Examples
    --------
    >>> from dindic_models.data import open_data, rows
    >>> len(rows(open_data(dataset="sprites"), "test"))
    73728
    """
    if part not in (*PARTS, "all"):
        raise ValueError(f"part must be one of {', '.join(PARTS)}, all; got {part!r}")
    if split not in ("paper", "official"):
        raise ValueError(f"split must be paper or official; got {split!r}")
    if part == "all":
        return np.arange(len(data))
    if split == "paper":
        return _random(len(data), data.ratio, seed=seed)[part]
    if part not in data.official:
        have = ", ".join(data.official) or "none"
        raise ValueError(
            f"{data.name} has no official part {part!r}; it has: {have}, and all of them are 'all'"
        )
    return data.official[part]


_random = split


def some(chosen: NDArray[np.int64], number: int, *, seed: int) -> NDArray[np.int64]:
    """Return so many of the rows, at random and in order, or all if they are no more.

    The first ones would not do, because data sets are sorted: the first sprites are small squares.

    Examples
    --------
    >>> import numpy as np
    >>> from dindic_models.data import some
    >>> len(some(np.arange(100), 10, seed=0)), len(some(np.arange(5), 10, seed=0))
    (10, 5)
    """
    if number >= len(chosen):
        return chosen
    return np.sort(np.random.default_rng(seed).choice(chosen, number, replace=False))
