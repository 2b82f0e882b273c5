"""Whether encoders encoded the same rows in the same order, as far as their files show."""

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from disentangle_indicators.posteriors import Encodings

__all__ = ["check_same_rows", "evidence_of_same_rows"]

HASH = ("data_fingerprint", "images")
"""Metadata that name the data and which rows of them were encoded."""

BY_CHANCE = 1e-6
"""Greatest probability that labels of shuffled rows agree, where labels show the same rows."""

RUNS = 0.75
"""Least number of runs of equal labels, as a share of its expectation if shuffled: fewer are blocks."""

COMPRESSED = 0.5
"""Least size of compressed labels, as a share of shuffled ones: smaller is an order that repeats."""


def evidence_of_same_rows(encodings: Sequence[Encodings]) -> str:
    """Return what shows that all have the same rows in the same order, "" if nothing does.

    Labels that are sorted, in blocks or in turns show nothing: rows that were shuffled within
    their classes have the same labels.

    Parameters
    ----------
    encodings : sequence of Encodings

    Returns
    -------
    str
        "labels", "factors", "the hash of the data", or "".

    Examples
    --------
    >>> one = Encodings.of(np.eye(3), np.ones((3, 3)), labels=[0, 1, 2], name="a")
    >>> evidence_of_same_rows([one, one])
    'labels'
    """
    first, *others = encodings
    if any(other.n != first.n for other in others):
        return ""
    for what in ("labels", "factors"):
        column, *rest = (_columns(each)[what] for each in encodings)
        if column is not None and all(_equal(column, x) for x in rest) and _identifies(column):
            return what
    hashes = {tuple(each.metadata.get(key, "") for key in HASH) for each in encodings}
    return "the hash of the data" if len(hashes) == 1 and all(*hashes) else ""


def check_same_rows(encodings: Sequence[Encodings], *, same_rows: bool = False) -> str:
    """Return what shows that the rows correspond; refuse encoders of which nothing shows it.

    Raises
    ------
    ValueError
        If they differ in rows, if labels, factors or the hash of the data show other rows, and if
        nothing shows the same rows.
    """
    for other in encodings[1:]:
        _check_no_other(encodings[0], other)
    evidence = evidence_of_same_rows(encodings)
    if evidence or same_rows:
        return evidence or "the caller"
    first, *others = map(_columns, encodings)
    agree = [what for what in first if all(_equal(first[what], each[what]) for each in others)]
    reason = (
        f"their {agree[0]} agree, but rows that were shuffled within their classes would agree as well"
        if agree
        else "no labels, factors or hash of the data in all of them agree"
    )
    raise ValueError(
        f"nothing shows that row 1 of one encoder is row 1 of the others: {reason}. If the rows are "
        "the same inputs in the same order, add same_rows=True"
    )


def _check_no_other(one: Encodings, two: Encodings) -> None:
    """Refuse two encoders of rows that differ."""
    if two.n != one.n:
        raise ValueError(
            f"the encoders need the same rows: {_name(one)} has {one.n}, "
            f"{_name(two)} has {two.n}; encode the same inputs with both"
        )
    for what, a in _columns(one).items():
        b = _columns(two)[what]
        if a is None or b is None or a.shape != b.shape or _equal(a, b):
            continue
        row = int(np.argmax(np.any(np.atleast_2d(a.T != b.T), axis=0)))
        raise ValueError(
            f"the {what} of {_name(one)} and {_name(two)} differ, first in row {row}: "
            "match needs the same rows in the same order"
        )
    hashes = [each.metadata.get(HASH[0], "") for each in (one, two)]
    if all(hashes) and hashes[0] != hashes[1]:
        raise ValueError(f"{_name(one)} and {_name(two)} are of other data, by their hash")


def _columns(encodings: Encodings) -> dict[str, Any]:
    """Return the arrays beside the means that may name the rows."""
    factors = encodings.factors
    return {"labels": encodings.labels, "factors": None if factors is None else factors.values}


def _equal(a: Any, b: Any) -> bool:
    if a is None or b is None:
        return False
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f"))


def _identifies(column: Any) -> bool:
    """Whether equal columns (n,) or (n, K) prove equal rows.

    They do if no two rows have the same values. Otherwise the order of the values must look shuffled,
    and shuffled rows must be unlikely to meet it.

    Examples
    --------
    >>> labels = np.random.default_rng(0).integers(10, size=1000)
    >>> _identifies(labels), _identifies(np.sort(labels)), _identifies(np.arange(1000) % 10)
    (True, False, False)
    """
    codes = _codes(column)
    sizes = np.bincount(codes)
    if sizes.size == codes.size:
        return len(codes) > 1
    if _log_orders(sizes) < -np.log(BY_CHANCE):
        return False
    runs = int(np.sum(codes[1:] != codes[:-1]))
    expected = float(codes.size**2 - np.sum(sizes**2)) / codes.size
    shuffled = np.random.default_rng(0).permutation(codes)
    disordered = _compressed(codes) >= COMPRESSED * _compressed(shuffled)
    return disordered and runs >= RUNS * expected


def _codes(column: Any) -> Any:
    """Return one number (n,) for rows with the same values, from 0."""
    table = column.reshape(len(column), -1)
    each = [np.unique(x, return_inverse=True)[1].reshape(-1) for x in table.T]
    return np.unique(np.stack(each, axis=1), axis=0, return_inverse=True)[1].reshape(-1)


def _log_orders(sizes: Any) -> float:
    """Return the log of the number of orders of rows in classes of these sizes."""
    from scipy.special import gammaln

    return float(gammaln(np.sum(sizes) + 1) - np.sum(gammaln(sizes + 1)))


def _compressed(codes: Any) -> int:
    """Return the bytes of compressed codes."""
    return len(zlib.compress(codes.astype(np.min_scalar_type(int(codes.max()))).tobytes()))


def _name(encodings: Encodings) -> str:
    return f"'{encodings.name}'" if encodings.name else "one"
