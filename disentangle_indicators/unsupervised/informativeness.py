r"""What each latent tells, apart from the others: informativeness, separability, independence.

.. math::

   \mathrm{SEP}_h = I(z_h; z_{\ne h}), \qquad
   \mathrm{SEPIN}_h = I(x; z_h | z_{\ne h}) = I(x; z) - I(x; z_{\ne h}), \qquad
   \mathrm{INDIN}_h = I(x; z_h) - I(z_h; z_{\ne h})

The posterior of a row is a product over latents, so that the last two are the same number; they
are estimated in two ways.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from disentangle_indicators._array import (
    Array,
    Float,
    as_array,
    as_pair,
    check_positive,
    generator,
    to_numpy,
)
from disentangle_indicators._progress import Progress
from disentangle_indicators._result import Block, Result, Table
from disentangle_indicators._tables import with_error
from disentangle_indicators.aggregate._joint import FEWEST_POINTS
from disentangle_indicators.aggregate._log_sums import log_sums
from disentangle_indicators.aggregate._marginals import evaluate, is_saturated
from disentangle_indicators.aggregate._monte_carlo import Controls, draw
from disentangle_indicators.moments import Moments
from disentangle_indicators.states import WEAK

__all__ = ["ACTIVITIES", "Informativeness", "activity", "informativeness"]

ACTIVITIES = ("active", "mixed", "passive")
"""What posterior variances say of a latent: always small, now small now 1, always 1."""


@dataclass(frozen=True, eq=False, repr=False)
class Informativeness(Result):
    """Information of each latent, and what of it no other latent has; nats, arrays (d,).

    Parameters
    ----------
    n, d, points : int
        Rows, latents, Monte Carlo points.
    seed : int or None
    sepin, wsepin : float
        Average of `sepin_per_latent`, plain and weighted by information; higher is better.
    indin, windin : float
        The same of `indin_per_latent`.
    sep, wsep : float
        The same of `sep_per_latent`; lower is better.
    mutual_information : float
        I(x; z), by Monte Carlo.
    information : array
        I(x; z_h), exact for these rows, by quadrature.
    sep_per_latent : array
        I(z_h; z_others), by Monte Carlo.
    sepin_per_latent : array
        I(x; z) - I(x; z_others), by Monte Carlo.
    indin_per_latent : array
        `information` less `sep_per_latent`: the same number as the one before.
    weights : array
        Share of each latent in the sum of `information`; equal where none has any.
    saturated : array of bool
        Where the other latents nearly tell these n rows apart, so that one that has information
        can add little: SEPIN of the population is higher.
    activity : tuple of str
        See :func:`activity`.
    standard_errors : dict of str to float or array
        Monte Carlo errors, of the points.
    """

    schema: ClassVar[str] = "dindic.informativeness/1"

    n: int
    d: int
    points: int
    seed: int | None
    sepin: float
    wsepin: float
    indin: float
    windin: float
    sep: float
    wsep: float
    mutual_information: float
    information: Float
    sep_per_latent: Float
    sepin_per_latent: Float
    indin_per_latent: Float
    weights: Float
    saturated: Float
    activity: tuple[str, ...]
    standard_errors: dict[str, float | Float]

    def sepin_at(self, k: int) -> float:
        """Return SEPIN@k, the average of SEPIN over the k latents with most information.

        Raises
        ------
        ValueError
            When there are not so many latents.
        """
        if not 1 <= k <= self.d:
            raise ValueError(f"k must be between 1 and {self.d}; got {k}")
        order = np.argsort(-self.information, kind="stable")
        return float(self.sepin_per_latent[order[:k]].mean())

    def blocks(self) -> list[Block]:
        """Return the table of scores, and that of latents, the most informative first."""
        e = self.standard_errors
        scores = (
            ("WSEPIN", self.wsepin, "wsepin", "what a latent tells of x beyond all others"),
            ("SEPIN", self.sepin, "sepin", "the same, each latent counting alike"),
            ("WINDIN", self.windin, "windin", "= WSEPIN, by I(x; z_h) - I(z_h; others)"),
            ("INDIN", self.indin, "indin", "= SEPIN, likewise"),
            ("WSEP", self.wsep, "wsep", "I(z_h; others); lower is better"),
            ("I(x; z)", self.mutual_information, "mutual_information", "at most log n"),
        )
        first = tuple((n, with_error(v, float(e[name])), words) for n, v, name, words in scores)
        order = np.argsort(-self.information, kind="stable")
        names = ("sepin_per_latent", "indin_per_latent", "sep_per_latent")
        rows = tuple(
            (
                str(h),
                f"{self.information[h] + 0.0:.3f}",
                *(
                    with_error(float(getattr(self, name)[h]), float(np.asarray(e[name])[h]))
                    for name in names
                ),
                self.activity[h] + (", saturated" if self.saturated[h] else ""),
            )
            for h in order
        )
        note = (
            f"nats; I(x; z_h) exact for these {self.n} rows, the rest ± one standard error of "
            f"{self.points} Monte Carlo points; saturated: the other latents tell the rows apart, "
            "so that SEPIN of the population is higher"
        )
        columns = ("latent", "I(x; z_h)", "SEPIN", "INDIN", "SEP", "")
        return [
            Table(("score", "value [nats]", "how to read it"), first, "Informativeness"),
            Table(columns, rows, note=note),
        ]


def informativeness(
    mean: Array,
    var: Array,
    *,
    rng: np.random.Generator | int = 0,
    points: int = 4096,
    threads: int = 1,
    progress: Progress | None = None,
) -> Informativeness:
    r"""Compute SEP, SEPIN, WSEPIN, INDIN and WINDIN from means and variances.

    .. math:: \mathrm{WSEPIN} = \sum_h \rho_h\, I(x; z_h | z_{\ne h}), \qquad
       \rho_h = \frac{I(x; z_h)}{\sum_g I(x; z_g)}

    Parameters
    ----------
    mean, var : array, shape (n, d)
        Means and variances of the posteriors. With one latent SEP is 0, SEPIN is I(x; z).
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
    _, mean, var = as_pair(mean, var)
    if mean.ndim != 2:
        raise ValueError(f"mean must have the shape (n, d); its shape is {tuple(mean.shape)}")
    if points < FEWEST_POINTS:
        raise ValueError(f"points must be at least {FEWEST_POINTS}; got {points}")
    moments = Moments.of(mean, var, covariance=True)
    like, mean, var = mean, to_numpy(mean), to_numpy(var)
    n, d = mean.shape
    drawing, seed = generator(rng)
    at = draw(mean, var, points, drawing)
    exact = evaluate(mean, var, at.z, threads=threads, progress=progress)
    density = np.log(np.maximum(exact.density, np.finfo(float).tiny))
    log_one = np.maximum(density, at.log_own - math.log(n))

    def log_density(latents: list[int]) -> Float:
        """Return the log density of the aggregated posterior of some latents."""
        others = log_sums(at.z[:, latents], at.rows, mean[:, latents], var[:, latents], like)
        own = at.log_own[:, latents].sum(axis=1)
        return np.asarray(np.logaddexp(own, others) - math.log(n))

    steps = range(d) if progress is None else progress(range(d), "other latents", d)
    log_all = log_density(list(range(d)))
    log_rest = np.stack(
        [
            log_density([g for g in range(d) if g != h]) if d > 1 else np.zeros(points)
            for h in steps
        ],
        axis=1,
    )
    if d == 1:
        log_all = log_one[:, 0]
    sep_points = log_all[:, None] - log_one - log_rest
    sepin_points = at.log_own + log_rest - log_all[:, None]
    controls = Controls.of(at, log_one, moments, exact, mean, var, None)
    information = exact.marginals.information
    total = float(information.sum())
    weights = information / total if total > 0 else np.full(d, 1 / d)

    def estimates(y: Float) -> tuple[Float, Float]:
        found = [controls.expectation(column) for column in y.T]
        return np.array([f.value for f in found]), np.array([f.error for f in found])

    sep, sep_error = estimates(sep_points)
    sepin, sepin_error = estimates(sepin_points)
    means = np.stack([weights, np.full(d, 1 / d)], axis=1)
    sep_errors = estimates(sep_points @ means)[1]
    sepin_errors = estimates(sepin_points @ means)[1]
    whole = controls.expectation(at.log_own.sum(axis=1) - log_all)
    indin = information - sep
    return Informativeness(
        n=n,
        d=d,
        points=points,
        seed=seed,
        sepin=float(sepin.mean()),
        wsepin=float(weights @ sepin),
        indin=float(indin.mean()),
        windin=float(weights @ indin),
        sep=float(sep.mean()),
        wsep=float(weights @ sep),
        mutual_information=whole.value,
        information=information,
        sep_per_latent=sep,
        sepin_per_latent=sepin,
        indin_per_latent=indin,
        weights=weights,
        saturated=np.asarray(is_saturated(whole.value - sepin, n))
        & (information > WEAK)
        & (d > 1),
        activity=activity(var),
        standard_errors={
            "sepin": float(sepin_errors[1]),
            "wsepin": float(sepin_errors[0]),
            "indin": float(sep_errors[1]),
            "windin": float(sep_errors[0]),
            "sep": float(sep_errors[1]),
            "wsep": float(sep_errors[0]),
            "mutual_information": whole.error,
            "sep_per_latent": sep_error,
            "sepin_per_latent": sepin_error,
            "indin_per_latent": sep_error,
        },
    )


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
