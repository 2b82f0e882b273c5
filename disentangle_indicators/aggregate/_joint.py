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
out (kernels on all other means, bare and shrunk; the product of the marginals; a Gaussian; the
prior), with everything that is fitted taken from other rows.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from disentangle_indicators._array import Array, Float, as_pair, generator, to_numpy
from disentangle_indicators._source import cluster_codes
from disentangle_indicators._sums import keep_freed_memory
from disentangle_indicators.aggregate._critic import folds_of, gaussian, leave_one_out, mix, shrunk
from disentangle_indicators.aggregate._joint_result import Joint
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

__all__ = ["Joint", "joint"]

SHRINKAGE = (0.0, 0.03, 0.1, 0.3)
"""Shares of the variance of the means that the kernels of the upper bound take over."""

FOLDS = 5
FEWEST_POINTS = 100


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
