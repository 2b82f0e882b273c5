"""Whether encoders encoded the same rows in the same order, as far as their files show."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from disentangle_indicators.posteriors import Encodings

__all__ = ["check_same_rows", "evidence_of_same_rows"]

HASH = ("data_fingerprint", "images")
"""Metadata that name the data and which rows of them were encoded."""


def evidence_of_same_rows(encodings: Sequence[Encodings]) -> str:
    """Return what shows that all have the same rows in the same order, "" if nothing does.

    Raises
    ------
    ValueError
        If they differ in rows, or labels, factors or the hash of the data show other rows.

    Examples
    --------
    >>> one = Encodings.of(np.eye(3), np.ones((3, 3)), labels=[0, 1, 2], name="a")
    >>> evidence_of_same_rows([one, one])
    'labels'
    """
    first = encodings[0]
    found = []
    for other in encodings[1:]:
        if other.n != first.n:
            raise ValueError(
                f"the encoders need the same rows: {_name(first)} has {first.n}, "
                f"{_name(other)} has {other.n}; encode the same inputs with both"
            )
        found.append(_evidence(first, other))
    common = [word for word in found[0] if all(word in words for words in found)] if found else []
    return common[0] if common else ""


def check_same_rows(encodings: Sequence[Encodings], *, same_rows: bool = False) -> str:
    """Return what shows that the rows correspond; refuse encoders of which nothing shows it.

    Raises
    ------
    ValueError
    """
    evidence = evidence_of_same_rows(encodings)
    if evidence or same_rows:
        return evidence or "the caller"
    raise ValueError(
        "nothing shows that row 1 of one encoder is row 1 of the others: no labels, factors or hash "
        "of the data are in all of them. If the rows are the same inputs in the same order, add "
        "same_rows=True"
    )


def _evidence(one: Encodings, two: Encodings) -> list[str]:
    """Return what two encoders have in common that only the same rows have."""
    out = []
    columns = {
        "labels": (one.labels, two.labels),
        "factors": tuple(None if e.factors is None else e.factors.values for e in (one, two)),
    }
    for what, (a, b) in columns.items():
        if a is None or b is None or a.shape != b.shape:
            continue
        if not _equal(a, b):
            row = int(np.argmax(np.any(np.atleast_2d(a.T != b.T), axis=0)))
            raise ValueError(
                f"the {what} of {_name(one)} and {_name(two)} differ, first in row {row}: "
                "match needs the same rows in the same order"
            )
        if np.any(a != a[:1]):
            out.append(what)
    hashes = [tuple(e.metadata.get(key, "") for key in HASH) for e in (one, two)]
    if all(hashes[0]) and hashes[0] == hashes[1]:
        out.append("the hash of the data")
    elif hashes[0][0] and hashes[1][0] and hashes[0][0] != hashes[1][0]:
        raise ValueError(f"{_name(one)} and {_name(two)} are of other data, by their hash")
    return out


def _equal(a: Any, b: Any) -> bool:
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f"))


def _name(encodings: Encodings) -> str:
    return f"'{encodings.name}'" if encodings.name else "one"
