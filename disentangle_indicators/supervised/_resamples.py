"""Scores of permuted rows, of half samples, and of a perfect code."""

from typing import Any

import numpy as np

from disentangle_indicators._array import Float, generator
from disentangle_indicators._binning import Index
from disentangle_indicators._errors import Undefined
from disentangle_indicators.factors import Factors
from disentangle_indicators.supervised._metric import Metric, measure

__all__ = [
    "TRACE",
    "half_scores",
    "null_of_clusters",
    "null_scores",
    "perfect_code",
    "score_or_none",
]

TRACE = 0.01
"""Noise of a perfect code, as a share of the distance between neighbouring values of the factor."""


def perfect_code(factors: Factors, noise: Float) -> Float:
    """Return the factors as a code with a trace of noise, padded with noise.

    Parameters
    ----------
    factors : Factors
        K of them.
    noise : array, shape (n, d)
        Standard normal; its first K columns become the trace, 1% of the median distance between
        neighbouring values.
    """
    code, number = factors.codes(), factors.number
    for k in range(number):
        gaps = np.diff(np.unique(code[factors.present(k), k]))
        code[:, k] += TRACE * (np.median(gaps) if len(gaps) else 0.0) * noise[:, k]
    return np.concatenate([code, noise[:, number:]], axis=1)


def null_scores(
    metric: Metric,
    codes: Float,
    factors: Factors,
    parameters: dict[str, Any],
    orders: list[Index],
    seed: int,
) -> Float:
    """Return the scores of permuted rows; none if one of them has no value."""
    prepared, table = metric.prepare(codes, factors, parameters)
    try:
        found = [
            metric.outcome(prepared[order], table, parameters, generator(seed)).value
            for order in orders
        ]
    except Undefined:
        return np.empty(0)
    return np.array(found, dtype=np.float64)


def null_of_clusters(
    metric: Metric,
    codes: Float,
    factors: Factors,
    parameters: dict[str, Any],
    orders: list[Index],
    seed: int,
) -> Float:
    """Return the scores of factors that clusters of different sizes got from each other."""
    return _all_values(
        metric, [(codes, factors.take(order), parameters) for order in orders], seed
    )


def half_scores(
    metric: Metric,
    codes: Float,
    factors: Factors,
    parameters: dict[str, Any],
    parts: list[Index],
    seed: int,
) -> Float:
    """Return the scores of halves; none if one of them has no value.

    The rows of a half are in the order in which the metric shuffles all rows, so that a row that
    is fitted there is fitted here. ``share`` is the share of rows that a half has. All rows say
    which informations count, where other samples would say the same: half of the rows take more
    noise for information.
    """
    n = len(codes)
    if metric.counts is not None:
        counted = metric.counts(codes, factors, parameters, generator(seed))
        parameters = parameters | {"counts": counted}
    order = np.arange(n)
    if parameters.get("order") == "shuffled":
        order = generator(seed).permutation(n)
        parameters = parameters | {"order": "as given"}
    rows = [order[np.isin(order, part)] for part in parts]
    given = [(codes[r], factors.take(r), parameters | {"share": len(r) / n}) for r in rows]
    return _all_values(metric, given, seed)


def _all_values(
    metric: Metric, given: list[tuple[Float, Factors, dict[str, Any]]], seed: int
) -> Float:
    """Return the score of each; none if one has no value or a factor that does not vary.

    A spread over some of them would not be that of all, and without a factor chance is another.
    """
    found = []
    for codes, factors, parameters in given:
        if len(factors.varying) < factors.number:
            return np.empty(0)
        try:
            prepared = metric.prepare(codes, factors, parameters)
            rng = generator(seed)
            found.append(metric.outcome(*prepared, parameters, rng).value)
        except Undefined:
            return np.empty(0)
    return np.array(found, dtype=np.float64)


def score_or_none(
    metric: Metric, codes: Float, factors: Factors, seed: int, protocol: str
) -> float | None:
    try:
        return measure(metric, codes, factors, rng=seed, protocol=protocol).value
    except Undefined:
        return None
