"""What :func:`joint` returns: values and ranges, and how they are put into words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from disentangle_indicators._blocks import Block, Table, with_error
from disentangle_indicators._brackets import Bracket, between
from disentangle_indicators._clusters import INDEPENDENT, widening
from disentangle_indicators._result import Result, one_row
from disentangle_indicators._row_sample import OF_SAMPLE
from disentangle_indicators.aggregate._marginals_result import Marginals

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Joint", "in_words", "joint_table", "overlap", "span", "span_of"]


RANGES = ("mutual_information", "total_correlation", "kl_aggregate_prior")
"""Quantities of the population with a range."""

ENDS = tuple(f"{name}_{end}" for name in (*RANGES, "rest") for end in ("low", "high"))
"""Fields of estimated ends, without standard errors."""


@dataclass(frozen=True, eq=False, repr=False)
class Joint(Result):
    """The joint aggregated posterior of n rows, in nats, with Monte Carlo standard errors.

    Parameters
    ----------
    n, d, points : int
        Rows, latents, and points of each of the two Monte Carlo runs.
    draws : int
        Independent draws of the population: clusters, distinct rows where there are copies, or
        rows.
    seed : int or None
        The seed, where one was given.
    mutual_information, total_correlation, kl_aggregate_prior : float
        I(x; z), TC and KL(q(z) || p) of the empirical mixture: I from one set of points, TC and
        KL(q(z) || p) from another. In JSON they are null where saturated, and always under
        `of_rows`.
    saturation : float
        exp(I) / n: one over the number of posteriors that overlap with one of them. Below .01 the
        three numbers above are nearly those of the population; up to .1, I is too low and TC too
        high by one to five times as many nats; beyond, they depend mostly on the number of rows.
        With clusters or copies, the geometric mean of the share of q(z) that is of the point's own
        cluster; for clusters of one row that is exp(I) / n.
    saturated : bool
        Whether fewer than ten posteriors, or clusters, overlap, so that only the ranges below
        should be reported.
    mutual_information_low, mutual_information_high : float
        Estimated ends of the range of I(x; z) of the population. Each holds in expectation, before
        it is cut off at 0. The upper one is None where all rows are one cluster.
        Tables, pictures and the JSON have `ranges` instead, with two standard errors.
    total_correlation_low, total_correlation_high : float
        Those of TC.
    kl_aggregate_prior_low, kl_aggregate_prior_high : float
        Those of KL(q(z) || p).
    vacuous : bool
        Whether the range of TC tells nothing from below: 0 is within two standard errors of it.
    residual : float
        Definition 1 less I, TC and the sum of KL(q(z_h) || p): 0 but for the Monte Carlo error,
        because no term is taken as a difference of others.
    shape, correlation : float
        Parts of Definition 2 less I(x; z): the sum of J_h (exact) and the total correlation that
        a Gaussian of the same covariance would have.
    rest_low, rest_high : float
        The remainder, TC less `correlation`: other dependence. It may be negative.
    bound_weights : dict of str to float
        Weights of the densities that the upper bound mixes.
    standard_errors : dict of str to float
        Under the names of the fields: Monte Carlo errors for the empirical mixture, and errors of
        row sampling for the ends of the ranges, which are to first order: where rows are saturated
        that of the lower end of I(x; z) is up to a third too small.
    marginals : Marginals
    dependence : str
        One sentence on clusters or copies of rows.
    narrowed : dict of str to (float or None, float or None)
        Ranges that other sections of a report make narrower than the joint alone.

    Examples
    --------
    >>> import numpy as np
    >>> from disentangle_indicators.aggregate import joint
    >>> mean = np.random.default_rng(0).normal(size=(2000, 2))
    >>> result = joint(mean, np.full((2000, 2), 0.25), rng=0)
    >>> result.saturated, bool(abs(result.mutual_information - np.log(5)) < 0.1)
    (False, True)
    """

    schema: ClassVar[str] = "dindic.joint/1"

    n: int
    d: int
    draws: int
    points: int
    seed: int | None
    mutual_information: float
    total_correlation: float
    kl_aggregate_prior: float
    saturation: float
    saturated: bool
    mutual_information_low: float
    mutual_information_high: float | None
    total_correlation_low: float | None
    total_correlation_high: float
    kl_aggregate_prior_low: float | None
    kl_aggregate_prior_high: float
    vacuous: bool
    residual: float
    shape: float
    correlation: float
    rest_low: float | None
    rest_high: float
    bound_weights: dict[str, float]
    standard_errors: dict[str, float]
    marginals: Marginals
    dependence: str
    narrowed: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)

    @property
    def ranges(self) -> dict[str, tuple[float | None, float | None]]:
        """Ranges of the population by name, two standard errors included; None for no end.

        For few draws the errors are widened by Student's t.
        """
        return {name: span(self, name) for name in RANGES} | {"other_dependence": _rest(self)}

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values; what saturated rows do not show is under `of_rows` only.

        Under `ranges` are the ranges for the population as tables print them.
        """
        content = super().to_dict()
        for name in ENDS:
            content.pop(name)
            content["standard_errors"].pop(name, None)
        content.pop("narrowed")
        content["ranges"] = {
            name: dict(zip(("low", "high"), ends, strict=True))
            for name, ends in self.ranges.items()
        }
        content["of_rows"] = {name: content[name] for name in RANGES}
        content["error"] = (
            "one standard error of the points; ranges include two standard errors of drawing rows"
        )
        return content | (dict.fromkeys(RANGES) if self.saturated else {})

    def scalars(self) -> dict[str, float | None]:
        """Return the numbers that are one each, with the ends of ranges as the JSON names them."""
        found = {
            name: value
            for name, value in super().scalars().items()
            if name.removesuffix("_se") not in ENDS
        }
        for name, (low, high) in self.ranges.items():
            found |= {f"ranges.{name}.low": low, f"ranges.{name}.high": high}
        return found

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row."""
        return one_row(self)

    def blocks(self) -> list[Block]:
        """Return the table of the joint, its ranges, and the parts of Definition 2 less I."""
        return [joint_table(self)]


def joint_table(r: Joint) -> Table:
    """Return the table of I, TC, KL(q(z) || p) and of where Definition 2 less I comes from."""
    errors, m = r.standard_errors, r.marginals
    check = "Def 1 - I - TC - sum of KL, which should be 0"
    if abs(r.residual) > 5 * errors["residual"] + 1e-6 * max(1.0, m.total_information):
        check += ": IT IS NOT, do not trust this run"
    rows = [
        _row(r, "I(x; z)", "mutual_information"),
        _row(r, "total correlation", "total_correlation"),
        _row(r, "KL(q(z) || p)", "kl_aggregate_prior"),
        (
            "sum of I(x; z_h)",
            with_error(m.total_information, m.standard_errors["total_information"]),
            "exact for these rows: I(x; z) + total correlation",
        ),
        (
            "sum of KL(q(z_h) || p)",
            with_error(m.total_kl_prior, m.standard_errors["total_kl_prior"]),
            "exact for these rows: KL(q(z) || p) - total correlation",
        ),
        (
            "Def 2 - I(x; z): shape",
            with_error(r.shape, m.standard_errors["total_looseness"]),
            "exact for these rows: 0 for Gaussian marginals of mean 0",
        ),
        ("  correlation", f"{r.correlation:.3f}", "total correlation if q(z) were Gaussian"),
        (
            "  other dependence",
            in_words(_rest(r)),
            "total correlation - correlation; may be negative",
        ),
        ("check of the sum", with_error(r.residual, errors["residual"]), check),
    ]
    seed = "" if r.seed is None else f", seed {r.seed}"
    note = (
        f"nats; Monte Carlo with 2 x {r.points} points{seed}; ± one standard error: of sums over "
        "latents from the rows, of other values from the points. Ranges are for the population and "
        "include two standard errors. Saturation is "
        f"{'exp(I)/n = ' * (r.draws == r.n)}{r.saturation:.2g}"
    )
    note += f": {overlap(r)}. So only ranges are printed." if r.saturated else "."
    if r.dependence != INDEPENDENT:
        note += f" {r.dependence}"
    if r.dependence.startswith(OF_SAMPLE):
        rows = [(*row[:2], row[2].replace("these rows", f"these {r.n} rows")) for row in rows]
    return Table(("quantity", "value [nats]", "how to read it"), tuple(rows), "Joint", note)


def _row(r: Joint, label: str, name: str) -> tuple[str, str, str]:
    ends = in_words(span(r, name))
    if not r.saturated:
        value = with_error(getattr(r, name), r.standard_errors[name])
        return label, value, f"of these rows; of the population: {ends}"
    vacuous = name == "total_correlation" and r.vacuous
    return label, ends, "vacuous: 0 is not excluded" if vacuous else "of the population"


def overlap(r: Joint) -> str:
    """Return how many posteriors overlap, and what follows for I(x; z) of the rows, as text."""
    if r.draws < r.n:
        if r.saturation > 0.5:
            return (
                f"the posteriors of {r.draws} independent draws hardly overlap, and I(x; z) of the "
                "rows depends mostly on their number, for any model"
            )
        return (
            f"each posterior overlaps with about {1 / r.saturation:.0f} of {r.draws} independent "
            "draws, too few for I(x; z) of the rows to be that of the population"
        )
    if r.saturation > 0.5:
        return (
            f"the posteriors of these {r.n} rows hardly overlap, and I(x; z) of the rows is mostly "
            f"log n = {math.log(r.n):.2f}, for any model"
        )
    return (
        f"each posterior overlaps with about {1 / r.saturation:.0f} of {r.n}, too few for I(x; z) "
        "of the rows to be that of the population"
    )


def span(r: Joint, name: str) -> tuple[float | None, float | None]:
    """Return the range of a quantity, two standard errors of its ends included."""
    return r.narrowed.get(name) or span_of(vars(r), name)


def _rest(r: Joint) -> tuple[float | None, float | None]:
    """Return the range of the total correlation that a Gaussian would not have."""
    low, high = span(r, "total_correlation")
    less = r.correlation
    return None if low is None else low - less, None if high is None else high - less


def span_of(joint: Mapping[str, Any], name: str) -> tuple[float | None, float | None]:
    """Return the range that a joint alone gives, from its fields."""
    out = list[float | None]()
    reach = 2 * (1 if joint["draws"] == joint["n"] else widening(joint["draws"]))
    for which, sign in (("low", -reach), ("high", reach)):
        end, error = joint[f"{name}_{which}"], joint["standard_errors"].get(f"{name}_{which}")
        known = end is not None and error is not None and math.isfinite(error)
        out.append(max(end + sign * error, 0.0) if known else None)
    low, high = out
    if name == "total_correlation":  # a part of KL(q(z) || p), so it has no higher upper end
        most = span_of(joint, "kl_aggregate_prior")[1]
        high = most if high is None else high if most is None else min(high, most)
    return low, high


def in_words(ends: Sequence[float | None]) -> str:
    """Write a range, of which one end may be unknown, rounded to its outside."""
    low, high = ends
    return between(Bracket(-math.inf if low is None else low, math.inf if high is None else high))
