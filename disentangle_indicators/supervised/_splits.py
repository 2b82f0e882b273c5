"""Rows that a metric fits on and scores, half samples for errors, shuffled rows for nulls."""

from typing import Any

import numpy as np

from disentangle_indicators._binning import Index
from disentangle_indicators.factors import Factors

__all__ = ["ORDERS", "cluster_notes", "half_samples", "shuffles", "splits"]

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
    """Return the rows of random halves; whole clusters, where there are any. None of one row."""
    codes = np.arange(n) if clusters is None else clusters
    draws = int(codes.max(initial=-1)) + 1
    if draws < 2:
        return []
    found = [rng.permutation(draws)[: draws // 2] for _ in range(number)]
    return [np.flatnonzero(np.isin(codes, half)) for half in found]


def shuffles(
    n: int, number: int, clusters: Index | None, rng: np.random.Generator
) -> tuple[list[Index], bool]:
    """Return random orders of the rows, and whether they keep clusters together.

    Clusters of one size change places, each with its rows in their order. Those of different
    sizes cannot, and rows are shuffled one by one.
    """
    sizes = np.bincount(np.arange(n) if clusters is None else clusters)
    if len(np.unique(sizes)) > 1:
        return [rng.permutation(n) for _ in range(number)], False
    rows = np.argsort(np.arange(n) if clusters is None else clusters, kind="stable")
    blocks = rows.reshape(len(sizes), -1)
    orders = []
    for _ in range(number):
        order = np.empty(n, dtype=np.int64)
        order[rows] = blocks[rng.permutation(len(sizes))].ravel()
        orders.append(order)
    return orders, True


def cluster_notes(
    clusters: Index | None,
    together: bool,
    errors: str = "standard errors are of halves of the clusters",
) -> tuple[str, ...]:
    """Return what a reader of errors and nulls of clustered rows must know."""
    if clusters is None:
        return ()
    null = (
        "nulls shuffle whole clusters"
        if together
        else "clusters differ in size, so nulls shuffle single rows and p-values may be too small"
    )
    return (f"{errors}; {null}",)
