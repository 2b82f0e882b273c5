"""What a section takes: time and memory by the size of the arrays, and never by the clock.

So the same file gives the same report on every machine. The constants were measured on one core
of an AMD EPYC, and are good to a factor of two on machines of its kind; a GPU is faster.
"""

from typing import NamedTuple

from disentangle_indicators._memory import bound_for, check_room, room

__all__ = [
    "LIMIT",
    "Cost",
    "of_blocks",
    "of_certificate",
    "of_covariance",
    "of_joint",
    "of_marginals",
    "of_one_pass",
]

LIMIT = 10.0
"""Seconds up to which a section is computed unasked."""

_BLOCKS = 1 << 28
"""Bytes of temporary blocks of matrix products, where nothing bounds them."""


def of_blocks() -> int:
    """Return the bytes of temporary blocks: a quarter of what the bound leaves, at most `_BLOCKS`."""
    return int(min(_BLOCKS, room() / 4))


class Cost(NamedTuple):
    """Seconds and bytes of a computation; it is written in words."""

    seconds: float
    memory: float

    def __str__(self) -> str:
        """Return both with two digits, as "about 41 s and 0.8 GB"."""
        minutes = self.seconds / 60
        time = f"{self.seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min"
        time = time if minutes < 120 else f"{minutes / 60:.0f} h"
        return f"about {time} and {max(self.memory / 1e9, 0.1):.1f} GB"

    @property
    def is_small(self) -> bool:
        """Whether it is computed unasked: within the time and within the bound on memory."""
        return self.seconds <= LIMIT and self.fits

    @property
    def fits(self) -> bool:
        """Whether the bound on memory leaves so much."""
        return self.memory <= room()

    def unasked(self, words: str) -> str:
        """Return the cost, and `words` on how to compute it all the same, or the bound that it needs."""
        if not self.fits:
            words = f"it needs {bound_for(self.memory)}"
        return f"{self}; {words}"

    def check(self, what: str, instead: str) -> None:
        """Raise a MemoryError where the bound on memory leaves less."""
        check_room(self.memory, what, instead)


def of_marginals(n: int, d: int) -> Cost:
    r"""Return the cost of the exact marginals: that of latents with narrow posteriors.

    .. math:: t = 10^{-6}\,(n + 10^4)\,d \text{ seconds}

    Parameters
    ----------
    n, d : int
        Rows and latents.

    Returns
    -------
    Cost

    Examples
    --------
    >>> print(of_marginals(10_000, 1000))
    about 20 s and 0.2 GB
    """
    return Cost(1e-6 * (n + 10_000) * d, 24 * n * d)


def of_one_pass(n: int, d: int) -> Cost:
    r"""Return the cost of the marginals in one pass over blocks of rows.

    .. math:: t = 10^{-7}\,n\,d + 10^{-2}\,d \text{ seconds}

    Parameters
    ----------
    n, d : int
        Rows and latents.

    Returns
    -------
    Cost

    Examples
    --------
    >>> print(of_one_pass(100_000_000, 64))
    about 11 min and 0.3 GB
    """
    return Cost(1e-7 * n * d + 1e-2 * d, 4e6 * d)


def of_covariance(n: int, d: int) -> Cost:
    r"""Return the cost of the covariance of the means and of its indicators.

    .. math:: t = 10^{-10}\,n\,d^2 + 8 \cdot 10^{-10}\,d^3 \text{ seconds}

    Parameters
    ----------
    n, d : int
        Rows and latents.

    Returns
    -------
    Cost

    Examples
    --------
    >>> print(of_covariance(24, 4096))
    about 55 s and 1.1 GB
    """
    return Cost(1e-10 * n * d**2 + 8e-10 * d**3, 64 * d**2)


def of_joint(n: int, d: int, points: int) -> Cost:
    r"""Return the cost of the joint, with the marginals that it computes on the way.

    .. math:: t = 1.5 \cdot 10^{-9}\,s\,\big(n\,(40 + d) + 1300\,d\big) + 7 \cdot 10^{-10}\,d^3

    in seconds, beside those of the marginals.

    Parameters
    ----------
    n, d : int
        Rows and latents.
    points : int
        Monte Carlo points s of each run.

    Returns
    -------
    Cost

    Examples
    --------
    >>> print(of_joint(10_000, 16, 4096), of_joint(60_000, 64, 4096), sep="; ")
    about 4 s and 0.3 GB; about 43 s and 0.4 GB
    """
    seconds = 1.5e-9 * points * (n * (40 + d) + 1300 * d) + 7e-10 * d**3
    memory = 16 * n * d + 100 * points * d + of_blocks()
    return Cost(of_marginals(n, d).seconds + seconds, memory)


def of_certificate(n: int, d: int) -> Cost:
    r"""Return the cost of sums over all pairs of rows.

    .. math:: t = 4 \cdot 10^{-9}\,n^2 d \text{ seconds}

    Parameters
    ----------
    n, d : int
        Rows and latents.

    Returns
    -------
    Cost

    Examples
    --------
    >>> print(of_certificate(50_000, 128))
    about 21 min and 0.4 GB
    """
    return Cost(4e-9 * n**2 * d, 16 * n * d + of_blocks())
