"""Ranges of what is known of a quantity, and how they are written: rounded to their outside.

Every range that is printed, drawn or stored includes two standard errors of its ends.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["NOTHING", "Bracket", "between", "down", "up"]

NOTHING = 5e-5
"""Nats that are printed as 0."""


class Bracket(NamedTuple):
    """Lower and upper end of what is known of a quantity of the population, in nats.

    An end that is not known is infinite; of a quantity that is at least 0, the lower end is 0.
    """

    low: float
    high: float

    @property
    def ends(self) -> tuple[float | None, float | None]:
        """Both ends, None for one that is not known."""
        low, high = (end if math.isfinite(end) else None for end in self)
        return low, high


def between(bracket: Bracket) -> str:
    """Write a range, rounded to its outside.

    Examples
    --------
    >>> between(Bracket(1.234, 15.67)), between(Bracket(0.0, 0.0421)), between(Bracket(2.0, math.inf))
    ('1.23 to 15.7', 'at most 0.043', 'at least 2.00')
    """
    low, high = bracket.ends
    nothing = low is None or 0 <= low < NOTHING
    if high is None:
        return "not known" if low is None or nothing else f"at least {down(low)}"
    if low is None or nothing:
        return f"at most {up(high)}" if low is None or high >= NOTHING else "0"
    return down(low) if down(low) == up(high) else f"{down(low)} to {up(high)}"


def _decimals(x: float) -> int:
    x = abs(x)
    return 4 if x < 0.01 else 3 if x < 0.1 else 2 if x < 10 else 1 if x < 100 else 0


def down(x: float) -> str:
    """Write a number of nats, rounded down.

    Examples
    --------
    >>> down(0.01239), down(-0.00301), down(1.23456e36)
    ('0.012', '-0.0031', '1.234e+36')
    """
    return _written(x, lambda scaled: math.floor(scaled + 1e-7))


def up(x: float) -> str:
    """Write a number of nats, rounded up.

    Examples
    --------
    >>> up(0.01231), up(123.4)
    ('0.013', '124')
    """
    return _written(x, lambda scaled: math.ceil(scaled - 1e-7))


def _written(x: float, whole: Callable[[float], int]) -> str:
    if abs(x) >= 1e6:
        power = 10.0 ** (math.floor(math.log10(abs(x))) - 3)
        return f"{whole(x / power) * power:.4g}"
    unit = 10 ** _decimals(x)
    return f"{whole(x * unit) / unit:.{_decimals(x)}f}"
