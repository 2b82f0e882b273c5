"""Rows that a metric fits on and scores, half samples for errors, shuffled rows for nulls."""

from typing import Any

import numpy as np

from disentangle_indicators._binning import Index
from disentangle_indicators.factors import Factors

__all__ = [
    "ORDERS",
    "arrangements",
    "cluster_notes",
    "half_samples",
    "shuffles",
    "splits",
    "spread",
]

ORDERS = ("shuffled", "as given")


def splits(
    factors: Factors, p: dict[str, Any], rng: np.random.Generator
) -> list[tuple[Index, Index]]:
    """Return rows to fit on and rows to score for each factor, of those where it has a value.

    The parameters are ``order`` ("shuffled" by rng, or "as given"), and ``train`` and ``test``, the
    first rows of that order and the next ones. Fewer rows than that are shared out in proportion,
    at least one each. Without ``test`` the rows fitted on are scored; ``train=None`` is all rows.
    """
    train, test = p["train"], p["test"]
    if train is not None and train < 1:
        raise ValueError(f"train must be at least 1 row; got {train}")
    if test < 0:
        raise ValueError(f"test must be at least 0 rows; got {test}")
    n = len(factors)
    order = rng.permutation(n) if p["order"] == "shuffled" else np.arange(n)
    out = []
    for values in factors.values.T:
        rows = order[~np.isnan(values[order])]
        fitted, scored = _counts(len(rows), train, test)
        first = rows[:fitted]
        out.append((first, rows[fitted : fitted + scored] if scored else first))
    return out


def _counts(n: int, train: int | None, test: int) -> tuple[int, int]:
    if train is None:
        return n, 0
    if test == 0:
        return min(n, train), 0
    if n >= train + test:
        return train, test
    fitted = min(max(round(n * train / (train + test)), 1), n - 1)
    return fitted, n - fitted


def half_samples(
    n: int, number: int, clusters: Index | None, rng: np.random.Generator
) -> list[Index]:
    """Return the rows of random halves, each pair without a row in common; none of one row.

    Whole clusters, where there are any. Of an odd number one is in neither half of a pair.
    """
    codes = np.arange(n) if clusters is None else clusters
    draws = int(codes.max(initial=-1)) + 1
    if draws < 2:
        return []
    m = draws // 2
    orders = [rng.permutation(draws) for _ in range(-(-number // 2))]
    found = [part for order in orders for part in (order[:m], order[m : 2 * m])]
    return [np.flatnonzero(np.isin(codes, half)) for half in found[:number]]


def spread(halves: Any, draws: int, *, curved: int = 0) -> float | None:
    r"""Return the standard error that the scores of pairs of halves show.

    .. math::
        s^2 = \frac{m}{G - m} \Big(\overline{d^2} + (1 - c)\operatorname{var}(a)\Big), \qquad
        d = \frac{s_1 - s_2}{2}, \quad a = \frac{s_1 + s_2}{2}

    over pairs of scores s of m = G // 2 of the G draws: the delete-d jackknife of Shao and Wu
    (1989). If a score is an average, a is the score of all rows, and any c is right. Of a score
    that is a square, c = 0 makes three times the variance over rows, twice in d and once in a, so
    that c = 2 is right. c = 1 lies between, for scores that are partly both. Of randomness in the
    metric c = 0 makes what a half has.

    Parameters
    ----------
    halves : array, shape (number,)
    draws : int
        Rows, or clusters; G.
    curved : int
        c: 0, 1 or 2.

    Returns
    -------
    float or None
        None of fewer than 4 halves; at least 3 ** -0.5 of that of c = 0.

    Examples
    --------
    >>> round(spread([1.0, 3.0, 1.5, 2.5], 10), 3)
    0.791
    >>> [round(spread([0.0, 1.0, 1.0, 1.2], 10, curved=c), 3) for c in (0, 1, 2)]
    [0.557, 0.361, 0.321]
    """
    pairs = np.asarray(halves, dtype=np.float64)[: len(halves) // 2 * 2].reshape(-1, 2)
    if len(pairs) < 2:
        return None
    m = draws // 2
    difference = float(np.mean((pairs[:, 0] - pairs[:, 1]) ** 2)) / 4
    average = float(np.var(pairs.mean(axis=1), ddof=1))
    whole = difference + average
    variance = max(difference + (1 - curved) * average, whole / 3)
    return float(np.sqrt(variance * m / (draws - m)))


def shuffles(
    n: int, number: int, clusters: Index | None, rng: np.random.Generator
) -> tuple[list[Index], bool]:
    """Return, for each draw of the null, the row whose factors each row gets.

    Rows are permuted. Clusters are permuted as wholes: each gets the rows of another one, which
    begin at a random row and go round, so that a design that all clusters share is no dependence.
    Where sizes differ, rows of a large cluster are left out and those of a small one repeated.

    Returns
    -------
    orders : list of array of int, shape (n,)
    exact : bool
        Whether every order is a permutation of the rows.
    """
    if clusters is None:
        return [rng.permutation(n) for _ in range(number)], True
    sizes = np.bincount(clusters)
    rows = np.argsort(clusters, kind="stable")
    first = np.cumsum(sizes) - sizes
    place = np.empty(n, dtype=np.int64)  # of each row in its cluster
    place[rows] = np.arange(n) - np.repeat(first, sizes)
    orders = []
    for _ in range(number):
        other = rng.permutation(len(sizes))
        begin = rng.integers(sizes[other])
        within = (begin[clusters] + place) % sizes[other][clusters]
        orders.append(rows[first[other][clusters] + within])
    return orders, len(np.unique(sizes)) == 1


def arrangements(factors: Factors, clusters: Index | None) -> float:
    """Return how many different ways there are to give the clusters each other's factors.

    Infinite without clusters, and where a factor changes within a cluster.

    Examples
    --------
    >>> from disentangle_indicators.factors import as_table
    >>> round(arrangements(as_table([0, 0, 0, 1, 1], 5), np.array([0, 0, 1, 2, 3])), 6)
    6.0
    """
    if clusters is None:
        return float("inf")
    _, first = np.unique(clusters, return_index=True)
    levels = np.stack([factors.levels(k) for k in range(factors.number)], axis=1)
    of_cluster = levels[first]
    if not np.array_equal(of_cluster[clusters], levels):
        return float("inf")
    counts = np.unique(of_cluster, axis=0, return_counts=True)[1]
    from scipy.special import gammaln

    with np.errstate(over="ignore"):
        return float(np.exp(gammaln(len(first) + 1) - gammaln(counts + 1).sum()))


def cluster_notes(
    clusters: Index | None,
    exact: bool,
    errors: str = "standard errors are of halves of the clusters",
) -> tuple[str, ...]:
    """Return what a reader of errors and nulls must know about the dependence of rows."""
    if clusters is None:
        return ("rows are taken as independent",)
    null = "nulls give each cluster the factors of another one"
    sizes = "" if exact else ", its rows left out or repeated where sizes differ"
    return (f"{errors}; {null}{sizes}",)
