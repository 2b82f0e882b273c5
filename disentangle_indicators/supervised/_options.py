"""What to compute of codes and factors: metrics, protocol, permutations, codes and latents."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from operator import index
from typing import Any

from disentangle_indicators.posteriors import CODES, LATENTS
from disentangle_indicators.supervised._metric import Metric, one_of
from disentangle_indicators.supervised._registry import choose

__all__ = ["HALVES", "PERMUTATIONS", "MetricOptions"]

PERMUTATIONS = 100
HALVES = 20


@dataclass(frozen=True)
class MetricOptions:
    """Options of :func:`evaluate`, checked when they are made.

    Parameters
    ----------
    metrics : "all", or names of metrics
        Each a key of `METRICS`, with a protocol after @ if it is not the default.
    protocol : str, optional
        Protocol of the metrics that are named without one; those that lack it take their default.
    permutations : int
        Permutations of the rows for the null; at most 5 for a protocol that refits.
    halves : int
        Half samples for the standard error; at most 8 for a protocol that refits.
    codes : {"mean", "sample"}
        The posterior means, or one sample of each posterior.
    latents : {"used", "all"}

    Raises
    ------
    ValueError
        On metrics and protocols that do not exist, negative numbers, and other values.

    Examples
    --------
    >>> MetricOptions("mig, sap", protocol="locatello2019").metrics
    ('mig', 'sap')
    >>> MetricOptions("migg")
    Traceback (most recent call last):
        ...
    ValueError: no metric is called 'migg'; there is mig, rmig, dmig, jemmig
    """

    metrics: str | Iterable[str] = "all"
    protocol: str | None = None
    permutations: int = PERMUTATIONS
    halves: int = HALVES
    codes: str = "mean"
    latents: str = "used"

    def __post_init__(self) -> None:
        """Check every field, and keep names as a tuple."""
        names = self.metrics
        if isinstance(names, str):
            names = [word.strip() for word in names.split(",")]
        names = tuple(dict.fromkeys(names))
        object.__setattr__(self, "metrics", "all" if names == ("all",) else names)
        choose(self.metrics, self.protocol)
        check_numbers(self.permutations, self.halves)
        one_of("codes", self.codes, CODES)
        one_of("latents", self.latents, LATENTS)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        names = self.metrics if isinstance(self.metrics, str) else list(self.metrics)
        return {**asdict(self), "metrics": names}

    def chosen(self) -> tuple[dict[str, tuple[Metric, str]], tuple[str, ...]]:
        """Return the metrics and protocols by name, and the notes, as :func:`choose` does."""
        return choose(self.metrics, self.protocol)


def check_numbers(permutations: int, halves: int) -> None:
    """Refuse numbers of permutations and halves that are no whole numbers, or negative."""
    for name, number in (("permutations", permutations), ("halves", halves)):
        try:
            whole = index(number)
        except TypeError:
            raise ValueError(f"{name} must be a whole number; got {number!r}") from None
        if whole < 0:
            raise ValueError(f"{name} must not be negative; got {number}")
