"""The law of the Higgins metric for an ideal code that is rotated: no data, no classifier."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import Array, Float, as_array, check_finite, to_numpy
from disentangle_indicators._result import Block, Result, Table
from disentangle_indicators._tables import with_error
from disentangle_indicators.aggregate._marginals import Progress
from disentangle_indicators.rotation._orthogonal import haar

__all__ = ["HigginsLaw", "higgins_law", "predicted_accuracy", "z_diff_law"]

SWEEP = tuple(2**i for i in range(11))
"""Numbers of pairs over which :func:`higgins_law` looks."""

TARGET = 0.95
"""Mean accuracy for which :func:`higgins_law` says how many pairs are needed."""

_FEWEST_FOR_CLT = 16
_MOST_PAIRS = 1 << 40
_TIE = 1e-12
_JITTER = 1e-12
_MOST_NOISE = 1e6
_BLOCK = 1 << 20
"""Thresholds, one for each point and pair of classes, that are held at a time."""

Single = NDArray[np.float32]


@dataclass(frozen=True, repr=False)
class HigginsLaw(Result):
    """The accuracy that the Higgins metric gives an ideal code, over rotations of the latents.

    Parameters
    ----------
    latents, pairs : int
        d, as many as factors, and L.
    noise : float
        Variance of the encoder, where factors have variance 1.
    rotations : int
        Rotations drawn from the Haar measure.
    seed : int or None
        The seed, where one was given.
    points : int
        Quasi-Monte Carlo points of each class.
    chance : float
        1/d, what a classifier reaches that knows nothing.
    aligned : float
        The accuracy when each latent is a factor.
    mean, sd, q05, q50, q95 : float
        The distribution of the accuracy over rotations: all of them equally good codes.
    instability : float or None
        (aligned - mean) / (aligned - chance): the share of the metric's range that the choice of
        axes costs on average. It depends on L and d. None where the noise leaves no range.
    sweep : array, shape (11,)
        Numbers of pairs: powers of two up to 1024.
    sweep_mean, sweep_q05, sweep_q95, sweep_aligned : array, shape (11,)
        The same numbers at each of them.
    target : float
        0.95.
    pairs_needed : int or None
        The least L for which the mean over these rotations reaches the target. It is read off the
        law at every whole L, not interpolated. None beyond 2**40.

    Examples
    --------
    >>> law = higgins_law(4, rotations=50)
    >>> law.chance, round(law.aligned, 3), law.q05 < law.mean < law.aligned
    (0.25, 1.0, True)
    """

    schema: ClassVar[str] = "dindic.higgins-law/1"

    latents: int
    pairs: int
    noise: float
    rotations: int
    seed: int | None
    points: int
    chance: float
    aligned: float
    mean: float
    sd: float
    q05: float
    q50: float
    q95: float
    instability: float | None
    sweep: NDArray[np.int64]
    sweep_mean: Float
    sweep_q05: Float
    sweep_q95: Float
    sweep_aligned: Float
    target: float
    pairs_needed: int | None

    def blocks(self) -> list[Block]:
        """Return the distribution at L, and the table over L."""
        instability = "-" if self.instability is None else f"{self.instability:.3f}"
        needed = f"{self.pairs_needed}" if self.pairs_needed else f"> {_MOST_PAIRS}"
        noise = f", encoder noise of variance {self.noise:g}" if self.noise else ""
        rows = [
            (
                "mean",
                with_error(self.mean, self.sd / math.sqrt(self.rotations)),
                "over rotations of the latents; ± one standard error",
            ),
            ("sd", f"{self.sd:.3f}", "of one rotation"),
            ("5%, 50%, 95%", f"{self.q05:.3f}, {self.q50:.3f}, {self.q95:.3f}", "quantiles"),
            ("aligned", f"{self.aligned:.3f}", "each latent is a factor"),
            ("chance", f"{self.chance:.3f}", "a guess: 1/d"),
            ("instability", instability, "(aligned - mean) / (aligned - chance)"),
            (
                f"L for a mean of {self.target:g}",
                needed,
                "pairs per point" if self._valid(self.pairs_needed) else "few: a rough number",
            ),
        ]
        seed = "" if self.seed is None else f", seed {self.seed}"
        distribution = Table(
            ("accuracy", "value", "how to read it"),
            tuple(rows),
            f"Higgins metric of an ideal code, d = {self.latents}, L = {self.pairs}{noise}",
            f"law, not data: {self.rotations} Haar rotations, {self.points} quasi-Monte Carlo "
            f"points a class{seed}; all rotations leave the code as independent and as informative",
        )
        columns = zip(
            self.sweep,
            self.sweep_mean,
            self.sweep_q05,
            self.sweep_q95,
            self.sweep_aligned,
            strict=True,
        )
        swept = Table(
            ("L", "mean", "5%", "95%", "aligned"),
            tuple((f"{size}", *(f"{value:.3f}" for value in values)) for size, *values in columns),
            "Over L, the pairs of a point",
            f"below L = {_FEWEST_FOR_CLT} the points are not Gaussian and the law is rough",
        )
        return [distribution, swept]

    @staticmethod
    def _valid(pairs: int | None) -> bool:
        return pairs is None or pairs >= _FEWEST_FOR_CLT


def z_diff_law(rotation: Array, pairs: int, noise: Any = 0.0) -> tuple[Float, Float]:
    r"""Mean and covariance of the points of the Higgins metric when the code is z = Q v + noise.

    Given y, the difference of a pair is N(0, Sigma) with

    .. math:: \Sigma = 2 (I - q q^\top + N), \quad q_h = Q_{hy}, \quad s_h = \sqrt{\Sigma_{hh}},
        \quad \rho_{ij} = \Sigma_{ij} / s_i s_j

    and the mean of L absolute differences has

    .. math:: m_h = \sqrt{2/\pi}\, s_h, \qquad K_{ij} = \frac{2 s_i s_j}{\pi L}
        \big[\sqrt{1 - \rho_{ij}^2} + \rho_{ij} \arcsin \rho_{ij} - 1\big]

    Parameters
    ----------
    rotation : array, shape (d, d)
        Q, orthogonal. Column y says how factor y enters the latents.
    pairs : int
        L, pairs per point.
    noise : float or array, shape (d,)
        Variance of the encoder, the diagonal of N, where the factors are N(0, 1).

    Returns
    -------
    means : array, shape (d, d)
        Row y is the mean given y, in units of the factors' standard deviation, at least 0.
    covariances : array, shape (d, d, d)
        Matrix y is the covariance given y.

    Raises
    ------
    ValueError
        On a matrix that is not orthogonal, on fewer than one pair, and on noise below 0 or above 1e6.

    Notes
    -----
    Appendix C, eqs. (33) to (35), corrected: without noise the mean is
    :math:`(2/\sqrt\pi) \sqrt{1 - Q_{hy}^2}`, where (35) has a factor of :math:`\sqrt 2` more, and
    q is a column of Q.

    Examples
    --------
    >>> import numpy as np
    >>> means, _ = z_diff_law(np.eye(2), 64)
    >>> (means * np.sqrt(np.pi) / 2).round(4)
    array([[0., 1.],
           [1., 0.]])
    """
    q = _orthogonal(rotation)
    return _moments(q, _at_least_one(pairs, "pairs"), _noise(noise, len(q)))


def predicted_accuracy(rotation: Array, pairs: int, noise: Any = 0.0, points: int = 4096) -> float:
    r"""Accuracy of the Higgins metric when the code is z = Q v + noise, from its law.

    .. math:: \frac1d \sum_y P\Big(\arg\max_k \big[x^\top W^{-1} m_k
        - \tfrac12 m_k^\top W^{-1} m_k\big] = y\Big), \quad x \sim N(m_y, K_y), \quad
        W = \frac1d \sum_y K_y

    with the moments of :func:`z_diff_law`: linear discriminant analysis on a central limit.

    Parameters
    ----------
    rotation : array, shape (d, d)
        Q, orthogonal.
    pairs : int
        L, pairs per point.
    noise : float or array, shape (d,)
        Variance of the encoder, where the factors are N(0, 1).
    points : int
        Sobol points of each class, rounded up to a power of two; their seed is fixed.

    Returns
    -------
    float
        Between 0 and 1. Factors whose columns of Q agree up to signs have the same law at every L,
        and share what they win. Without noise it is 1 for signed permutations and, unless they
        tie, for two factors: all points of a factor are then on a ray, at any L.

    Raises
    ------
    ValueError
        On a matrix that is not orthogonal, on fewer than one pair or point, and on noise below 0 or above 1e6.

    Notes
    -----
    Section 6.1 and Appendix C. For L of 16 and more it is within 0.03 of scikit-learn's logistic
    regression on 10,000 simulated points, with its penalty C = 1, as long as classes differ by
    more than the penalty: near a tie, say two latents turned by 44.9 degrees, that stays at chance
    where C = 1e6 finds the law's 1. For fewer pairs, points are not Gaussian: simulate.

    Examples
    --------
    >>> import numpy as np
    >>> predicted_accuracy(np.eye(3), 64)
    1.0
    >>> predicted_accuracy(np.array([[1.0, 1.0], [-1.0, 1.0]]) / np.sqrt(2), 64)
    0.5
    """
    q = _orthogonal(rotation)
    _at_least_one(pairs, "pairs")
    normal = _normal(len(q), _at_least_one(points, "points"))
    return float(_accuracy(*_thresholds(q, _noise(noise, len(q)), normal), pairs))


def higgins_law(
    latents: int,
    pairs: int = 64,
    *,
    rotations: int = 200,
    noise: float = 0.0,
    rng: np.random.Generator | int = 0,
    points: int = 1024,
    progress: Progress | None = None,
) -> HigginsLaw:
    r"""How the Higgins metric of an ideal code varies with the rotation that training ended in.

    .. math:: RI = \frac{s(I) - E_Q\, s(Q)}{s(I) - c}, \quad Q \sim \text{Haar}, \quad c = 1/d

    where s is :func:`predicted_accuracy`.

    Parameters
    ----------
    latents : int
        d, as many as factors; at least 2.
    pairs : int
        L, pairs per point.
    rotations : int
        At least 2.
    noise : float
        Variance of the encoder, where the factors are N(0, 1).
    rng : numpy.random.Generator or int
        The same seed gives the same numbers.
    points : int
        Sobol points of each class, rounded up to a power of two.
    progress : callable, optional
        Takes an iterable, a description and a total, and gives the iterable back.

    Returns
    -------
    HigginsLaw

    Raises
    ------
    ValueError
        On fewer than two latents or rotations, fewer than one pair or point, and noise below 0 or above 1e6.

    Notes
    -----
    Theorem 4 and section 6.1: for independent Gaussian factors all of these codes are as good.
    Exact ties have measure 0, so that for large L the accuracy of almost all of them is 1; how
    large, `pairs_needed` says.

    Examples
    --------
    >>> law = higgins_law(8, rotations=50)
    >>> 0.7 < law.mean < 0.9, law.instability > 0.1, law.pairs_needed > 64
    (True, True, True)
    """
    for name, number in (("latents", latents), ("rotations", rotations)):
        if number < 2:
            raise ValueError(f"{name} must be at least 2; got {number}")
    _at_least_one(pairs, "pairs")
    seed = None if isinstance(rng, np.random.Generator) else int(rng)
    rng = np.random.default_rng(rng)
    variance = _noise(float(noise), latents)
    normal = _normal(latents, _at_least_one(points, "points"))
    steps = range(rotations)
    found = [
        _thresholds(haar(latents, rng), variance, normal)
        for _ in (steps if progress is None else progress(steps, "rotations", rotations))
    ]
    aligned = _thresholds(np.eye(latents), variance, normal)
    thresholds, share = (np.stack(part) for part in zip(*found, strict=True))
    sizes = np.array(SWEEP)
    swept = np.stack([_accuracy(thresholds, share, size) for size in SWEEP])
    here = _accuracy(thresholds, share, pairs)
    best, chance = float(_accuracy(*aligned, pairs)), 1 / latents
    low, median, high = np.quantile(here, [0.05, 0.5, 0.95])
    mean = float(np.mean(here))
    return HigginsLaw(
        latents=latents,
        pairs=pairs,
        noise=float(noise),
        rotations=rotations,
        seed=seed,
        points=normal.shape[1],
        chance=chance,
        aligned=best,
        mean=mean,
        sd=float(np.std(here, ddof=1)),
        q05=float(low),
        q50=float(median),
        q95=float(high),
        instability=(best - mean) / (best - chance) if best > chance else None,
        sweep=sizes,
        sweep_mean=swept.mean(axis=1),
        sweep_q05=np.quantile(swept, 0.05, axis=1),
        sweep_q95=np.quantile(swept, 0.95, axis=1),
        sweep_aligned=np.array([float(_accuracy(*aligned, size)) for size in SWEEP]),
        target=TARGET,
        pairs_needed=_pairs_needed(thresholds, share, TARGET),
    )


def _moments(q: Float, pairs: int, noise: Float) -> tuple[Float, Float]:
    """Return the means (d, d) and covariances (d, d, d) of :func:`z_diff_law`."""
    columns = q.T
    variance = np.maximum((1 - columns) * (1 + columns), 0.0) + noise
    sd = np.sqrt(2 * variance)
    products = sd[:, :, None] * sd[:, None, :]
    covariance = -2 * columns[:, :, None] * columns[:, None, :]
    rho = np.divide(covariance, products, out=np.zeros_like(products), where=products > 0)
    rho = np.clip(rho, -1.0, 1.0)
    d = len(q)
    rho[:, np.arange(d), np.arange(d)] = 1.0
    bracket = np.sqrt(1 - rho**2) + rho * np.arcsin(rho) - 1
    return math.sqrt(2 / math.pi) * sd, (2 / (math.pi * pairs)) * products * bracket


def _thresholds(q: Float, noise: Float, normal: Single) -> tuple[Single, Float]:
    r"""Return sqrt(L) above which each point of each class is told from all other classes.

    Class y wins against k at :math:`x = m_y + A_y u / \sqrt L`, :math:`A_y A_y^\top = K_y` for one
    pair, when :math:`\tfrac12 \sqrt L D_{yk}^2 + (m_y - m_k)^\top W^{-1} A_y u > 0`, where
    :math:`D^2` is the squared Mahalanobis distance: one set of points serves every L.

    Returns
    -------
    thresholds : array, shape (d, points)
    share : array, shape (d,)
        One over the number of classes that have the same law, the class included.
    """
    d = len(q)
    square = q.T**2
    tied = np.max(np.abs(square[:, None] - square), axis=2) <= _TIE
    share = 1 / tied.sum(axis=1)
    if np.all(tied) or (not noise.any() and (d == 2 or np.all(np.max(square, axis=1) == 1))):
        return np.full((d, normal.shape[1]), -np.inf, dtype=np.float32), share
    means, covariances = _moments(q, 1, noise)
    jitter = _JITTER * np.max(covariances) * np.eye(d)
    within = covariances.mean(axis=0) + jitter
    gaps = means[:, None] - means
    weights = np.linalg.solve(within, gaps.reshape(-1, d).T).T.reshape(d, d, d)
    distance = np.sum(weights * gaps, axis=2)
    slopes = weights @ np.linalg.cholesky(covariances + jitter)
    slopes *= -2 / np.where(tied, 1.0, distance)[:, :, None]
    slopes = slopes.astype(np.float32)
    thresholds = np.empty((d, normal.shape[1]), dtype=np.float32)
    block = max(1, _BLOCK // (d * normal.shape[1]))
    for start in range(0, d, block):
        some = slice(start, start + block)
        against = slopes[some] @ normal
        against[tied[some]] = -np.inf
        np.max(against, axis=1, out=thresholds[some])
    return thresholds, share


def _accuracy(thresholds: Single, share: Float, pairs: int) -> Float:
    """Return the accuracy at L, for thresholds (..., d, points) and shares (..., d)."""
    won = np.mean(thresholds < math.sqrt(pairs), axis=-1)
    return np.asarray(np.mean(won * share, axis=-1))


def _pairs_needed(thresholds: Single, share: Float, target: float) -> int | None:
    """Return the least L at which the mean accuracy reaches the target, by bisection."""

    def reached(pairs: int) -> bool:
        return float(np.mean(_accuracy(thresholds, share, pairs))) >= target

    if not reached(_MOST_PAIRS):
        return None
    below, above = 0, 1
    while not reached(above):
        below, above = above, 2 * above
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (below, middle) if reached(middle) else (middle, above)
    return above


@lru_cache(maxsize=8)
def _normal(d: int, points: int) -> Single:
    """Return Sobol points of the standard normal distribution, shape (d, points)."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    uniform = qmc.Sobol(d, seed=0).random_base2(math.ceil(math.log2(points)))
    normal = ndtri(np.clip(uniform, 2.0**-32, 1 - 2.0**-32)).T.astype(np.float32)
    normal = np.ascontiguousarray(normal)
    normal.flags.writeable = False
    return normal


def _orthogonal(rotation: Any) -> Float:
    rotation = as_array(rotation, "rotation")
    if rotation.ndim != 2 or rotation.shape[0] != rotation.shape[1] or rotation.shape[0] == 0:
        raise ValueError(f"rotation must have the shape (d, d); it is {tuple(rotation.shape)}")
    check_finite(rotation, "rotation")
    q = to_numpy(rotation)
    off = float(np.max(np.abs(q.T @ q - np.eye(len(q)))))
    if off > 1e-6:
        raise ValueError(
            f"rotation must be orthogonal; the largest entry of |Q.T Q - I| is {off:.3g}"
        )
    return q


def _noise(noise: Any, d: int) -> Float:
    variance = to_numpy(as_array(noise, "noise"))
    if variance.shape not in ((), (d,)):
        raise ValueError(f"noise must be a number or have the shape ({d},); got {variance.shape}")
    check_finite(variance, "noise")
    if np.any(variance < 0):
        raise ValueError(f"noise must be at least 0; the least is {variance.min():g}")
    if np.any(variance > _MOST_NOISE):
        raise ValueError(
            f"noise must be at most {_MOST_NOISE:g}, where factors have variance 1; the most is "
            f"{variance.max():g}"
        )
    return np.broadcast_to(variance, (d,))


def _at_least_one(number: int, name: str) -> int:
    if number < 1:
        raise ValueError(f"{name} must be at least 1; got {number}")
    return number
