r"""The aggregated posterior of all latents together: its information, and its dependence.

.. math::

   I(x; z) = E_m E_{q_m} \log \frac{q_m(z)}{q(z)}, \qquad
   TC = E_q \log \frac{q(z)}{\prod_h q(z_h)}, \qquad
   D_{KL}(q(z) \| p) = TC + \sum_h D_{KL}(q(z_h) \| p)

by Monte Carlo for the mixture q of the n posteriors that are given. It is finite, so that
I(x; z) cannot exceed log n; where it comes near, it says how many rows there are and little else.
What the rows say about the population they come from is the range

.. math:: E\,I_n \le I(x; z) \le E\,\frac1n \sum_m D_{KL}(q_m \| r_m)

for any density r_m that does not know row m. Here r_m is a mixture of densities that left the row
out (kernels on all other means, bare and shrunk; the product of the marginals; a Gaussian), with
weights fitted on other rows.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from disentangle_indicators._array import Array, Float, as_pair, generator, to_numpy
from disentangle_indicators._result import Block, Result, Table, one_row
from disentangle_indicators._source import cluster_codes
from disentangle_indicators._sums import keep_freed_memory
from disentangle_indicators._tables import with_error
from disentangle_indicators.aggregate._critic import folds_of, gaussian, leave_one_out, mix, shrunk
from disentangle_indicators.aggregate._log_sums import TOLERANCE, log_sums, precision_of
from disentangle_indicators.aggregate._marginals import (
    Marginals,
    Progress,
    evaluate,
    is_saturated,
)
from disentangle_indicators.aggregate._monte_carlo import Controls, draw
from disentangle_indicators.definitions import gaussian_total_correlation, kl_posterior_prior
from disentangle_indicators.moments import Moments

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Joint", "joint"]

SHRINKAGE = (0.0, 0.03, 0.1, 0.3)
"""Shares of the variance of the means that the kernels of the upper bound take over."""

FOLDS = 5
FEWEST_POINTS = 100


@dataclass(frozen=True, eq=False, repr=False)
class Joint(Result):
    """The joint aggregated posterior of n samples, in nats, with Monte Carlo standard errors.

    Parameters
    ----------
    n, d, points : int
        Rows, latents, and points of each of the two Monte Carlo runs.
    seed : int or None
        The seed, where one was given.
    mutual_information, total_correlation, kl_aggregate_prior : float
        I(x; z), TC and KL(q(z) || p) of the empirical mixture: I from one set of points, TC and
        KL(q(z) || p) from another. In JSON they are null where saturated, and always under
        `of_rows`.
    saturation : float
        exp(I) / n: one over the number of posteriors that overlap with one of them. Below .01 the
        three numbers above are nearly those of the population; up to .1, I is too low and TC too
        high by one to five times as many nats; beyond, they say mostly how many rows there are.
    saturated : bool
        Whether that is above 0.1, so that only the ranges below should be reported.
    mutual_information_low, mutual_information_high : float
        Range of I(x; z) of the population; each end holds in expectation, before it is cut off at
        0. The upper one is None where rows are clustered. Tables print the ends two standard
        errors further out.
    total_correlation_low, total_correlation_high : float
        The range of TC that follows.
    kl_aggregate_prior_low, kl_aggregate_prior_high : float
        The range of KL(q(z) || p) that follows.
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
    critic : dict of str to float
        Weights of the densities that the upper bound mixes.
    standard_errors : dict of str to float
        Under the names of the fields: Monte Carlo errors for the empirical mixture, and errors of
        row sampling for the ends of the ranges, which are to first order: where rows are saturated
        that of the lower end of I(x; z) is up to a third too small.
    marginals : Marginals

    Examples
    --------
    >>> import numpy as np
    >>> mean = np.random.default_rng(0).normal(size=(2000, 2))
    >>> result = joint(mean, np.full((2000, 2), 0.25), rng=0)
    >>> result.saturated, bool(abs(result.mutual_information - np.log(5)) < 0.1)
    (False, True)
    """

    schema: ClassVar[str] = "dindic.joint/1"

    n: int
    d: int
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
    critic: dict[str, float]
    standard_errors: dict[str, float]
    marginals: Marginals

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values; what saturated rows do not show is under `of_rows` only."""
        content = super().to_dict()
        names = ("mutual_information", "total_correlation", "kl_aggregate_prior")
        content["of_rows"] = {name: content[name] for name in names}
        content["error"] = (
            "one standard error: of the points for mutual_information, total_correlation, "
            "kl_aggregate_prior and residual, of drawing rows for the ends of ranges"
        )
        return content | (dict.fromkeys(names) if self.saturated else {})

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row."""
        return one_row(self)

    def blocks(self) -> list[Block]:
        """Return the table of the joint, its ranges, and the parts of Definition 2 less I."""
        return [joint_table(self)]


def joint(
    mean: Array,
    var: Array,
    *,
    rng: np.random.Generator | int,
    points: int = 4096,
    clusters: Any = None,
    memory: int = 1 << 28,
    precision: str | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> Joint:
    r"""Estimate I(x; z), the total correlation and KL(q(z) || p) of the aggregated posterior.

    Parameters
    ----------
    mean, var : array, shape (n, d)
        Means and variances of the posteriors, in units of the prior N(0, 1).
    rng : numpy.random.Generator or int
        The same seed gives the same numbers.
    points : int
        Points of each of two Monte Carlo runs, at least 100. Rows are drawn without replacement,
        each as often as any other but for one.
    clusters : array, shape (n,), optional
        Rows of one cluster are not independent; there is no upper end of the range then.
    memory : int
        Bytes that temporary arrays may take, beside copies of the arrays in float64.
    precision : {"float64", "float32"}, optional
        Of the matrix products: that of the device by default. With float32, pairs whose exponent
        it leaves uncertain are done again in float64 on the host.
    threads : int
        Threads over latents, for the marginals.
    progress : callable, optional
        As for :func:`marginals`.

    Returns
    -------
    Joint

    Raises
    ------
    ValueError
        On arrays that do not belong together, on entries that are not finite, on variances that
        are not positive, and on fewer than 100 points.

    Notes
    -----
    Corollaries 1 and 2, eqs. (28) and (29), with their exact left sides. Control variates with
    known means (the point's own log density, that of q*, that of the product of marginals) take
    out most of the variance. Standard errors are those of independent points, which for rows
    drawn without replacement is on the safe side; where each row is drawn at least twice, they
    are those of the points within rows.

    Examples
    --------
    >>> import numpy as np
    >>> mean = np.random.default_rng(0).normal(size=(500, 8))
    >>> result = joint(mean, np.full((500, 8), 0.01), rng=0)  # 500 posteriors, far apart
    >>> result.saturated, round(result.mutual_information, 2), round(float(np.log(500)), 2)
    (True, 6.21, 6.21)
    """
    xp, mean, var = as_pair(mean, var)
    if mean.ndim != 2:
        raise ValueError(f"mean must have the shape (n, d); its shape is {tuple(mean.shape)}")
    if not isinstance(points, (int, np.integer)) or points < FEWEST_POINTS:
        raise ValueError(f"points must be at least {FEWEST_POINTS}; got {points}")
    like, precision = mean, precision or precision_of(xp, mean)
    if precision not in TOLERANCE:
        raise ValueError(f"precision must be one of {', '.join(TOLERANCE)}; got {precision!r}")
    if memory < 1:
        raise ValueError(f"memory must be at least 1; got {memory}")
    rng, seed = generator(rng)
    keep_freed_memory()
    moments = Moments.of(mean, var, covariance=True)
    mean, var = to_numpy(mean), to_numpy(var)
    n = len(mean)
    one, two = draw(mean, var, points, rng), draw(mean, var, points, rng)
    folds = rng.permutation(n) % FOLDS
    codes = None if clusters is None else cluster_codes(clusters, n)[1]
    exact = evaluate(
        mean,
        var,
        np.concatenate([one.z, two.z]),
        clusters=clusters,
        threads=threads,
        progress=progress,
    )
    shares = SHRINKAGE if clusters is None else SHRINKAGE[:1]
    runs = [(two, 0.0), *((one, share) for share in shares)]

    def others(run: int) -> Float:
        at, share = runs[run]
        out = np.empty(points)
        for here, rest in folds_of(at, folds) if share else [(slice(None), slice(None))]:
            components = shrunk(mean, var, share, rest)
            z, rows = at.z[here], at.rows[here]
            out[here] = log_sums(z, rows, *components, like, precision=precision, memory=memory)
        return out

    sums_two, *sums_one = (others(run) for run in _bar(progress, len(runs)))
    log_q_one = np.logaddexp(one.log_own.sum(axis=1), sums_one[0]) - math.log(n)
    log_q_two = np.logaddexp(two.log_own.sum(axis=1), sums_two) - math.log(n)
    marginals_one, marginals_two = (
        # a point's own posterior counts, also where the quadrature has cut off its tail
        np.maximum(np.log(np.maximum(q, np.finfo(float).tiny)), at.log_own - math.log(n))
        for q, at in zip(np.split(exact.density, 2), (one, two), strict=True)
    )
    left_out = leave_one_out(one, marginals_one, mean, var, folds)
    bound, critic = None, {}
    if clusters is None:
        densities = {
            f"kernels {share:g}": sums - math.log(max(n - 1, 1))
            for share, sums in zip(SHRINKAGE, sums_one, strict=True)
        }
        densities |= {"prior": -0.5 * np.sum(one.z**2 + math.log(2 * math.pi), axis=1)}
        densities |= {"marginals": left_out, "gaussian": gaussian(one, mean, var, folds)}
        bound, weights = mix(np.stack(list(densities.values()), axis=1), folds[one.rows])
        critic = dict(zip(densities, weights.tolist(), strict=True))
    return _assemble(
        moments,
        points,
        seed,
        exact.marginals,
        Controls.of(one, marginals_one, moments, exact, mean, var, codes),
        Controls.of(two, marginals_two, moments, exact, mean, var, codes),
        log_q_one,
        log_q_two,
        left_out,
        bound,
        critic,
    )


def joint_table(r: Joint) -> Table:
    """Return the table of I, TC, KL(q(z) || p) and of where Definition 2 less I comes from."""
    errors, m = r.standard_errors, r.marginals
    rest = [None if end is None else end - r.correlation for end in span(r, "total_correlation")]
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
            "exact for these rows; I(x; z) plus their total correlation",
        ),
        (
            "sum of KL(q(z_h) || p)",
            with_error(m.total_kl_prior, m.standard_errors["total_kl_prior"]),
            "exact for these rows; KL(q(z) || p) less the same",
        ),
        (
            "Def 2 - I(x; z): shape",
            with_error(r.shape, m.standard_errors["total_looseness"]),
            "exact for these rows: marginals that are no Gaussian about 0",
        ),
        ("  correlation", f"{r.correlation:.3f}", "total correlation if q(z) were Gaussian"),
        ("  other dependence", in_words(rest), "the rest of it; may be negative"),
        ("check of the sum", with_error(r.residual, errors["residual"]), check),
    ]
    seed = "" if r.seed is None else f", seed {r.seed}"
    note = (
        f"nats; Monte Carlo with 2 x {r.points} points{seed}; ± one standard error, of the points "
        "and in the sums of drawing rows; ranges are of the population, hold in expectation, and "
        f"include two standard errors; saturation exp(I)/n = {r.saturation:.2g}"
    )
    if r.saturated:
        note += f": {overlap(r)}, so that only ranges are given"
    if r.mutual_information_high is None:
        note += "; where rows are clustered, I(x; z) has no upper end"
    return Table(("quantity", "value [nats]", "how to read it"), tuple(rows), "Joint", note)


def _row(r: Joint, label: str, name: str) -> tuple[str, str, str]:
    ends = in_words(span(r, name))
    if not r.saturated:
        value = with_error(getattr(r, name), r.standard_errors[name])
        return label, value, f"of these rows; of the population: {ends}"
    vacuous = name == "total_correlation" and r.vacuous
    return label, ends, "vacuous: 0 is not excluded" if vacuous else "of the population"


def overlap(r: Joint) -> str:
    """Say how many posteriors overlap, and what that does to I(x; z) of the rows."""
    if r.saturation > 0.5:
        return (
            f"the posteriors of these {r.n} rows hardly overlap, and I(x; z) of the rows is mostly "
            f"log n = {math.log(r.n):.2f}, whatever the model"
        )
    return (
        f"each posterior overlaps with about {1 / r.saturation:.0f} of {r.n}, too few for I(x; z) "
        "of the rows to be that of the population"
    )


def span(r: Joint, name: str) -> tuple[float | None, float | None]:
    """Return the range of a quantity, two standard errors of its ends included."""
    out: list[float | None] = []
    for which, sign in (("low", -2), ("high", 2)):
        end: float | None = getattr(r, f"{name}_{which}")
        error = r.standard_errors.get(f"{name}_{which}", math.inf)
        known = end is not None and math.isfinite(error)
        out.append(max((end or 0.0) + sign * error, 0.0) if known else None)
    return out[0], out[1]


def in_words(ends: Sequence[float | None]) -> str:
    """Write a range, of which one end may be unknown."""
    low, high = (None if end is None else f"{round(end, 3) + 0.0:.3f}" for end in ends)
    if low is None and high is None:
        return "not known"
    if low is None or high is None:
        return f"≤ {high}" if low is None else f"≥ {low}"
    return f"{low} to {high}"


def _bar(progress: Progress | None, steps: int) -> Iterable[int]:
    return range(steps) if progress is None else progress(range(steps), "joint", steps)


def _assemble(
    moments: Moments,
    points: int,
    seed: int | None,
    exact: Marginals,
    one: Controls,
    two: Controls,
    log_q_one: Float,
    log_q_two: Float,
    left_out: Float,
    bound: Float | None,
    critic: dict[str, float],
) -> Joint:
    information = one.expectation(one.log_own - log_q_one)
    dependence = two.expectation(log_q_two - two.log_marginals)
    correlation = float(gaussian_total_correlation(moments))
    rate = float(kl_posterior_prior(moments))
    ends = {
        "mutual_information_low": information,
        "kl_aggregate_prior_high": one.expectation(log_q_one - one.log_prior),
    }
    # without a bound that leaves clusters out, TC <= KL(q(z) || p) is what there is
    ends["total_correlation_high"] = ends["kl_aggregate_prior_high"]
    if bound is not None:
        ends |= {
            "total_correlation_high": one.expectation(log_q_one - left_out),
            "mutual_information_high": one.expectation(one.log_own - bound),
            "total_correlation_low": one.expectation(bound - one.log_marginals),
            "kl_aggregate_prior_low": one.expectation(bound - one.log_prior),
        }
    low = ends.get("total_correlation_low")
    residual = rate - information.value - dependence.value - exact.total_kl_prior
    value = {name: max(end.value, 0.0) for name, end in ends.items()}
    if bound is not None:
        value["mutual_information_high"] = max(
            value["mutual_information_high"], value["mutual_information_low"]
        )
    # no total correlation is above the distance to a factorised prior
    for end in ("low", "high"):
        name = f"total_correlation_{end}"
        if name in value:
            value[name] = min(value[name], value[f"kl_aggregate_prior_{end}"])
    saturation = math.exp(information.value) / moments.n
    return Joint(
        n=moments.n,
        d=exact.d,
        points=points,
        seed=seed,
        mutual_information=information.value,
        total_correlation=dependence.value,
        kl_aggregate_prior=dependence.value + exact.total_kl_prior,
        saturation=saturation,
        saturated=bool(is_saturated(information.value, moments.n)),
        mutual_information_low=value["mutual_information_low"],
        mutual_information_high=value.get("mutual_information_high"),
        total_correlation_low=value.get("total_correlation_low"),
        total_correlation_high=value["total_correlation_high"],
        kl_aggregate_prior_low=value.get("kl_aggregate_prior_low"),
        kl_aggregate_prior_high=value["kl_aggregate_prior_high"],
        vacuous=low is None or low.value <= 2 * low.population_error,
        residual=residual,
        shape=exact.total_looseness,
        correlation=correlation,
        rest_low=None if low is None else value["total_correlation_low"] - correlation,
        rest_high=value["total_correlation_high"] - correlation,
        critic=critic,
        standard_errors={
            "mutual_information": information.error,
            "total_correlation": dependence.error,
            "kl_aggregate_prior": dependence.error,
            "residual": math.hypot(information.error, dependence.error, 4e-16 * rate),
            **{name: end.population_error for name, end in ends.items()},
        },
        marginals=exact,
    )
