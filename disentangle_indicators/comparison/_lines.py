"""One encoder of a comparison, read from its report: fresh from score(), or saved as JSON."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from disentangle_indicators.aggregate._joint_result import span_of
from disentangle_indicators.distance import FEW, Bracket
from disentangle_indicators.registry import COUNTS, INDICATORS

__all__ = ["SCHEMA", "Line", "line_of", "saved_report"]

SCHEMA = "dindic.score/1"
"""Schema of the reports that are compared."""


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
    exact, joint : dict of str to (float or None, float or None)
        Sums over marginals with their errors, and ranges of the joint; empty if not computed.
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
    exact: dict[str, tuple[float, float]]
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
    of_marginals = marginals.get("standard_errors") or {}
    return Line(
        name=report["name"],
        n=report["n"],
        d=report["d"],
        counts={name: report[name] for name in COUNTS if isinstance(report.get(name), int)},
        values=values,
        errors={name: _number(errors[name]) for name in values if name in errors},
        distance=None if known is None else _bracket(known["total"]),
        trust=_trust(report),
        exact={
            name: (marginals[name], _number(of_marginals.get(name)))
            for name in EXACT
            if marginals.get(name) is not None
        },
        certain=(certificate["low"], certificate["high"]) if certificate else None,
        joint={name: span_of(joint, name) for name in JOINT} if joint else {},
        metrics={
            name: (score.get("value"), score.get("standard_error"))
            for name, score in metrics.items()
        },
    )


def _number(value: float | None) -> float:
    """Return a number of JSON, in which an infinite one is null."""
    return math.inf if value is None else value


def _bracket(ends: Mapping[str, float | None]) -> Bracket:
    return Bracket(ends["low"] or 0.0, _number(ends["high"]))


def _trust(report: Mapping[str, Any]) -> str:
    """Return what limits the numbers most, in few words."""
    if "kl_posterior_prior" not in report:
        return "means only"
    saturated = sum((report.get("marginals") or {}).get("saturated") or ())
    draws = report.get("n_clusters") or report["n"]
    if saturated:
        return "saturated"
    if draws < FEW * (report["d"] - report["unused"]):
        return "few draws"
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
