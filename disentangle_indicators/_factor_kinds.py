"""Kinds of factors: what is given, what is guessed, and what looks like a missing value."""

from typing import NamedTuple

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators._factor_columns import TRUTH, Column

__all__ = ["BINS", "FEW", "KINDS", "Kind", "around", "kind_of", "sentinel", "why_risky"]

KINDS = ("categorical", "ordinal", "continuous", "circular")

FEW = 100
"""Distinct values up to which numbers are taken as values, not as measurements."""

BINS = 20

_SAME = 1e-5
"""Share of a period by which two angles differ that are one but for rounding."""

_BELOW = (-1.0, -9.0, -99.0, -999.0, -9999.0, -99999.0)
_ABOVE = (999.0, 9999.0, 99999.0, 999999.0)
_WORDS = ("unknown", "missing", "undefined", "unassigned", "not available", "?", "-", "--", "n.a.")


class Kind(NamedTuple):
    """The kind of a factor.

    Parameters
    ----------
    kind : str
    period : float
        nan unless circular.
    guessed : bool
        Whether it is a guess that may be wrong.
    """

    kind: str
    period: float
    guessed: bool


def kind_of(given: str | None, column: Column, name: str) -> Kind:
    """Return the kind that is given, or a guess."""
    if given is None:
        kind = _guess(column)
        return Kind(kind, np.nan, bool(why_risky(kind, column.values, column.classes)))
    kind, _, words = given.partition(":")
    if kind not in KINDS or (words and kind != "circular"):
        raise ValueError(f"the kind of {name} must be one of {', '.join(KINDS)}; got {given!r}")
    if kind != "categorical" and not column.ordered and column.classes is not None:
        raise ValueError(f"{name} holds text, so it can only be categorical")
    if kind != "circular":
        return Kind(kind, np.nan, guessed=False)
    if not words:
        return Kind(kind, _period(np.unique(_present(column.values)), name), guessed=False)
    try:
        period = float(words)
    except ValueError:
        period = np.nan
    if not period > 0:
        raise ValueError(f"the period of {name} must be a positive number; got {words!r}")
    return Kind(kind, period, guessed=False)


def _guess(column: Column) -> str:
    """Return a kind by which values are equal, wherever values are repeated, whole or not.

    Then a table has the same scores with values or with their numbers 0, 1, ... in order. Up to 20
    values "ordinal" and "continuous" are scored alike.
    """
    if column.classes is not None:
        return "ordinal" if column.ordered and column.classes != TRUTH else "categorical"
    present = _present(column.values)
    values = np.unique(present)
    repeated = len(present) >= 2 * len(values)
    whole = bool(np.all(values == np.round(values)))
    return "ordinal" if len(values) <= FEW and (repeated or whole) else "continuous"


def why_risky(kind: str, values: Float, classes: tuple[str, ...] | None) -> str:
    """Return why a guessed kind may be wrong, and what to say then; empty if it is safe."""
    present = _present(values)
    number, distinct = len(present), np.unique(present)
    if classes is not None:
        if kind != "categorical" or classes == TRUTH:
            return ""
        if all(map(_is_number, classes)):
            return f"{len(distinct)} classes are text, and all of them numbers; give numbers"
        if 2 * len(distinct) > number > BINS:
            return f"{len(distinct)} classes in {number} rows; most classes have one row"
        return ""
    whole = bool(np.all(distinct == np.round(distinct)))
    if kind == "continuous" and whole and len(distinct) > FEW:
        return f"{len(distinct)} whole numbers; if they name classes, the kind is categorical"
    if kind == "ordinal" and not whole and len(distinct) > BINS:
        return f"{len(distinct)} different values; if they are measured, the kind is continuous"
    return ""


def sentinel(values: Float, classes: tuple[str, ...] | None) -> str:
    """Return the value that looks as if it stood for a missing one; empty if none does."""
    distinct = np.unique(_present(values))
    if classes is not None:
        words = [classes[int(index)] for index in distinct]
        return next((word for word in words if word.strip().lower() in _WORDS), "")
    if len(distinct) < 3:
        return ""
    low, high = distinct[0], distinct[-1]
    apart = low < -1 and low / 2 < distinct[1] and high < -low / 2
    if low in _BELOW and (apart or distinct[1] >= 0 and (low < -1 or high > 1)):
        return f"{low:g}"
    return f"{high:.0f}" if high in _ABOVE and distinct[-2] < high / 2 else ""


def around(values: Float, period: float) -> Float:
    """Return angles from 0 to the period; those that agree but for rounding are one."""
    angles = values % period
    distinct, index = np.unique(angles, return_inverse=True)  # nan come last
    present = distinct[~np.isnan(distinct)]
    if not len(present):
        return angles
    group = np.concatenate([[0], np.cumsum(np.diff(present) > _SAME * period)])
    first = np.flatnonzero(np.diff(group, prepend=-1))
    last = np.append(first[1:], len(present)) - 1
    if len(first) > FEW or np.any(present[last] - present[first] > 10 * _SAME * period):
        return angles  # measured
    of_group = present[first]
    if period - present[-1] + present[0] <= _SAME * period:
        of_group[-1] = of_group[0]
    one = np.concatenate([of_group[group], distinct[len(present) :]])
    return np.asarray(one[index.reshape(-1)])


def _period(values: Float, name: str) -> float:
    """Return the range of the values and one step more."""
    if not len(values):
        return 1.0
    with np.errstate(over="ignore"):
        width, steps = float(values[-1] - values[0]), np.diff(values)
        steps = steps[steps > _SAME * width]
        period = width + (float(steps.min()) if len(steps) else 1.0)
    if not np.isfinite(period):
        raise ValueError(f"the range of {name} is larger than numbers are; give its period")
    return period


def _present(values: Float) -> Float:
    return values[~np.isnan(values)]


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
