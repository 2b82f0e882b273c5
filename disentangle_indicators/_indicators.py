"""All indicators of one encoder at once: values, standard errors, and the states of the latents."""

from dataclasses import replace
from typing import Any

import numpy as np

from disentangle_indicators import definitions as define
from disentangle_indicators import standard_errors
from disentangle_indicators._array import Array, Float, to_numpy
from disentangle_indicators._chance import Spread, chance
from disentangle_indicators._cluster_errors import clustered, of_sums
from disentangle_indicators._cluster_sums import ClusterSums
from disentangle_indicators._errors import Undefined
from disentangle_indicators._indicators_result import Indicators
from disentangle_indicators._prior import as_prior
from disentangle_indicators._provenance import Provenance
from disentangle_indicators.moments import Moments
from disentangle_indicators.posteriors import Batches, Encodings
from disentangle_indicators.q_star import QStar, estimate_q_star
from disentangle_indicators.registry import INDICATORS
from disentangle_indicators.states import (
    USED,
    active,
    check_threshold,
    has_heavy_tails,
    has_normal_variance,
    information_about_mean,
    states,
    tails_are_unsettled,
    used_range,
)

__all__ = ["Indicators", "indicators"]


def indicators(
    mean: "Array | Encodings" = None,
    var: Array = None,
    *,
    std: Array = None,
    logvar: Array = None,
    logstd: Array = None,
    batches: Batches | None = None,
    moments: Moments | None = None,
    covariance: bool = False,
    errors: bool = True,
    clusters: Any = None,
    threshold: float = USED,
    prior_mean: Any = None,
    prior_var: Any = None,
    threads: int | None = None,
) -> Indicators:
    """Compute Definitions 1-7, their standard errors, and the states of the latents.

    Parameters
    ----------
    mean, var : array, shape (n, d)
        Posterior means and variances; or :class:`~disentangle_indicators.Encodings` alone.
    std, logvar, logstd : array, shape (n, d), optional
        In place of `var`: standard deviations, log variances, log standard deviations.
    batches : callable, optional
        In place of the arrays: gives a fresh iterator over (mean, var) batches at each call. It
        is called at most twice more than once: to look at it, for the sums, and for the errors of
        the totals.
    moments : Moments, optional
        In place of the arrays: the summary of shards, say, in units of the prior. It gives the
        errors of latents, not those of totals, for which the rows are needed.
    covariance : bool
        Also the Gaussian total correlation and the chain of upper bounds.
    errors : bool
        Also standard errors; about twice the time.
    clusters : array, shape (n,), optional
        Rows of one cluster count as one draw.
    threshold : float
        Least information of a used latent, in nats.
    prior_mean, prior_var : float or array, shape (d,), optional
        The Gaussian prior, N(0, 1) by default; results are in its units.
    threads : int
        Threads over blocks of rows.

    Returns
    -------
    Indicators

    Raises
    ------
    ValueError
        On invalid arrays, naming the offending entry; on clusters that do not match the rows.

    Notes
    -----
    Definitions 1-7: eqs. (5)-(8) and (30)-(32). The values do not depend on the order of rows,
    nor, beyond rounding, on how they are batched.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> mean = rng.normal(size=(1000, 2)) * [0.9, 0.0]
    >>> var = np.broadcast_to([0.19, 1.0], (1000, 2))
    >>> result = indicators(mean, var)
    >>> round(result.mutual_information, 2), result.used
    (0.85, 1)
    """
    check_threshold(threshold)
    if moments is not None:
        if mean is not None or batches is not None or clusters is not None:
            raise ValueError("moments= stand for the rows; they exclude arrays and clusters")
        d = int(moments.mean.shape[-1])
        prior = as_prior(
            0.0 if prior_mean is None else prior_mean, 1.0 if prior_var is None else prior_var, d
        )
        each = {} if moments.co_scatter is None else standard_errors.per_latent(moments)
        return _of_moments(moments, each, None, None, threshold, *prior)
    if mean is None and batches is None:
        raise ValueError("give either mean and var or batches=")
    encodings = Encodings.of(
        mean,
        var,
        std=std,
        logvar=logvar,
        logstd=logstd,
        batches=batches,
        clusters=clusters,
        prior_mean=prior_mean,
        prior_var=prior_var,
        threads=threads,
    )
    return of_encodings(encodings, threshold, covariance=covariance, errors=errors)


def of_encodings(
    encodings: Encodings, threshold: float = USED, *, covariance: bool = True, errors: bool = True
) -> Indicators:
    """Return the indicators of encodings; see :func:`indicators`.

    Raises
    ------
    Undefined
        For means only.
    """
    check_threshold(threshold)
    if encodings.means_only:
        raise Undefined("Definitions 1-7 need the posterior variances; there are only means")
    clusters = encodings.cluster_codes
    moments = encodings.summary(errors=errors, covariance=covariance)
    if not covariance:
        moments = replace(moments, scatter=None)
    elif "full-mean" not in define.upper_bounds(moments):
        moments = replace(moments, scatter=None)  # latents that repeat each other to the last bit
    each: dict[str, Any] = {}
    spread: Spread | None = None
    if errors and clusters is None:
        total = standard_errors.totals(encodings.batches, moments)
        each = total | standard_errors.per_latent(moments)
    elif errors and clusters is not None:
        total, latents, spread = clustered(encodings.batches, moments, clusters)
        each = total | latents
    count = None if clusters is None else clusters[0]
    prior = encodings.prior_mean, encodings.prior_var
    found = _of_moments(moments, each, count, spread, threshold, *prior)
    parameters = {
        "threshold": threshold,
        "prior_mean": encodings.prior_mean,
        "prior_var": encodings.prior_var,
    }
    call = "disentangle_indicators.indicators"
    return replace(found, provenance=Provenance(call, encodings.inputs, parameters))


def _without_doubtful_scatter(moments: Moments) -> Moments:
    """Leave the scatter out where it does not determine a Gaussian with all covariances."""
    if moments.scatter is None or "full-mean" in define.upper_bounds(moments):
        return moments
    return replace(moments, scatter=None)


def of_sample(
    moments: Moments,
    mean: Array,
    var: Array,
    threshold: float = USED,
    prior_mean: float | Float = 0.0,
    prior_var: float | Float = 1.0,
) -> Indicators:
    """Return the indicators of sums, and errors of totals from some rows (s, d)."""
    check_threshold(threshold)
    moments = _without_doubtful_scatter(moments)
    total = standard_errors.totals_of_sample(moments, mean, var)
    errors = total | standard_errors.per_latent(moments)
    return _of_moments(moments, errors, None, None, threshold, prior_mean, prior_var)


def of_clusters(
    moments: Moments,
    clusters: ClusterSums,
    threshold: float = USED,
    prior_mean: float | Float = 0.0,
    prior_var: float | Float = 1.0,
) -> Indicators:
    """Return the indicators of sums, with errors of drawing whole clusters."""
    check_threshold(threshold)
    moments = _without_doubtful_scatter(moments)
    total, latents, spread = of_sums(clusters, moments)
    count = len(clusters.rows)
    errors: dict[str, Any] = total | latents
    return _of_moments(moments, errors, count, spread, threshold, prior_mean, prior_var)


def _of_moments(
    moments: Moments,
    errors: dict[str, Any],
    n_clusters: int | None,
    spread: Spread | None,
    threshold: float,
    prior_mean: float | Float,
    prior_var: float | Float,
) -> Indicators:
    """Return what the sums over rows alone determine, beside errors that are given.

    With clusters, chance terms need the `spread` of their averages; without, rows give it.
    """
    q_star = estimate_q_star(moments=moments)
    bounds = define.upper_bounds(moments) if moments.scatter is not None else {}
    values = _values(moments, q_star, covariance="full-mean" in bounds)
    named = states(moments, threshold)
    if spread is None and n_clusters is None and moments.n > 1:
        spread = Spread.of_rows(moments)
    second, varies = to_numpy(moments.second_moment), to_numpy(moments.mean_variance)
    counts = {state: named.count(state) for state in ("weak", "offset", "unused")}
    deterministic = named.count("near-deterministic")
    return Indicators(
        n=moments.n,
        d=second.size,
        n_clusters=n_clusters,
        values=values,
        counts={
            "used": named.count("used") + deterministic,
            "near_deterministic": deterministic,
            **counts,
            "active_units": len(active(varies)),
            "normal_variance": int(has_normal_variance(second).sum()),
        },
        threshold=threshold,
        used_range=used_range(information_about_mean(moments), threshold),
        solver_difference=_solver_difference(values),
        prior_mean=prior_mean,
        prior_var=prior_var,
        states=named,
        second_moment=second,
        mean=to_numpy(moments.mean),
        mean_variance=varies,
        posterior_variance=to_numpy(moments.var),
        upper_bounds=bounds,
        chance={} if spread is None else chance(moments, spread),
        chance_at_least=tails_are_unsettled(moments),
        heavy_tailed=tuple(np.flatnonzero(has_heavy_tails(moments)).tolist()),
        standard_errors={
            name: error if isinstance(error, float) else to_numpy(error)
            for name, error in errors.items()
        },
        q_star=q_star,
        moments=moments,
    )


def _values(moments: Moments, q_star: QStar, *, covariance: bool) -> dict[str, Any]:
    """Return every indicator by name, None for one that has no value here."""
    values: dict[str, Any] = {}
    for name, indicator in INDICATORS.items():
        if indicator.covariance and not covariance:
            values[name] = None
            continue
        value = indicator.function(moments, q_star)
        values[name] = to_numpy(value) if indicator.per_latent else value
    return values


def _solver_difference(values: dict[str, Any]) -> float:
    """Return by how much two routes to one number differ, relative to numbers above 1."""
    pairs = (
        ("kl_aggregate_prior", "kl_q_star_prior"),
        ("mutual_information", "mutual_information_via_q_star"),
        ("mutual_information_per_latent", "mutual_information_per_latent_via_q_star"),
    )
    one, two = (np.concatenate([np.ravel(to_numpy(values[p[k]])) for p in pairs]) for k in (0, 1))
    return float(np.max(np.abs(one - two) / np.maximum(np.abs(one), 1.0)))
