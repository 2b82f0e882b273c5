"""The indicators of one encoder by group of its rows: donors, batches, train against test."""

from dataclasses import replace
from typing import Any

import numpy as np

from disentangle_indicators._sections import joint_left_out
from disentangle_indicators.comparison._compare import compare
from disentangle_indicators.comparison._comparison_result import Comparison
from disentangle_indicators.factors import as_column
from disentangle_indicators.posteriors import Encodings
from disentangle_indicators.scorecard import score

__all__ = ["compare_by"]

MOST = 200
"""Groups at most."""


def compare_by(
    encodings: Encodings,
    by: Any,
    *,
    reference: str | int = 0,
    sort: str | None = None,
    **options: Any,
) -> Comparison:
    """Compare groups of the rows of one encoder.

    Parameters
    ----------
    encodings : Encodings
    by : str or array, shape (n,)
        The group of each row: an array, or the name of a factor, "labels" or "clusters".
    reference, sort
        As :func:`compare` takes them; groups are named by their values.
    **options
        As :func:`~disentangle_indicators.score` takes them. By default joints are computed where
        they take less than about ten seconds together.

    Returns
    -------
    Comparison
        As of independent samples. Rows without a group are left out.

    Raises
    ------
    ValueError
        When there is no such column, it has one value, or more than 200.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> encodings = Encodings.of(rng.normal(size=(90, 2)), np.full((90, 2), 0.1))
    >>> groups = compare_by(encodings, np.repeat(["train", "test"], [60, 30]))
    >>> [line.name for line in groups.lines]
    ['test', 'train']
    """
    column = as_column(_column(encodings, by), encodings.n, "by")
    text = column.dtype.kind == "U"
    there = column != "" if text else column == column  # noqa: PLR0124 - nan
    values = np.unique(column[there])
    if not 2 <= len(values) <= MOST:
        raise ValueError(f"by must have 2 to {MOST} groups; there are {len(values)}")
    groups = [
        encodings.take(np.flatnonzero(column == value), str(value) if text else f"{value:g}")
        for value in values
    ]
    left_out = {}
    if options.get("joint") is None and (reason := joint_left_out(groups)):
        options, left_out = options | {"joint": False}, {"joint": reason}
    cards = [score(group, **options) for group in groups]
    cards = [replace(card, reasons=card.reasons | left_out) for card in cards]
    return compare(cards, reference=reference, sort=sort)


def _column(encodings: Encodings, by: Any) -> Any:
    """Return the column that a name stands for."""
    if not isinstance(by, str):
        return by
    known: dict[str, Any] = {"labels": encodings.labels, "clusters": encodings.clusters}
    if encodings.factors is not None:
        table = encodings.factors
        known |= {name: table.column(k) for k, name in enumerate(table.names)}
    if known.get(by) is None:
        there = [name for name, column in known.items() if column is not None]
        raise ValueError(f"by must be one of {', '.join(there) or 'no columns'}; got {by!r}")
    return known[by]
