"""Which rows a metric fits on, and which rows it scores."""

from typing import Any

import numpy as np

from disentangle_indicators._binning import Index
from disentangle_indicators.factors import Factors

__all__ = ["splits"]


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
    if p["order"] not in ("shuffled", "as given"):
        raise ValueError(f"order must be shuffled or as given; got {p['order']!r}")
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
