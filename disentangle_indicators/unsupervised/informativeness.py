r"""What each latent tells, apart from the others: informativeness, separability, independence.

.. math::

   \mathrm{SEP}_h = I(z_h; z_{\ne h}), \qquad
   \mathrm{SEPIN}_h = I(x; z_h | z_{\ne h}) = I(x; z) - I(x; z_{\ne h}), \qquad
   \mathrm{INDIN}_h = I(x; z_h) - I(z_h; z_{\ne h})

The posterior of a row is a product over latents, so that the last two are the same number; they
are estimated in two ways.
"""

import math
from typing import NamedTuple

import numpy as np

from disentangle_indicators._array import (
    Array,
    Float,
    as_array,
    check_positive,
    generator,
    seed_of,
    to_numpy,
)
from disentangle_indicators._progress import Progress
from disentangle_indicators._provenance import Provenance
from disentangle_indicators.aggregate._log_sums import log_sums
from disentangle_indicators.aggregate._marginals import evaluate
from disentangle_indicators.aggregate._monte_carlo import (
    FEWEST_POINTS,
    Controls,
    Draw,
    draw,
    log_marginals,
)
from disentangle_indicators.posteriors import Encodings
from disentangle_indicators.states import WEAK, is_saturated
from disentangle_indicators.unsupervised._informativeness_result import Informativeness

__all__ = ["ACTIVITIES", "Informativeness", "activity", "informativeness"]

ACTIVITIES = ("active", "mixed", "passive")
"""What posterior variances say of a latent: always small, now small now 1, always 1."""


def informativeness(
    mean: "Array | Encodings",
    var: Array = None,
    *,
    std: Array = None,
    logvar: Array = None,
    logstd: Array = None,
    rng: np.random.Generator | int = 0,
    points: int = 4096,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Informativeness:
    r"""Compute SEP, SEPIN, WSEPIN, INDIN and WINDIN from means and variances.

    .. math:: \mathrm{WSEPIN} = \sum_h \rho_h\, I(x; z_h | z_{\ne h}), \qquad
       \rho_h = \frac{I(x; z_h)}{\sum_g I(x; z_g)}

    Parameters
    ----------
    mean, var : array, shape (n, d)
        Means and variances of the posteriors; or :class:`~disentangle_indicators.Encodings` alone.
        With one latent SEP is 0, SEPIN is I(x; z).
    std, logvar, logstd : array, shape (n, d), optional
        In place of `var`: standard deviations, log variances, log standard deviations.
    rng : numpy.random.Generator or int
        The same seed gives the same numbers.
    points : int
        Monte Carlo points, at least 100.
    threads : int
        Threads over latents, for the marginals.
    progress : callable, optional
        As for :func:`disentangle_indicators.aggregate.marginals`.

    Returns
    -------
    Informativeness
        Nats. SEPIN lies between 0 and I(x; z_h), but for Monte Carlo noise; higher is better.

    Raises
    ------
    ValueError
        On arrays that do not belong together, on entries that are not finite, on variances that
        are not positive, and on fewer than 100 points.

    Notes
    -----
    Do & Tran (2020), section 4, where densities are floored at 1e-8 and I(x; z_h) is
    estimated too. Here I(x; z_h) and q(z_h) are exact for the mixture of these rows
    (:func:`~disentangle_indicators.aggregate.marginals`); q(z) and q(z_others) are summed over all
    rows at `points` draws from the mixture, with the control variates of
    :func:`~disentangle_indicators.aggregate.joint`. It rewards latents that tell something of x
    that no other latent tells; noise and copies score 0. It lies where rows are few: as soon as the
    other latents tell n rows apart, I(x; z) is log n with or without this one. That is marked
    `saturated`.

    Examples
    --------
    >>> import numpy as np
    >>> mean = np.random.default_rng(0).normal(size=(1000, 1)) * [1.0, 1.0, 0.0]
    >>> result = informativeness(mean, np.array([[0.1, 0.1, 1.0]]).repeat(1000, axis=0))
    >>> result.information.round(1), result.sepin_per_latent.round(1) + 0.0
    (array([1.2, 1.2, 0. ]), array([0.3, 0.3, 0. ]))
    """
    if points < FEWEST_POINTS:
        raise ValueError(f"points must be at least {FEWEST_POINTS}; got {points}")
    encodings = Encodings.of(
        mean, var, std=std, logvar=logvar, logstd=logstd, threads=threads, progress=progress
    )
    moments = encodings.summary(covariance=True)
    mean, var = (to_numpy(x) for x in encodings.arrays_on_host("informativeness needs"))
    n, d = mean.shape
    drawing, seed = generator(rng), seed_of(rng)
    at = draw(mean, var, points, drawing)
    exact = evaluate(encodings, at.z)
    log_one = log_marginals(at, exact.density, n)
    log_all, log_rest = _log_densities(encodings, at, log_one)
    controls = Controls.of(at, log_one, moments, exact, mean, var, np.arange(n))
    information = exact.marginals.information
    weights = _shares(information)
    sep = _averaged(controls, log_all[:, None] - log_one - log_rest, weights)
    sepin = _averaged(controls, at.log_own + log_rest - log_all[:, None], weights)
    whole = controls.expectation(at.log_own.sum(axis=1) - log_all)
    indin = information - sep.each
    return Informativeness(
        n=n,
        d=d,
        points=points,
        seed=seed,
        sepin=float(sepin.each.mean()),
        wsepin=float(weights @ sepin.each),
        indin=float(indin.mean()),
        windin=float(weights @ indin),
        sep=float(sep.each.mean()),
        wsep=float(weights @ sep.each),
        mutual_information=whole.value,
        information=information,
        sep_per_latent=sep.each,
        sepin_per_latent=sepin.each,
        indin_per_latent=indin,
        weights=weights,
        saturated=np.asarray(is_saturated(whole.value - sepin.each, n))
        & (information > WEAK)
        & (d > 1),
        activity=activity(var),
        standard_errors={
            "sepin": sepin.error,
            "wsepin": sepin.weighted_error,
            # I(x; z_h) is exact: the error of INDIN is that of SEP
            "indin": sep.error,
            "windin": sep.weighted_error,
            "sep": sep.error,
            "wsep": sep.weighted_error,
            "mutual_information": whole.error,
            "sep_per_latent": sep.errors,
            "sepin_per_latent": sepin.errors,
            "indin_per_latent": sep.errors,
        },
        provenance=Provenance(
            "disentangle_indicators.unsupervised.informativeness",
            encodings.inputs,
            {"points": points},
            seed,
        ),
    )


def _log_densities(encodings: Encodings, at: Draw, log_one: Float) -> tuple[Float, Float]:
    """Return the log density of all latents (s,), and of all but each of them (s, d)."""
    like = encodings.arrays("informativeness needs")[0]
    mean, var = (to_numpy(x) for x in encodings.arrays_on_host("informativeness needs"))
    n, d = mean.shape
    if d == 1:
        # not a sum over rows: the density of the marginal itself, so that SEP is exactly 0
        return log_one[:, 0], np.zeros_like(log_one)

    def log_density(latents: list[int]) -> Float:
        others = log_sums(at.z[:, latents], at.rows, mean[:, latents], var[:, latents], like)
        own = at.log_own[:, latents].sum(axis=1)
        return np.asarray(np.logaddexp(own, others) - math.log(n))

    every, progress = range(d), encodings.progress
    steps = every if progress is None else progress(every, "other latents", d)
    rest = [log_density([g for g in every if g != h]) for h in steps]
    return log_density(list(every)), np.stack(rest, axis=1)


def _shares(information: Float) -> Float:
    """Return the share of each latent in the sum, equal ones where the sum is 0."""
    total = float(information.sum())
    return information / total if total > 0 else np.full(information.size, 1 / information.size)


class _Averaged(NamedTuple):
    """Means over points of each latent (d,), their errors, and the errors of averages of them."""

    each: Float
    errors: Float
    error: float
    weighted_error: float


def _averaged(controls: Controls, y: Float, weights: Float) -> _Averaged:
    """Return the means of y (s, d) over points, and what averages over latents have as error.

    Latents share the points, so that the error of an average is that of the average at each point.
    """
    each = [controls.expectation(column) for column in y.T]
    means = np.stack([weights, np.full(len(weights), 1 / len(weights))], axis=1)
    weighted, plain = (controls.expectation(column).error for column in (y @ means).T)
    values, errors = np.array([e.value for e in each]), np.array([e.error for e in each])
    return _Averaged(values, errors, float(plain), float(weighted))


def activity(var: Array, *, spread: float = 0.1, margin: float = 0.1) -> tuple[str, ...]:
    r"""Say of each latent whether its posterior variances are small, those of the prior, or both.

    Active: :math:`\operatorname{Var} v_h < 0.1` and :math:`E\,v_h \le 0.1`; passive:
    :math:`\operatorname{Var} v_h < 0.1` and :math:`|E\,v_h - 1| \le 0.1`; mixed: any other.

    Parameters
    ----------
    var : array, shape (n, d)
        Posterior variances, in units of the prior N(0, 1).
    spread : float
        Variances of the variance below it are small.
    margin : float
        How far the average variance of an active latent is from 0, and of a passive one from 1.

    Returns
    -------
    tuple of str, length d
        "active", "mixed" or "passive".

    Raises
    ------
    ValueError
        On variances that are not positive, and on thresholds that are not or that overlap.

    Notes
    -----
    Bonheme & Grzes (2023), with the thresholds of their code. Mixed latents are used
    for some rows only, or carry little for all of them: an average variance between 0.1 and 0.9 is
    mixed. It says what the variances say: a latent of variance 0.05 whose mean never moves is
    active and tells nothing; `states` looks at information.

    Examples
    --------
    >>> import numpy as np
    >>> activity(np.array([[0.01, 0.01, 0.98], [0.02, 1.0, 1.0]]))
    ('active', 'mixed', 'passive')
    """
    values = as_array(var, "var")
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"var must have the shape (n, d); its shape is {tuple(values.shape)}")
    check_positive(values, "var")
    if not (spread > 0 and 0 < margin < 0.5):
        raise ValueError(
            f"spread must be positive and margin between 0 and 0.5; got {spread} and {margin}"
        )
    v = to_numpy(values)
    centre = v.mean(axis=0)
    with np.errstate(over="ignore"):
        calm = np.mean((v - centre) ** 2, axis=0) < spread
    low, one = calm & (centre <= margin), calm & (np.abs(centre - 1) <= margin)
    kinds = np.where(low, "active", np.where(one, "passive", "mixed"))
    return tuple(str(kind) for kind in kinds)
