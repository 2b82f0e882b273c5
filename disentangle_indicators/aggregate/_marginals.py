r"""Exact marginals of the aggregated posterior: what each latent holds, by quadrature.

The aggregated posterior of one latent, :math:`q(z_h) = \frac1n \sum_m N(\mu_{mh}, v_{mh})`, is a
mixture on a line. Its entropy H gives everything else in closed form:

.. math::

   I(x; z_h) = H - \tfrac12 \log(2\pi e) - \tfrac12 \ell_h, \qquad
   D_{KL}(q(z_h) \| p) = \tfrac12 \log 2\pi + \tfrac12 S_h - H, \qquad
   J_h = \tfrac12 \log(2\pi e S_h) - H

with S_h the second moment and ell_h the average log variance. J_h is by how much Definition 3
exceeds I(x; z_h).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from disentangle_indicators._array import LOG_2PI, Array, Float
from disentangle_indicators._clusters import widening
from disentangle_indicators._errors import Undefined
from disentangle_indicators._progress import Progress
from disentangle_indicators._provenance import Provenance
from disentangle_indicators._row_sample import by_columns
from disentangle_indicators._sums import keep_freed_memory
from disentangle_indicators.aggregate._marginals_result import Marginals
from disentangle_indicators.aggregate._one_latent import Found, of_latent
from disentangle_indicators.aggregate._shortfall import Neighbours
from disentangle_indicators.posteriors import Encodings
from disentangle_indicators.states import is_saturated

__all__ = ["Marginals", "marginals"]

_ENOUGH = 1 << 12
"""Rows from which standard errors are taken where rows are independent."""

_ROUNDING = 1e-12
"""Standard errors and shortfalls below it are those of constants."""


def marginals(
    mean: "Array | Encodings",
    var: Array = None,
    *,
    std: Array = None,
    logvar: Array = None,
    logstd: Array = None,
    clusters: Any = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Marginals:
    r"""Compute the entropy of each latent's aggregated posterior, and what follows from it.

    Parameters
    ----------
    mean, var : array, shape (n, d)
        Means and variances of the posteriors, in units of the prior N(0, 1). They are copied to
        the host once, if they are not there. Or :class:`~disentangle_indicators.Encodings` alone,
        which keep the result.
    std, logvar, logstd : array, shape (n, d), optional
        In place of `var`: standard deviations, log variances, log standard deviations.
    clusters : array, shape (n,), optional
        Rows of one cluster count as one draw in errors and saturation, as copies of rows do.
    threads : int
        Threads over latents.
    progress : callable, optional
        Called with an iterable over latents, a description and its length; gives what to iterate
        over.

    Returns
    -------
    Marginals

    Raises
    ------
    ValueError
        On arrays that do not belong together, on entries that are not finite, and on variances
        that are not positive.
    Undefined
        Where variances are too small for float64 beside the range of the means (1e-26 for means
        of a few units), and without variances.

    Notes
    -----
    Deterministic quadrature, at a cost linear in n, to 1e-6 nats or better. Latents of 300 rows and
    more, with a range of at most n/2 standard deviations of the narrowest posterior, have their
    density from sums over cells of mean and variance (see :class:`MarginalSketch`). All others, and
    those for which these sums report more than 1e-6 nats, have it from a dyadic tree of
    Gauss-Legendre panels. I(x; z_h) is that of the empirical mixture; that of the population is higher by about the
    `shortfall`, which is not known where fewer than ten posteriors overlap.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> mean = rng.choice([-0.98, 0.98], size=(1000, 1))  # one bit, and a Gaussian's S = 1
    >>> result = marginals(mean, np.full((1000, 1), 0.04))
    >>> result.information.round(3), result.looseness.round(3)
    (array([0.69]), array([0.919]))
    """
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
    return of_encodings(encodings)


@dataclass(frozen=True)
class Evaluation:
    """Marginals, and what the joint needs of them.

    `density` (s, d) is q(z_h) at the points, `picked` (p,) are the rows that standard errors
    are taken from, and `surprise` (p, d) is the cross entropy of those rows' posteriors to q(z_h).
    """

    marginals: Marginals
    density: Float
    picked: Any
    surprise: Float


def of_encodings(encodings: Encodings) -> Marginals:
    """Return the marginals of encodings, which keep them; a refusal is kept as well."""
    if "_marginals" not in vars(encodings):
        try:
            evaluate(encodings)
        except Undefined as refusal:
            vars(encodings)["_marginals"] = str(refusal)
    kept: Marginals | str = vars(encodings)["_marginals"]
    if isinstance(kept, str):
        raise Undefined(kept)
    return kept


def evaluate(
    encodings: Encodings, points: Float | None = None, *, every_row: bool = False
) -> Evaluation:
    """Compute the marginals, and their densities at points (s, d); the encodings keep the former.

    `every_row` asks for the surprise of each row, where few are enough for the marginals.

    Raises
    ------
    Undefined
        As :func:`marginals`.
    """
    mean, var = encodings.arrays_on_host("marginals need")
    encodings.summary()  # refuses what overflows
    found = evaluate_arrays(
        by_columns(mean),
        by_columns(var),
        points,
        codes=encodings.independent_codes,
        every_row=every_row,
        threads=encodings.threads,
        progress=encodings.progress,
    )
    call = "disentangle_indicators.aggregate.marginals"
    made = replace(
        found.marginals,
        dependence=encodings.dependence,
        provenance=Provenance(call, encodings.inputs),
    )
    vars(encodings)["_marginals"] = made
    return replace(found, marginals=made)


def evaluate_arrays(
    mean: Float,
    var: Float,
    points: Float | None = None,
    *,
    codes: tuple[int, Any] | None = None,
    every_row: bool = False,
    threads: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Compute the marginals of numpy arrays that were checked, and their densities at points."""
    keep_freed_memory()
    mean, var = by_columns(mean), by_columns(var)
    n, d = mean.shape
    few = codes is None and not every_row
    picked = picked_rows(n) if few else np.arange(n)
    points = np.empty((0, d)) if points is None else points
    near = Neighbours(n, codes)

    def latent(h: int) -> Found:
        return of_latent(h, mean[:, h], var[:, h], points[:, h], picked, near)

    found = _map(latent, d, threads, progress)
    entropy, errors, short, second, log_var = np.array([each[:5] for each in found]).T
    density, surprise = (
        np.stack(part, axis=1) for part in zip(*(f[5:] for f in found), strict=True)
    )
    rows = mean[picked], var[picked], surprise
    result = from_entropies(entropy, errors, short, second, log_var, rows, n, codes)
    return Evaluation(result, density, picked, surprise)


def from_entropies(
    entropy: Float,
    errors: Float,
    short: Float,
    second: Float,
    log_var: Float,
    rows: tuple[Float, Float, Float],
    n: int,
    codes: tuple[int, Any] | None = None,
    bounded: Any = False,
) -> Marginals:
    """Return the marginals that follow from entropies (d,), and from their errors and shortfalls.

    `second` and `log_var` (d,) are S and ell; `rows` are means, variances and surprises (s, d) of
    the rows that standard errors are taken from. Of `bounded` latents (d,) the entropy is a lower
    bound; they count as saturated.
    """
    information = np.maximum(entropy - 0.5 * (LOG_2PI + 1 + log_var), 0.0)
    kl_prior = np.maximum(0.5 * (LOG_2PI + second) - entropy, 0.0)
    looseness = np.maximum(0.5 * (LOG_2PI + 1 + np.log(second)) - entropy, 0.0)
    saturated = is_saturated(information, n if codes is None else codes[0]) | bounded
    short = np.where(saturated, np.inf, np.where(short < _ROUNDING, 0.0, short))
    mean, var, surprise = rows
    influence = _influence(mean, var, surprise, second, saturated)
    sampling = _standard_errors(influence, n, codes)
    fourth = 0.5 * (second - 1 - np.log(second)) - sampling.pop("second") ** 2 / 4
    low = float(np.sum(np.where(saturated, fourth, kl_prior - short)))
    return Marginals(
        n=n,
        d=len(entropy),
        draws=n if codes is None else codes[0],
        dependence="",
        total_information=float(information.sum()),
        total_kl_prior=float(kl_prior.sum()),
        total_looseness=float(looseness.sum()),
        total_shortfall=float(short.sum()),
        total_kl_prior_low=max(low, 0.0),
        quadrature_error=float(np.max(errors, where=np.logical_not(bounded), initial=0.0)),
        entropy=entropy,
        information=information,
        kl_prior=kl_prior,
        looseness=looseness,
        shortfall=short,
        saturated=saturated,
        quadrature_errors=errors,
        standard_errors=sampling,
        population_errors=population_errors(sampling, short),
    )


def _map(
    latent: Callable[[int], Any], d: int, threads: int, progress: Progress | None
) -> list[Any]:
    from concurrent.futures import ThreadPoolExecutor

    def bar(results: Any) -> Any:
        return results if progress is None else progress(results, "marginals", d)

    if threads == 1:
        return list(bar(map(latent, range(d))))
    with ThreadPoolExecutor(threads) as pool:
        return list(bar(pool.map(latent, range(d))))


def picked_rows(n: int) -> Any:
    """Pick at most `_ENOUGH` rows, at even steps that are not whole numbers."""
    return np.linspace(0, n - 1, min(n, _ENOUGH)).astype(np.int64)


def _influence(
    mean: Float, var: Float, surprise: Float, second: Float, saturated: Any
) -> dict[str, Float]:
    r"""Return the influence (s, d) of each row on each quantity, up to a constant.

    That of H is the cross entropy :math:`-\int q_m \log q`, that of S the row's own second
    moment, that of ell its log variance. `second` is that of log S, and `kl_prior_low` has
    Definition 4 where a latent is saturated.
    """
    u, log_var = mean * mean + var, np.log(var)
    return {
        "entropy": surprise,
        "information": surprise - 0.5 * log_var,
        "kl_prior": 0.5 * u - surprise,
        "looseness": 0.5 * u / second - surprise,
        "second": u / second,
        "kl_prior_low": np.where(saturated, 0.5 * (1 - 1 / second) * u, 0.5 * u - surprise),
    }


def _standard_errors(
    influence: dict[str, Float], n: int, codes: tuple[int, Any] | None
) -> dict[str, Any]:
    def error(x: Float) -> Float:
        x = x - x.mean(axis=0)
        count, draws = len(x), n
        if codes is not None:
            count, code = codes
            x = np.stack([np.bincount(code, column, count) for column in x.T], axis=1)
            draws = count
        if count == 1:
            return np.full(x.shape[1:], np.inf)
        # of rows, or of sums over clusters, of which n / draws rows are in one
        spread = np.sqrt(np.sum(x * x, axis=0) / (count - 1) / draws) * draws / n
        spread = spread if codes is None else spread * widening(count)
        return np.where(spread < _ROUNDING, 0.0, spread)

    errors: dict[str, Any] = {name: error(rows) for name, rows in influence.items()}
    for name in ("information", "kl_prior", "looseness", "kl_prior_low"):
        total = influence[name].sum(axis=1, keepdims=True)
        errors[f"total_{name}"] = float(error(total)[0])
    del errors["kl_prior_low"]
    return errors


def population_errors(errors: dict[str, Any], short: Float) -> dict[str, Any]:
    """Return the errors about the values of the population: what few rows lower, in quadrature."""
    found: dict[str, Any] = {}
    for name in ("entropy", "information", "kl_prior", "looseness"):
        found[name] = np.hypot(errors[name], short)
        if name != "entropy":
            total = f"total_{name}"
            found[total] = float(np.hypot(errors[total], short.sum()))
    return found
