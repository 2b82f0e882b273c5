"""One encoder of a comparison, read from its report: fresh from score(), or saved as JSON."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from disentangle_indicators._blocks import with_error
from disentangle_indicators._brackets import Bracket
from disentangle_indicators.distance import FEW
from disentangle_indicators.registry import COUNTS, INDICATORS

__all__ = ["SCHEMA", "Line", "Sum", "line_of", "saved_report"]

SCHEMA = "dindic.score/1"
"""Schema of the reports that are compared."""


class Sum(NamedTuple):
    """A sum over the marginals, in nats: of these rows, its errors, and a bound.

    Parameters
    ----------
    value, standard_error : float
    population_error : float
        About the value of the population; infinite where a latent is saturated.
    least : float
        Lower bound of the value of the population, two standard errors down.
    """

    value: float
    standard_error: float
    population_error: float
    least: float

    def in_words(self) -> str:
        """Write the sum with its error about the population, or as a bound where that is unknown."""
        if math.isfinite(self.population_error):
            return with_error(self.value, self.population_error)
        return f"≥ {with_error(self.least, None)}"


@dataclass(frozen=True)
class Line:
    """What a comparison shows of one encoder.

    Parameters
    ----------
    name : str
    n, d : int
    counts : dict of str to int
        Of latents by state; empty for means only.
    values, errors : dict of str to float
        Indicators by name, and their standard errors.
    distance : Bracket or None
        KL(q(z) || p) of the population; None for means only.
    trust : str
        What limits the numbers, in two words; "" for nothing.
    exact : dict of str to Sum
        Sums over marginals; empty if not computed.
    joint : dict of str to (float or None, float or None)
        Ranges of the joint; empty if not computed.
    certain : (float, float) or None
        Certain bounds of I(x; z) of the rows, if computed.
    metrics : dict of str to (float or None, float or None)
        Scores and errors by metric@protocol.
    """

    name: str
    n: int
    d: int
    counts: dict[str, int]
    values: dict[str, float]
    errors: dict[str, float]
    distance: Bracket | None
    trust: str
    exact: dict[str, Sum]
    joint: dict[str, tuple[float | None, float | None]]
    certain: tuple[float, float] | None
    metrics: dict[str, tuple[float | None, float | None]]


EXACT = ("total_information", "total_kl_prior", "total_looseness")
JOINT = ("mutual_information", "total_correlation", "kl_aggregate_prior")


def line_of(report: Mapping[str, Any]) -> Line:
    """Return the line of a report, as ``Scorecard.to_dict`` makes it."""
    known = report.get("distance")
    marginals, joint = report.get("marginals") or {}, report.get("joint") or {}
    certificate = report.get("certificate")
    metrics = (report.get("metrics") or {}).get("metrics") or {}
    names = [name for name, i in INDICATORS.items() if i.compared]
    values = {name: report[name] for name in names if report.get(name) is not None}
    errors = report.get("standard_errors") or {}
    return Line(
        name=report["name"],
        n=report["n"],
        d=report["d"],
        counts={name: report[name] for name in COUNTS if isinstance(report.get(name), int)},
        values=values,
        errors={name: _number(errors[name]) for name in values if name in errors},
        distance=None if known is None else _bracket(known["total"]),
        trust=_trust(report),
        exact=_sums(marginals, known),
        certain=(certificate["low"], certificate["high"]) if certificate else None,
        joint={name: _ends(joint["ranges"][name]) for name in JOINT} if joint else {},
        metrics={
            name: (score.get("value"), score.get("standard_error"))
            for name, score in metrics.items()
        },
    )


def _sums(marginals: Mapping[str, Any], distance: Mapping[str, Any] | None) -> dict[str, Sum]:
    """Return the sums over the marginals; few rows lower I(x; z_h) and raise the others."""
    sampling = marginals.get("standard_errors") or {}
    errors = marginals.get("population_errors") or {}
    found = {}
    for name in EXACT:
        if marginals.get(name) is not None:
            value, error = marginals[name], _number(sampling.get(name))
            found[name] = Sum(value, error, _number(errors.get(name)), 0.0)
    if "total_information" in found:
        total = found["total_information"]
        least = max(total.value - 2 * total.standard_error, 0.0)
        found["total_information"] = total._replace(least=least)
    if distance is not None and "total_kl_prior" in found:
        least = distance["marginals"]["low"] or 0.0
        found["total_kl_prior"] = found["total_kl_prior"]._replace(least=least)
    return found


def _ends(ends: Mapping[str, float | None]) -> tuple[float | None, float | None]:
    return ends["low"], ends["high"]


def _number(value: float | None) -> float:
    """Return a number of JSON, in which an infinite one is null."""
    return math.inf if value is None else value


def _bracket(ends: Mapping[str, float | None]) -> Bracket:
    return Bracket(ends["low"] or 0.0, _number(ends["high"]))


def _trust(report: Mapping[str, Any]) -> str:
    """Return what limits the numbers most, in few words."""
    if "kl_posterior_prior" not in report:
        return "means only"
    joint = report.get("joint") or {}
    saturated = sum((report.get("marginals") or {}).get("saturated") or ())
    draws = report.get("n_clusters") or report["n"]
    if saturated:
        return "saturated"
    if draws < FEW * (report["d"] - report["unused"]):
        return "few draws"
    if joint.get("saturated"):
        return "I(x; z) is a range"
    return "heavy tails" if report.get("heavy_tailed") else ""


def saved_report(path: str | Path) -> dict[str, Any]:
    """Read a report that score saved as JSON; its name is its path.

    Raises
    ------
    ValueError
        If the file is no such report.
    """
    path = Path(path)
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: this is no JSON report ({error})") from error
    schema = report.get("schema") if isinstance(report, dict) else None
    if schema != SCHEMA:
        raise ValueError(f"{path}: a report of {SCHEMA} is needed; this is {schema or 'none'}")
    return {**report, "name": str(path)}
