"""The sections of a scorecard beside the indicators, and which of them are computed unasked.

`SECTIONS` is the table of contents. A section is a function of the encodings and of what was asked
for. One that has no value for this encoder raises Undefined, and only it is left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from disentangle_indicators._cost import (
    Cost,
    of_blocks,
    of_certificate,
    of_covariance,
    of_joint,
    of_marginals,
    of_one_pass,
)
from disentangle_indicators._drawn import Drawn, drawn
from disentangle_indicators._errors import Undefined
from disentangle_indicators._indicators_result import Indicators
from disentangle_indicators._memory import room
from disentangle_indicators._result import Result
from disentangle_indicators._row_sample import OF_SAMPLE, SAMPLED
from disentangle_indicators._sources import WIDE
from disentangle_indicators.posteriors import Encodings

if TYPE_CHECKING:
    from disentangle_indicators._means_result import MeansOnly
    from disentangle_indicators.aggregate import Joint
    from disentangle_indicators.supervised import MetricOptions
    from disentangle_indicators.theorems import Theorems

POINTS = 4096
"""Monte Carlo points of the joint."""


HELD = 100_000_000
"""Entries of the means up to which metrics see all rows: 0.8 GB in float64."""

OF_METRICS = 100_000
"""Random rows that metrics see beyond."""


@dataclass(frozen=True)
class Asked:
    """What score() was asked for."""

    threshold: float
    marginals: bool | None
    joint: bool | None
    points: int
    certify: bool
    metrics: "MetricOptions | None"
    rng: np.random.Generator | int


def _joint(encodings: Encodings, asked: Asked) -> Result | None:
    if asked.joint is False or (asked.joint is None and _is_simple(encodings, asked)):
        return None
    if asked.joint is None and (reason := joint_left_out((encodings,), asked.points)):
        small = of_joint(SAMPLED, encodings.d, asked.points).is_small
        if encodings.clusters is not None or encodings.n <= SAMPLED or not small:
            raise Undefined(reason)
        return _joint_of_some(encodings, asked)
    from disentangle_indicators.aggregate import joint

    cost = of_joint(encodings.n, encodings.d, asked.points)
    cost.check(f"the joint of {encodings.n} rows", "give joint=False")
    try:
        return joint(encodings, rng=asked.rng, points=asked.points, memory=of_blocks())
    except Undefined:
        if asked.joint:
            raise
        return None  # the marginals have none either, and give the reason


def _joint_of_some(encodings: Encodings, asked: Asked) -> Result:
    """Return the joint of random rows, where that of all rows takes long; it has wider ranges."""
    from disentangle_indicators.aggregate import joint

    rows = drawn(encodings, SAMPLED, asked.rng).encodings
    some = joint(rows.mean, rows.var, rng=asked.rng, points=asked.points, memory=of_blocks())
    text = f"{OF_SAMPLE} {SAMPLED} random rows of {encodings.n}; joint=True takes all of them."
    return replace(some, dependence=text)


def _is_simple(encodings: Encodings, asked: Asked) -> bool:
    """Whether the latents have no joint that could be of interest."""
    return encodings.means_only or encodings.n == 1 or asked.marginals is False


def _marginals(encodings: Encodings, asked: Asked) -> Result | None:
    if asked.marginals is False and not asked.joint:
        return None
    if asked.marginals is None and not asked.joint:
        if encodings.means_only:
            return None
        if is_large(encodings):
            return _of_large(encodings)
    cost = of_marginals(encodings.n, encodings.d)
    cost.check(f"the marginals of {encodings.n} rows", "give marginals=False")
    return encodings.marginals


def _of_large(encodings: Encodings) -> Result:
    if is_one_pass(encodings):
        from disentangle_indicators.aggregate import one_pass_marginals

        return one_pass_marginals(encodings)
    cost = of_marginals(encodings.n, encodings.d)
    raise Undefined(f"they take {cost.unasked('marginals=True computes them')}")


def _certificate(encodings: Encodings, asked: Asked) -> Result | None:
    if not asked.certify:
        return None
    from disentangle_indicators.aggregate import certify

    cost = of_certificate(encodings.n, encodings.d)
    cost.check(f"the certificate of {encodings.n} rows", "leave out certify=True")
    return certify(encodings, memory=of_blocks())


def _metrics(encodings: Encodings, asked: Asked) -> Result | None:
    if asked.metrics is None:
        return None
    from disentangle_indicators.supervised import evaluate

    seen, _, note = _seen(encodings, asked)
    found = evaluate(seen, asked.metrics, threshold=asked.threshold, rng=asked.rng)
    return replace(found, notes=(*filter(None, [note]), *found.notes))


def _seen(encodings: Encodings, asked: Asked) -> Drawn:
    """Return the rows that metrics see: random ones where the means of all are not held."""
    some = encodings.n * encodings.d > min(HELD, room() / 48)  # six arrays in float64
    return drawn(encodings, OF_METRICS if some else encodings.n, asked.rng)


def _channel(encodings: Encodings, asked: Asked) -> Result | None:
    if asked.metrics is None or asked.metrics.codes != "mean":
        return None
    if encodings.means_only:
        return None
    if asked.marginals is False or (asked.marginals is None and is_large(encodings)):
        raise Undefined("it needs the exact marginals, which were left out")
    from disentangle_indicators.supervised import channel

    return channel(encodings, rng=asked.rng)


def _unsupervised(encodings: Encodings, asked: Asked) -> Result | None:
    if asked.metrics is None or asked.metrics.codes != "mean":
        return None
    from disentangle_indicators.unsupervised import code_scores

    encodings = _seen(encodings, asked).encodings
    return code_scores(encodings, encodings.used(asked.metrics.latents, asked.threshold))


def of_theorems(
    encodings: Encodings, result: "Indicators | MeansOnly", joint: "Joint | None", asked: Asked
) -> "Theorems":
    """Return what the theorems say, from indicators and the joint that are known."""
    from disentangle_indicators.theorems import of_parts

    encodings.arrays("theorems need")
    assert isinstance(result, Indicators)
    if joint is None or joint.n < encodings.n:
        raise Undefined("they need the joint of all rows; joint=True computes it")
    return of_parts(encodings, result, joint, axes=False, threshold=asked.threshold, rng=asked.rng)


SECTIONS: dict[str, Callable[[Encodings, Asked], Result | None]] = {
    "joint": _joint,  # before the marginals, which it computes on the way
    "marginals": _marginals,
    "certificate": _certificate,
    "metrics": _metrics,
    "channel": _channel,
    "unsupervised": _unsupervised,
}
"""Every section beside the indicators, in the order in which they are computed."""


def is_large(encodings: Encodings) -> bool:
    """Whether the exact marginals of all rows at once take more than about ten seconds."""
    return not of_marginals(encodings.n, encodings.d).is_small


def is_one_pass(encodings: Encodings) -> bool:
    """Whether marginals are computed in one pass unasked: not of clusters or very many latents."""
    fits = of_one_pass(encodings.n, encodings.d).fits
    return encodings.clusters is None and encodings.d <= WIDE and fits


def covariance_left_out(encodings: Encodings, asked: bool | None) -> str:
    """Return why indicators of the covariance are left out, "" where they are computed."""
    if asked is False:
        return "it was not asked for"
    cost = of_covariance(encodings.n, encodings.d)
    if asked:
        cost.check(f"the covariance of {encodings.d} latents", "leave out covariance=True")
    if asked or (encodings.d <= WIDE and cost.fits):
        return ""
    return f"of {encodings.d} latents it takes {cost.unasked('covariance=True computes it')}"


def joint_left_out(encoders: Sequence[Encodings], points: int = POINTS) -> str:
    """Return why the joints of these encoders are left out unasked, "" where they are computed."""
    costs = [of_joint(e.n, e.d, points) for e in encoders if not e.means_only]
    if not costs:
        return ""
    whole = Cost(sum(cost.seconds for cost in costs), max(cost.memory for cost in costs))
    if whole.is_small:
        return ""
    if len(encoders) == 1:
        return f"it takes {whole.unasked('joint=True computes it')}"
    return f"all {len(encoders)} take {whole.unasked('joint=True computes them')}"


def announcement(
    encodings: Encodings,
    *,
    marginals: bool | None,
    joint: bool | int | None,
    certify: bool,
    covariance: bool | None = None,
) -> str:
    """Return what takes longer than about ten seconds of what is asked for, "" for nothing.

    A covariance that is asked for of more latents than it is computed of unasked is always in it.
    """
    n, d = encodings.n, encodings.d
    points = POINTS if joint is True else int(joint or 0)
    unasked = marginals is None and not points and not encodings.means_only
    by_blocks = unasked and is_large(encodings) and is_one_pass(encodings)
    costs = {
        "the marginals in one pass": of_one_pass(n, d) if by_blocks else None,
        "the marginals": of_marginals(n, d) if marginals and not points else None,
        "the joint": of_joint(n, d, points) if points else None,
        "the certificate": of_certificate(n, d) if certify else None,
    }
    long = [f"{name} {cost}" for name, cost in costs.items() if cost and not cost.is_small]
    if covariance and d > WIDE and not encodings.means_only:
        long.insert(0, f"the covariance {of_covariance(n, d)}")
    return f"estimated for {n} rows and {d} latents: {', '.join(long)}" if long else ""
