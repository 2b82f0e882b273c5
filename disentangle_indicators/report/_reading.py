"""What a number of a report is: title, unit, range, direction, how to read it, when it misleads."""

from typing import NamedTuple

from disentangle_indicators.registry import Count, Indicator

__all__ = ["JOINT", "Reading", "of_count", "of_indicator"]


class Reading(NamedTuple):
    """How to read a number.

    Parameters
    ----------
    title : str
    unit : str
        "" for what has none.
    low, high : float or None
        None for no end.
    direction : {"", "lower bound", "upper bound", "range"}
    reading, misleads : str
    """

    title: str
    unit: str = "nats"
    low: float | None = 0.0
    high: float | None = None
    direction: str = ""
    reading: str = ""
    misleads: str = ""

    @property
    def range(self) -> str:
        """The range in words."""
        if self.low is None and self.high is None:
            return "any number"
        if self.high is None:
            return f"from {self.low:g}"
        return f"up to {self.high:g}" if self.low is None else f"{self.low:g} to {self.high:g}"


def of_indicator(indicator: Indicator) -> Reading:
    """Return how to read an indicator."""
    return Reading(
        indicator.title,
        indicator.unit,
        indicator.low,
        indicator.high,
        indicator.direction,
        indicator.reading,
        indicator.misleads,
    )


def of_count(count: Count) -> Reading:
    """Return how to read a count of latents."""
    return Reading(count.title, "latents", misleads=count.misleads)


JOINT = {
    "mutual_information": Reading(
        "information of all latents about x",
        direction="range",
        reading="the range of the population, two standard errors included",
        misleads="No estimate from n rows exceeds log n. Where rows are saturated, only the range "
        "is about the encoder.",
    ),
    "total_correlation": Reading(
        "dependence between latents under q(z)",
        direction="range",
        reading="0 if latents are independent",
        misleads="A range that begins at 0 shows no dependence. Entangled factors can have "
        "independent latents.",
    ),
    "kl_aggregate_prior": Reading(
        "distance of q(z) from the prior",
        direction="range",
        reading="single latents that are not N(0, 1), and dependence between latents",
        misleads="Samples of the prior can be poor although the distance is small, because the "
        "decoder is not measured.",
    ),
}
"""How to read the joint."""
