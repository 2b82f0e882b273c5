r"""The aggregated posterior of all latents together: its information, and its dependence.

.. math::

   I(x; z) = E_m E_{q_m} \log \frac{q_m(z)}{q(z)}, \qquad
   TC = E_q \log \frac{q(z)}{\prod_h q(z_h)}, \qquad
   D_{KL}(q(z) \| p) = TC + \sum_h D_{KL}(q(z_h) \| p)

by Monte Carlo for the mixture q of the n posteriors that are given. It is finite, so that
I(x; z) cannot exceed log n; where it comes near, it says how many rows there are and little else.
What the rows say about the population they come from is the range

.. math:: E\,I_n \le I(x; z) \le E\,\frac1n \sum_m D_{KL}(q_m \| r_m)

for any density r_m that is independent of row m. Here r_m is a mixture of densities that leave out
the row, and with it all rows of its cluster and all its copies: kernels on all other means, bare
and shrunk; the product of the marginals; a Gaussian; the prior. Everything that is fitted is
fitted on other rows.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float, generator, namespace, seed_of, to_numpy
from disentangle_indicators._clusters import widening
from disentangle_indicators._progress import Progress
from disentangle_indicators._provenance import Provenance
from disentangle_indicators._sums import keep_freed_memory
from disentangle_indicators.aggregate._joint_result import Joint
from disentangle_indicators.aggregate._log_sums import TOLERANCE, log_sums, precision_of
from disentangle_indicators.aggregate._marginals import evaluate
from disentangle_indicators.aggregate._marginals_result import Marginals
from disentangle_indicators.aggregate._monte_carlo import (
    FEWEST_POINTS,
    Controls,
    Draw,
    Estimate,
    draw,
    log_marginals,
)
from disentangle_indicators.aggregate._upper_bound import (
    folds_of,
    gaussian,
    leave_fold_out,
    leave_one_out,
    mix,
    shrunk,
)
from disentangle_indicators.definitions import gaussian_total_correlation, kl_posterior_prior
from disentangle_indicators.moments import Moments
from disentangle_indicators.posteriors import Encodings
from disentangle_indicators.states import is_saturated

__all__ = ["Joint", "joint"]

SHRINKAGE = (0.0, 0.03, 0.1, 0.3)
"""Shares of the variance of the means that the kernels of the upper bound take over."""

FOLDS = 5
"""Parts of the rows; what is fitted for one is fitted on the others."""


def joint(
    mean: "Array | Encodings",
    var: Array = None,
    *,
    std: Array = None,
    logvar: Array = None,
    logstd: Array = None,
    rng: np.random.Generator | int = 0,
    points: int = 4096,
    clusters: Any = None,
    memory: int = 1 << 28,
    precision: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Joint:
    r"""Estimate I(x; z), the total correlation and KL(q(z) || p) of the aggregated posterior.

    Parameters
    ----------
    mean, var : array, shape (n, d)
        Means and variances of the posteriors, in units of the prior N(0, 1); or
        :class:`~disentangle_indicators.Encodings` alone, whose marginals are kept.
    std, logvar, logstd : array, shape (n, d), optional
        In place of `var`: standard deviations, log variances, log standard deviations.
    rng : numpy.random.Generator or int
        The same seed gives the same numbers.
    points : int
        Points of each of two Monte Carlo runs, at least 100. Rows are drawn without replacement,
        each as often as any other but for one.
    clusters : array, shape (n,), optional
        Rows of one cluster are not independent: they count as one draw of the population, and the
        upper end of the range leaves out the whole cluster of a row. So it is with copies of rows,
        exact or near, which are found without being named.
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
    Undefined
        As :func:`marginals`.

    Notes
    -----
    Corollaries 1 and 2, eqs. (28) and (29), with their exact left sides. Control variates with
    known means (the point's own log density, that of q*, that of the product of marginals) take
    out most of the variance. Standard errors are those of independent points, which for rows
    drawn without replacement is on the safe side; where each row is drawn at least twice, they
    are those of the points within rows. They are at least 1 / points, because what is rarer may
    not have been drawn.

    Examples
    --------
    >>> import numpy as np
    >>> mean = np.random.default_rng(0).normal(size=(500, 8))
    >>> result = joint(mean, np.full((500, 8), 0.01), rng=0)  # 500 posteriors, far apart
    >>> result.saturated, round(result.mutual_information, 2), round(float(np.log(500)), 2)
    (True, 6.21, 6.21)
    """
    if not isinstance(points, (int, np.integer)) or points < FEWEST_POINTS:
        raise ValueError(f"points must be at least {FEWEST_POINTS}; got {points}")
    encodings = Encodings.of(
        mean,
        var,
        std=std,
        logvar=logvar,
        logstd=logstd,
        clusters=clusters,
        threads=threads,
        progress=progress,
    )
    like = encodings.arrays("the joint needs")[0]
    precision = precision or precision_of(namespace(like), like)
    if precision not in TOLERANCE:
        raise ValueError(f"precision must be one of {', '.join(TOLERANCE)}; got {precision!r}")
    if memory < 1:
        raise ValueError(f"memory must be at least 1; got {memory}")
    rng, seed = generator(rng), seed_of(rng)
    keep_freed_memory()
    moments = encodings.summary(covariance=True)
    mean, var = (to_numpy(x) for x in encodings.arrays_on_host("the joint needs"))
    n = len(mean)
    # I(x; z) comes from one run of points, TC from another. From one run, the two would add up to
    # Definition 1 less the sum of KL for any density, however wrong, and `residual` check nothing.
    one, two = draw(mean, var, points, rng), draw(mean, var, points, rng)
    draws, codes = encodings.independent_codes or (n, None)
    groups = Groups.of(n, None if draws == n else codes)
    # r_m must not know row m. What is fitted could leave out row m alone, in n fits; folds are
    # few fits, and the bound holds as well.
    folds = (rng.permutation(draws) % FOLDS)[groups.codes]
    exact = evaluate(encodings, np.concatenate([one.z, two.z]), every_row=not groups.single)
    sum_up = partial(log_sums, like=like, precision=precision, memory=memory)
    runs = [(two, 0.0, np.arange(n)), (one, 0.0, np.arange(n))]
    shares = SHRINKAGE[1:] if groups.single else SHRINKAGE
    runs += [(one, share, groups.codes) for share in shares]
    sums_two, sums_one, *left_out = (
        _others(*runs[run], mean, var, folds, sum_up)
        for run in _bar(encodings.progress, len(runs))
    )
    log_q_one = np.logaddexp(one.log_own.sum(axis=1), sums_one) - math.log(n)
    log_q_two = np.logaddexp(two.log_own.sum(axis=1), sums_two) - math.log(n)
    marginals_one, marginals_two = (
        log_marginals(at, density, n)
        for at, density in zip((one, two), np.split(exact.density, 2), strict=True)
    )
    kernels = [sums_one, *left_out] if groups.single else left_out
    marginals_left_out, bound, bound_weights = None, None, {}
    if draws > 1 or groups.single:
        if groups.single:
            marginals_left_out = leave_one_out(one, marginals_one, mean, var, folds)
        else:
            marginals_left_out = leave_fold_out(one, mean, var, folds)
        densities = _densities(one, groups, kernels, marginals_left_out, mean, var, folds)
        bound, weights = mix(np.stack(list(densities.values()), axis=1), folds[one.rows])
        bound_weights = dict(zip(densities, weights.tolist(), strict=True))
    # Plain means over the points would do, but most of their variance is that of log densities
    # whose means are known: `Controls` takes it out by regression.
    found = _assemble(
        moments,
        points,
        seed,
        exact.marginals,
        Controls.of(one, marginals_one, moments, exact, mean, var, groups.codes),
        Controls.of(two, marginals_two, moments, exact, mean, var, groups.codes),
        groups,
        log_q_one,
        log_q_two,
        kernels[0],
        marginals_left_out,
        bound,
        bound_weights,
        encodings.dependence,
    )
    call, parameters = "disentangle_indicators.aggregate.joint", {"points": points}
    provenance = Provenance(call, encodings.inputs, parameters, seed)
    return replace(found, provenance=provenance)


def _bar(progress: Progress | None, steps: int) -> Iterable[int]:
    return range(steps) if progress is None else progress(range(steps), "joint", steps)


@dataclass(frozen=True)
class Groups:
    """Which rows are one draw of the population: codes (n,) and rows of each group (g,)."""

    codes: Any
    sizes: Any

    @classmethod
    def of(cls, n: int, codes: Any) -> "Groups":
        """Return the groups of n rows; without codes each row is one."""
        codes = np.arange(n) if codes is None else codes
        return cls(codes, np.bincount(codes))

    @property
    def single(self) -> bool:
        """Whether each row is a group."""
        return bool(self.sizes.max() == 1)

    @property
    def log_number(self) -> float:
        """Entropy of the group of a row: the log of the number of groups where they are equal."""
        return math.log(self.codes.size) - float(np.log(self.sizes[self.codes]).mean())


def _others(
    at: Draw,
    share: float,
    codes: Any,
    mean: Float,
    var: Float,
    folds: Any,
    sum_up: Callable[..., Float],
) -> Float:
    """Return log sums (s,) over the posteriors of all rows but those of each point's own group.

    They are shrunk by a share, which takes moments of the rows, from other folds.
    """
    out = np.empty(len(at.z))
    for here, rest in folds_of(at, folds) if share else [(slice(None), slice(None))]:
        own = codes[at.rows[here]]
        out[here] = sum_up(at.z[here], own, *shrunk(mean, var, share, rest), groups=codes)
    return out


def _densities(
    at: Draw,
    groups: Groups,
    kernels: Sequence[Float],
    left_out: Float,
    mean: Float,
    var: Float,
    folds: Any,
) -> dict[str, Float]:
    """Return the log densities (s,), at the points, that the upper bound mixes.

    None of them knows the group of rows that a point comes from.
    """
    others = np.maximum(len(mean) - groups.sizes[groups.codes[at.rows]], 1)
    return {
        **{
            f"kernels {share:g}": each - np.log(others)
            for share, each in zip(SHRINKAGE, kernels, strict=True)
        },
        "prior": -0.5 * np.sum(at.z**2 + math.log(2 * math.pi), axis=1),
        "marginals": left_out,
        "gaussian": gaussian(at, mean, var, folds),
    }


def _own_share(one: Controls, groups: Groups, log_q: Float, others: Float) -> float:
    r"""Return the mean log share of q(z) that comes from the group of the point's row.

    .. math:: E \log \frac{\sum_{j \in g} q_j(z)}{n\,q(z)}

    For groups of one row it is I(x; z) - log n. `others` (s,) are log sums over other groups.
    """
    log_sum = log_q + math.log(one.n)
    own = np.maximum(
        np.log(-np.expm1(np.minimum(others - log_sum, -1e-300))), one.log_own - log_sum
    )
    return min(one.expectation(own).value, 0.0)


def _ends(
    one: Controls,
    information: Estimate,
    log_q: Float,
    left_out: Float | None,
    bound: Float | None,
) -> dict[str, Estimate]:
    """Return the ends of the ranges, as they are estimated, by the names of their fields."""
    ends = {
        "mutual_information_low": information,
        "kl_aggregate_prior_high": one.expectation(log_q - one.log_prior),
    }
    # of one draw nothing can be left out: TC <= KL(q(z) || p) is what there is
    ends["total_correlation_high"] = ends["kl_aggregate_prior_high"]
    if bound is not None and left_out is not None:
        ends |= {
            "total_correlation_high": one.expectation(log_q - left_out),
            "mutual_information_high": one.expectation(one.log_own - bound),
            "total_correlation_low": one.expectation(bound - one.log_marginals),
            "kl_aggregate_prior_low": one.expectation(bound - one.log_prior),
        }
    return ends


def _consistent(ends: dict[str, Estimate]) -> dict[str, float]:
    """Return the values of the ends, cut off where noise contradicts what always holds."""
    value = {name: max(end.value, 0.0) for name, end in ends.items()}
    if "mutual_information_high" in value:
        value["mutual_information_high"] = max(
            value["mutual_information_high"], value["mutual_information_low"]
        )
    # no total correlation is above the distance to a factorised prior
    for end in ("low", "high"):
        name = f"total_correlation_{end}"
        if name in value:
            value[name] = min(value[name], value[f"kl_aggregate_prior_{end}"])
    return value


def _assemble(
    moments: Moments,
    points: int,
    seed: int | None,
    exact: Marginals,
    one: Controls,
    two: Controls,
    groups: Groups,
    log_q_one: Float,
    log_q_two: Float,
    others: Float,
    left_out: Float | None,
    bound: Float | None,
    bound_weights: dict[str, float],
    draws_in_words: str,
) -> Joint:
    information = one.expectation(one.log_own - log_q_one)
    dependence = two.expectation(log_q_two - two.log_marginals)
    correlation = float(gaussian_total_correlation(moments))
    rate = float(kl_posterior_prior(moments))
    ends = _ends(one, information, log_q_one, left_out, bound)
    if exact.d == 1:  # one latent depends on no other
        ends |= {f"total_correlation_{end}": Estimate(0.0, 0.0, 0.0) for end in ("low", "high")}
    value = _consistent(ends)
    low = ends.get("total_correlation_low")
    residual = rate - information.value - dependence.value - exact.total_kl_prior
    share = information.value - math.log(moments.n)
    if not groups.single:
        share = _own_share(one, groups, log_q_one, others)
    draws = groups.sizes.size
    reach = 1.0 if groups.single else widening(draws)
    return Joint(
        n=moments.n,
        d=exact.d,
        draws=draws,
        points=points,
        seed=seed,
        mutual_information=information.value,
        total_correlation=dependence.value,
        kl_aggregate_prior=dependence.value + exact.total_kl_prior,
        saturation=math.exp(share),
        saturated=draws == 1
        or bool(is_saturated(share + groups.log_number, math.exp(groups.log_number))),
        mutual_information_low=value["mutual_information_low"],
        mutual_information_high=value.get("mutual_information_high"),
        total_correlation_low=value.get("total_correlation_low"),
        total_correlation_high=value["total_correlation_high"],
        kl_aggregate_prior_low=value.get("kl_aggregate_prior_low"),
        kl_aggregate_prior_high=value["kl_aggregate_prior_high"],
        vacuous=exact.d > 1 and (low is None or low.value <= 2 * reach * low.population_error),
        residual=residual,
        shape=exact.total_looseness,
        correlation=correlation,
        rest_low=None if low is None else value["total_correlation_low"] - correlation,
        rest_high=value["total_correlation_high"] - correlation,
        bound_weights=bound_weights,
        standard_errors={
            "mutual_information": information.error,
            "total_correlation": dependence.error,
            "kl_aggregate_prior": dependence.error,
            "residual": math.hypot(information.error, dependence.error, 4e-16 * rate),
            **{name: end.population_error for name, end in ends.items()},
        },
        marginals=exact,
        dependence=draws_in_words,
    )
