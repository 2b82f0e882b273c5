"""All indicators of one encoder at once: values, standard errors, and the states of the latents."""

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from disentangle_indicators import definitions as define
from disentangle_indicators import standard_errors
from disentangle_indicators._array import Array, Float, as_pair, to_numpy
from disentangle_indicators._result import Block, Result, plain
from disentangle_indicators._source import Batches, as_batches, cluster_codes, in_prior_units
from disentangle_indicators._tables import definition_table, latent_table
from disentangle_indicators.moments import Moments
from disentangle_indicators.q_star import QStar, estimate_q_star
from disentangle_indicators.states import USED, information_about_mean, states, used_range

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Indicators", "indicators"]

ACTIVE_UNIT = 0.01
"""Least Var(mean) of an active unit (Burda, Grosse and Salakhutdinov, 2016)."""

NORMAL_VARIANCE = 0.1
"""Greatest |S - 1| of a normal-variance latent."""


@dataclass(frozen=True, eq=False, repr=False)
class Indicators(Result):
    """Definitions 1-7 of one encoder, with standard errors, counts and states.

    Values are in nats and in units of the prior; arrays have the shape (d,).

    Parameters
    ----------
    n, d, n_clusters : int
        Rows, latents, and clusters, None where rows are independent.
    kl_posterior_prior, mutual_information, kl_aggregate_prior : float
        Definitions 1, 2 and 4; at least 0.
    kl_q_star_prior, mutual_information_via_q_star : float
        Definitions 5 and 6.
    gaussian_total_correlation, kl_aggregate_prior_full_mean : float or None
        None unless the covariance was asked for and is not singular. The second is Definition 1
        less the full-mean bound: a lower bound of KL(q(z) || p) that counts mean and correlation.
    threshold, used, used_range : float, int, (float, float)
        Least information of a used latent, their count, and the thresholds for which it holds.
    near_deterministic, weak, offset, unused, active_units, normal_variance : int
        Counts of latents; the first are among the used ones.
    solver_difference : float
        Largest difference between Definitions 4/5, 2/6 and 3/7.
    prior_mean, prior_var : float or array
    states : tuple of str
    kl_posterior_prior_per_latent, mutual_information_per_latent : array
        Definition 1 of each latent, and Definition 3.
    kl_aggregate_prior_per_latent, mutual_information_per_latent_via_q_star : array
        Definition 4 of each latent, and Definition 7.
    second_moment, mean, mean_variance, posterior_variance : array
        S, the average mean, the variance of the means, and the average posterior variance.
    upper_bounds : dict of str to float
        Of I(x; z), by family of q*; empty unless the covariance was asked for.
    chance : dict of str to float
        What a perfect match, near-deterministic codes drawn from the prior, shows on average.
    standard_errors : dict of str to float or array
        Under the names of the fields.
    q_star : QStar
    moments : Moments

    Examples
    --------
    >>> import numpy as np
    >>> result = indicators(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.full((2, 2), 0.5))
    >>> result.used, result.states
    (1, ('used', 'unused'))
    """

    schema: ClassVar[str] = "dindic.indicators/1"

    n: int
    d: int
    n_clusters: int | None
    kl_posterior_prior: float
    mutual_information: float
    kl_aggregate_prior: float
    kl_q_star_prior: float
    mutual_information_via_q_star: float
    gaussian_total_correlation: float | None
    kl_aggregate_prior_full_mean: float | None
    threshold: float
    used: int
    used_range: tuple[float, float]
    near_deterministic: int
    weak: int
    offset: int
    unused: int
    active_units: int
    normal_variance: int
    solver_difference: float
    prior_mean: float | Float
    prior_var: float | Float
    states: tuple[str, ...]
    kl_posterior_prior_per_latent: Float
    mutual_information_per_latent: Float
    kl_aggregate_prior_per_latent: Float
    mutual_information_per_latent_via_q_star: Float
    second_moment: Float
    mean: Float
    mean_variance: Float
    posterior_variance: Float
    upper_bounds: dict[str, float]
    chance: dict[str, float]
    standard_errors: dict[str, Any]
    q_star: QStar
    moments: Moments

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values, without the moments."""
        left_out = ("moments", "q_star")
        content = {
            f.name: plain(getattr(self, f.name)) for f in fields(self) if f.name not in left_out
        }
        q_star = {
            name: plain(getattr(self.q_star, name))
            for name in ("family", "method", "converged", "n_iterations", "residual")
        }
        drawn = "rows" if self.n_clusters is None else "clusters"
        return {
            "schema": self.schema,
            "unit": "nats",
            "estimator": "posterior averages against q* in closed form, in units of the prior",
            "error": f"one standard error of sampling {drawn}",
            **content,
            "q_star": q_star,
        }

    def to_frame(self) -> "pd.DataFrame":
        """Return a data frame with one row per latent, the standard errors included."""
        frame = super().to_frame()
        for name, error in self.standard_errors.items():
            if "_per_latent" in name:
                frame[f"{name}_se"] = to_numpy(error)
        frame.insert(0, "state", list(self.states))
        return frame

    def blocks(self) -> list[Block]:
        """Return the table of latents and the table of definitions."""
        return [latent_table(self), definition_table(self)]


def indicators(
    mean: Array = None,
    var: Array = None,
    *,
    batches: Batches | None = None,
    moments: Moments | None = None,
    covariance: bool = False,
    errors: bool = True,
    clusters: Any = None,
    threshold: float = USED,
    prior_mean: Any = 0.0,
    prior_var: Any = 1.0,
    threads: int = 1,
) -> Indicators:
    """Compute Definitions 1-7, their standard errors, and the states of the latents.

    Parameters
    ----------
    mean, var : array, shape (n, d)
        Posterior means and variances.
    batches : callable, optional
        In place of the arrays: gives a fresh iterator over (mean, var) batches at each call. It
        is called once, and once more for the errors of the totals.
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
    prior_mean, prior_var : float or array, shape (d,)
        The Gaussian prior; results are in its units.
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
    if not 0 < threshold < math.inf:
        raise ValueError(f"threshold must be positive and finite; got {threshold:g}")
    if moments is not None:
        if mean is not None or batches is not None or clusters is not None:
            raise ValueError("moments= stand for the rows; they exclude arrays and clusters")
        bounds = define.upper_bounds(moments) if moments.scatter is not None else {}
        error = {} if moments.co_scatter is None else _renamed(standard_errors.per_latent(moments))
        return _from_moments(moments, bounds, error, None, threshold, prior_mean, prior_var)
    source = in_prior_units(_source(mean, var, batches), prior_mean, prior_var)
    per_row = errors and clusters is None
    moments = Moments.of_batches(source(), errors=per_row, covariance=covariance, threads=threads)
    bounds = define.upper_bounds(moments) if covariance else {}
    if "full-mean" not in bounds:  # latents that repeat each other to the last bit
        moments = replace(moments, scatter=None)
    error = _errors(source, moments, clusters) if errors else {}
    return _from_moments(moments, bounds, error, clusters, threshold, prior_mean, prior_var)


def _from_moments(
    moments: Moments,
    bounds: dict[str, Any],
    error: dict[str, Any],
    clusters: Any,
    threshold: float,
    prior_mean: Any,
    prior_var: Any,
) -> Indicators:
    q_star = estimate_q_star(moments=moments)
    information = to_numpy(define.mutual_information_per_latent(moments, q_star))
    named = states(moments, information, threshold)
    offset = np.array(named) == "offset"
    counted = np.where(offset, information_about_mean(moments), information)
    values: dict[str, Any] = {}
    for name, (_, function) in define.DEFINITIONS.items():
        value = function(moments, q_star)
        values[name] = to_numpy(value) if "per_latent" in name else value
    first = to_numpy(define.kl_posterior_prior_per_latent(moments))
    second = to_numpy(moments.second_moment)
    mean_variance = to_numpy(moments.mean_variance)
    return Indicators(
        n=moments.n,
        d=second.size,
        n_clusters=None if clusters is None else cluster_codes(clusters, moments.n)[0],
        gaussian_total_correlation=(
            define.gaussian_total_correlation(moments) if "full-mean" in bounds else None
        ),
        kl_aggregate_prior_full_mean=(
            values["kl_posterior_prior"] - bounds["full-mean"] if "full-mean" in bounds else None
        ),
        threshold=threshold,
        used=named.count("used") + named.count("near-deterministic"),
        used_range=used_range(counted, threshold),
        near_deterministic=named.count("near-deterministic"),
        weak=named.count("weak"),
        offset=named.count("offset"),
        unused=named.count("unused"),
        active_units=int(np.sum(mean_variance >= ACTIVE_UNIT)),
        normal_variance=int(np.sum(np.abs(second - 1) <= NORMAL_VARIANCE)),
        solver_difference=_solver_difference(values),
        prior_mean=_one_or_many(prior_mean),
        prior_var=_one_or_many(prior_var),
        states=named,
        second_moment=second,
        mean=to_numpy(moments.mean),
        mean_variance=mean_variance,
        posterior_variance=to_numpy(moments.var),
        upper_bounds=bounds,
        chance=_chance(moments.n, second.size),
        standard_errors=error,
        q_star=q_star,
        moments=moments,
        kl_posterior_prior_per_latent=first,
        kl_aggregate_prior_per_latent=first - information,
        **values,
    )


def _source(mean: Array, var: Array, batches: Batches | None) -> Batches:
    if (mean is None) == (batches is None):
        raise ValueError("give either mean and var or batches=")
    if batches is not None:
        return as_batches(batches)
    _, mean, var = as_pair(mean, var)
    if mean.ndim != 2:
        raise ValueError(f"mean must have the shape (n, d); its shape is {tuple(mean.shape)}")
    return lambda: [(mean, var)]


def _errors(batches: Batches, moments: Moments, clusters: Any) -> dict[str, Any]:
    if clusters is None:
        total, each = standard_errors.totals(batches, moments), standard_errors.per_latent(moments)
    else:
        total, each = standard_errors.clustered(batches, moments, clusters)
    bound = total.pop("mutual_information_full_mean", None)
    total |= {} if bound is None else {"upper_bounds.full-mean": bound}
    total["kl_q_star_prior"] = total["kl_aggregate_prior"]
    total["mutual_information_via_q_star"] = total["mutual_information"]
    return total | _renamed(each)


def _renamed(each: dict[str, Array]) -> dict[str, Float]:
    """Return the errors of latents under the names of the fields."""
    named = {f"{name}_per_latent": to_numpy(value) for name, value in each.items()}
    information = to_numpy(each["mutual_information"])
    return named | {"mutual_information_per_latent_via_q_star": information}


def _chance(n: int, d: int) -> dict[str, float]:
    r"""Say what a perfect match shows on average, :math:`-\tfrac12 E\log\det` of a Wishart matrix.

    The expectation is a sum of digamma functions of (n - i)/2, i = 1..d, here by their asymptotic
    series; to first order d/(2n), d(d - 1)/(4n) and d(d + 3)/(4n). There is none for n <= d + 9.
    """
    if n <= d + 9:
        return {}
    x = (n - np.arange(1, d + 1)) / 2
    shortfall = 0.5 * (np.log(n / 2) - np.log(x) + 1 / (2 * x) + 1 / (12 * x * x))
    total, apart = float(shortfall.sum()), d * float(shortfall[0])
    return {
        "kl_aggregate_prior": d / (2 * n),
        "gaussian_total_correlation": total - apart,
        "kl_aggregate_prior_full_mean": total,
    }


def _one_or_many(values: Any) -> float | Float:
    array = np.asarray(values, dtype=np.float64)
    return float(array.reshape(-1)[0]) if array.size == 1 else array


def _solver_difference(values: dict[str, Any]) -> float:
    pairs = (
        ("kl_aggregate_prior", "kl_q_star_prior"),
        ("mutual_information", "mutual_information_via_q_star"),
        ("mutual_information_per_latent", "mutual_information_per_latent_via_q_star"),
    )
    return max(float(np.max(np.abs(to_numpy(values[a]) - to_numpy(values[b])))) for a, b in pairs)
