"""The bound on memory, which whoever is about to hold much asks before."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["bound_for", "check_room", "max_memory", "room"]

PROGRAM = 400_000_000
"""Bytes of the interpreter, of the libraries and of blocks of rows, beside the arrays."""

LEAST = 500_000_000
"""Bytes that a bound is at least."""

_UNITS = {"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
_UNITS |= {"KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}

_bound = float("inf")


@contextmanager
def max_memory(size: str | float) -> Iterator[None]:
    """Bound the memory of what is computed inside, in all threads of the process.

    What is computed by blocks is not changed. Of what needs whole arrays, sections that nobody asked for are left out
    with the reason, and everything else raises a MemoryError before the arrays are made.

    Parameters
    ----------
    size : str or float
        Bytes, of which 0.4 GB are for the program itself. A text may end with a unit: "4GB", "500MiB".

    Raises
    ------
    ValueError
        On a text that is no size, and below 0.5 GB.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators import score
    >>> with max_memory("0.5GB"):
    ...     card = score(np.zeros((10, 2000)), var=np.full((10, 2000), 0.5))
    >>> card.reasons["covariance"]
    "of 2000 latents it takes about 6 s and 0.3 GB; it needs max_memory='0.7GB'"
    """
    global _bound
    before, _bound = _bound, _bytes(size)
    try:
        yield
    finally:
        _bound = before


def _bytes(size: str | float) -> float:
    value = _of_text(size) if isinstance(size, str) else float(size)
    if not value >= LEAST:
        raise ValueError(f"max_memory must be at least 0.5GB, such as 4GB; got {size!r}")
    return value


def _of_text(size: str) -> float:
    """Return the bytes of a number with a unit; nan of what is none."""
    found = re.fullmatch(r"([0-9.]+) *([A-Za-z]*)", size.strip())
    try:
        return float(found[1]) * _UNITS[found[2].upper()] if found else float("nan")
    except (ValueError, KeyError):
        return float("nan")


def room() -> float:
    """Return the bytes that arrays may take; infinite without a bound."""
    return _bound - PROGRAM


def _in_gb(size: float) -> str:
    return f"{-(-size // 1e8) / 10:g}GB"


def bound_for(need: float) -> str:
    """Return the argument that leaves so many bytes.

    Examples
    --------
    >>> bound_for(1_234_567_890)
    "max_memory='1.7GB'"
    """
    return f"max_memory={_in_gb(need + PROGRAM)!r}"


def check_room(need: float, what: str, instead: str = "") -> None:
    """Refuse to hold more than the bound leaves.

    Parameters
    ----------
    need : float
        Bytes, beside the program.
    what : str
        What needs them.
    instead : str
        What to do about it but for a larger bound.

    Raises
    ------
    MemoryError
    """
    if need > room():
        raise MemoryError(
            f"{what}: about {need / 1e9:.2g} GB are needed beside the program, and the bound leaves "
            f"{room() / 1e9:.2g} GB; {instead}{', or ' * bool(instead)}give {bound_for(need)}"
        )
