"""The law of the Higgins metric for an ideal code that is rotated: no data, no classifier."""

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from disentangle_indicators._array import (
    Array,
    Float,
    as_array,
    check_finite,
    generator,
    seed_of,
    to_numpy,
)
from disentangle_indicators._progress import Progress
from disentangle_indicators._provenance import Provenance
from disentangle_indicators.rotation._law_result import MOST_PAIRS, HigginsLaw
from disentangle_indicators.rotation._orthogonal import haar

__all__ = ["HigginsLaw", "higgins_law", "predicted_accuracy", "z_diff_law"]

SWEEP = tuple(2**i for i in range(11))
"""Numbers of pairs in the table of :func:`higgins_law`."""

TARGET = 0.95
"""Mean accuracy for which :func:`higgins_law` finds the number of pairs."""

_TIE = 1e-12
_JITTER = 1e-12
_FEW = 6
"""Latents up to which linear discriminants, which pool covariances, lose to a regression."""
_FIT_SIZES = (16, 64, 256)
_FIT_POINTS = 512
_FIT_ROWS = 10_000
_FIT_STEPS = 25
_FIT_TOLERANCE = 1e-3
_MOST_NOISE = 1e6
_BLOCK = 1 << 20
"""Thresholds, one for each point and pair of classes, that are held at a time."""

Single = NDArray[np.float32]


def z_diff_law(rotation: Array, pairs: int, noise: Any = 0.0) -> tuple[Float, Float]:
    r"""Compute the moments of the points of the Higgins metric when the code is z = Q v + noise.

    Given y, the difference of a pair is N(0, Sigma) with

    .. math:: \Sigma = 2 (I - q q^\top + N), \quad q_h = Q_{hy}, \quad s_h = \sqrt{\Sigma_{hh}},
        \quad \rho_{ij} = \Sigma_{ij} / s_i s_j

    and the mean of L absolute differences has

    .. math:: m_h = \sqrt{2/\pi}\, s_h, \qquad K_{ij} = \frac{2 s_i s_j}{\pi L}
        \big[\sqrt{1 - \rho_{ij}^2} + \rho_{ij} \arcsin \rho_{ij} - 1\big]

    Parameters
    ----------
    rotation : array, shape (d, d)
        Q, orthogonal. Column y is the direction of factor y in the latents.
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
        On a matrix that is not orthogonal, on fewer than one pair, and on noise below 0 or above
        1e6.

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
    r"""Compute the accuracy of the Higgins metric when the code is z = Q v + noise, from its law.

    .. math:: \frac1d \sum_y P\Big(\arg\max_k \big[x^\top W^{-1} m_k
        - \tfrac12 m_k^\top W^{-1} m_k\big] = y\Big), \quad x \sim N(m_y, K_y), \quad
        W = \frac1d \sum_y K_y

    with the moments of :func:`z_diff_law`: linear discriminant analysis on a central limit. Up to 6
    latents, where pooling the covariances costs up to 0.08, also a logistic regression with the
    penalty C = 1 of 10,000 points, fitted to the law; the better one counts.

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
        On a matrix that is not orthogonal, on fewer than one pair or point, and on noise below 0
        or above 1e6.

    Notes
    -----
    Section 6.1 and Appendix C. For L of 16 and more it is within 0.03 of scikit-learn's logistic
    regression with C = 1 on 10,000 simulated points, as long as classes differ by more than that
    penalty: near a tie, say two latents turned by 44.95 degrees, it finds 0.6 where C = 1e6
    finds the law's 1. For fewer pairs, points are not Gaussian: simulate.

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
    return float(_accuracy(*_thresholds(q, _noise(noise, len(q)), normal, (pairs,)), pairs))


def higgins_law(
    dimensions: int,
    pairs: int = 64,
    *,
    rotations: int = 200,
    encoder_variance: float = 0.0,
    rng: np.random.Generator | int = 0,
    points: int = 1024,
    progress: Progress | None = None,
) -> HigginsLaw:
    r"""Compute how the Higgins metric of an ideal code varies over rotations of its latents.

    .. math:: RI = \frac{s(I) - E_Q\, s(Q)}{s(I) - c}, \quad Q \sim \text{Haar}, \quad c = 1/d

    where s is :func:`predicted_accuracy`, for other L than `pairs` with the regressions of 16, 64
    and 256 pairs, which changes it by less than 0.01.

    Parameters
    ----------
    dimensions : int
        d, as many as factors; at least 2.
    pairs : int
        L, pairs per point.
    rotations : int
        At least 2.
    encoder_variance : float
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
        On fewer than two latents or rotations, fewer than one pair or point, and a variance below 0 or
        above 1e6.

    Notes
    -----
    Theorem 4 and section 6.1: for independent Gaussian factors all of these codes are as good.
    Exact ties have measure 0, so that the accuracy of almost every rotation tends to 1 with L;
    `pairs_needed` is the L for a mean of 0.95.

    Examples
    --------
    >>> law = higgins_law(8, rotations=50)
    >>> 0.7 < law.mean < 0.9, law.instability > 0.1, law.pairs_needed > 64
    (True, True, True)
    """
    for name, number in (("dimensions", dimensions), ("rotations", rotations)):
        if number < 2:
            raise ValueError(f"{name} must be at least 2; got {number}")
    _at_least_one(pairs, "pairs")
    seed = seed_of(rng)
    rng = generator(rng)
    variance = _noise(float(encoder_variance), dimensions, "encoder_variance")
    normal = _normal(dimensions, _at_least_one(points, "points"))
    steps, fits = range(rotations), sorted({pairs, *_FIT_SIZES})
    found = [
        _thresholds(haar(dimensions, rng), variance, normal, fits)
        for _ in (steps if progress is None else progress(steps, "rotations", rotations))
    ]
    aligned = _thresholds(np.eye(dimensions), variance, normal, fits)
    thresholds, share = (np.stack(part) for part in zip(*found, strict=True))
    sizes = np.array(SWEEP)
    swept = np.stack([_accuracy(thresholds, share, size) for size in SWEEP])
    here = _accuracy(thresholds, share, pairs)
    best, chance = float(_accuracy(*aligned, pairs)), 1 / dimensions
    low, median, high = np.quantile(here, [0.05, 0.5, 0.95])
    mean = float(np.mean(here))
    return HigginsLaw(
        dimensions=dimensions,
        pairs=pairs,
        encoder_variance=float(encoder_variance),
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
        provenance=Provenance(
            "disentangle_indicators.rotation.higgins_law",
            parameters={
                "dimensions": dimensions,
                "pairs": pairs,
                "rotations": rotations,
                "encoder_variance": float(encoder_variance),
            },
            seed=seed,
        ),
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


def _thresholds(
    q: Float, noise: Float, normal: Single, sizes: Iterable[int]
) -> tuple[Single, Float]:
    r"""Return sqrt(L) above which classifiers tell each point of each class from all others.

    A linear classifier (w, b) wins class y from k at :math:`x = m_y + A_y u / \sqrt L`, with
    :math:`A_y A_y^\top = K_y` for one pair, when :math:`\sqrt L \big[(w_y - w_k)^\top m_y + b_y -
    b_k\big] + (w_y - w_k)^\top A_y u > 0`: one set of points serves every L.

    Returns
    -------
    thresholds : array, shape (classifiers, d, points)
        Linear discriminants, and for few latents the logistic regressions fitted at `sizes`.
    share : array, shape (d,)
        One over the number of classes that have the same law, the class included.
    """
    d = len(q)
    square = q.T**2
    tied = np.max(np.abs(square[:, None] - square), axis=2) <= _TIE
    share = 1 / tied.sum(axis=1)
    if np.all(tied) or (not noise.any() and (d == 2 or np.all(np.max(square, axis=1) == 1))):
        return np.full((1, d, normal.shape[1]), -np.inf, dtype=np.float32), share
    means, covariances = _moments(q, 1, noise)
    means -= means.mean(axis=0)
    jitter = _JITTER * np.max(covariances) * np.eye(d)
    roots = np.linalg.cholesky(covariances + jitter).astype(np.float64, copy=False)
    weights = np.linalg.solve(covariances.mean(axis=0) + jitter, means.T).T
    classifiers = [(weights, -0.5 * np.sum(weights * means, axis=1))]
    if d <= _FEW:
        classifiers += [_logistic(means, roots / math.sqrt(L), normal) for L in sizes]
    parts = [_won(w, b, means, roots, tied, normal) for w, b in classifiers]
    return np.stack(parts), share


def _won(
    w: Float, b: Float, means: Float, roots: Float, tied: NDArray[np.bool_], normal: Single
) -> Single:
    """Return the thresholds (d, points) of one classifier; infinite where a mean is misplaced."""
    d = len(w)
    gaps = w[:, None] - w
    margins = np.sum(gaps * means[:, None], axis=2) + b[:, None] - b
    margins[tied] = 1.0
    lost = np.any(margins <= 0, axis=1)
    slopes = -(gaps @ roots) / np.where(margins > 0, margins, 1.0)[:, :, None]
    slopes = slopes.astype(np.float32)
    thresholds = np.empty((d, normal.shape[1]), dtype=np.float32)
    block = max(1, _BLOCK // (d * normal.shape[1]))
    for start in range(0, d, block):
        some = slice(start, start + block)
        against = slopes[some] @ normal
        against[tied[some]] = -np.inf
        np.max(against, axis=1, out=thresholds[some])
    thresholds[lost] = np.inf
    return thresholds


def _logistic(means: Float, roots: Float, normal: Single) -> tuple[Float, Float]:
    """Fit a logistic regression with scikit-learn's C = 1 to points of the law, by Newton steps."""
    d = len(means)
    points = means[:, None] + (roots @ normal[:, :_FIT_POINTS]).transpose(0, 2, 1)
    x = np.concatenate([points, np.ones((*points.shape[:2], 1))], axis=2).reshape(-1, d + 1)
    truth = np.repeat(np.eye(d), points.shape[1], axis=0)
    ridge = np.tile(np.append(np.full(d, 1 / _FIT_ROWS), 1e-9), d)
    w: Float = np.zeros(d * (d + 1))
    step, best = w, math.inf
    for _ in range(_FIT_STEPS):
        logits = x @ w.reshape(d, -1).T
        logits -= logits.max(axis=1, keepdims=True)
        p = np.exp(logits)
        total = p.sum(axis=1, keepdims=True)
        p /= total
        loss = float(np.mean(np.log(total[:, 0]) - np.sum(truth * logits, axis=1)))
        loss += 0.5 * float(ridge @ w**2)
        if loss > best:
            step = 0.5 * step
            w = w + step
            continue
        spread = (p[:, :, None] * x[:, None, :]).reshape(len(x), -1)
        hessian = -(spread.T @ spread)
        for k in range(d):
            at = slice(k * (d + 1), (k + 1) * (d + 1))
            hessian[at, at] += spread[:, at].T @ x
        gradient = ((p - truth).T @ x).ravel() / len(x) + ridge * w
        step = np.linalg.solve(hessian / len(x) + np.diag(ridge), gradient)
        if float(step @ gradient) < _FIT_TOLERANCE * max(loss, 1e-3):
            break
        best, w = loss, w - step
    table = w.reshape(d, d + 1)
    return table[:, :-1], table[:, -1]


def _accuracy(thresholds: Single, share: Float, pairs: int) -> Float:
    """Return the best classifier's accuracy at L; thresholds (..., classifiers, d, points)."""
    won = np.mean(thresholds < math.sqrt(pairs), axis=-1)
    return np.asarray(np.max(np.mean(won * share[..., None, :], axis=-1), axis=-1))


def _pairs_needed(thresholds: Single, share: Float, target: float) -> int | None:
    """Return the least L at which the mean accuracy reaches the target, by bisection."""

    def reached(pairs: int) -> bool:
        return float(np.mean(_accuracy(thresholds, share, pairs))) >= target

    if not reached(MOST_PAIRS):
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


def _noise(noise: Any, d: int, name: str = "noise") -> Float:
    variance = to_numpy(as_array(noise, name))
    if variance.shape not in ((), (d,)):
        raise ValueError(f"{name} must be a number or have the shape ({d},); got {variance.shape}")
    check_finite(variance, name)
    if np.any(variance < 0):
        raise ValueError(f"{name} must be at least 0; the least is {variance.min():g}")
    if np.any(variance > _MOST_NOISE):
        raise ValueError(
            f"{name} must be at most {_MOST_NOISE:g}, where factors have variance 1; the most is "
            f"{variance.max():g}"
        )
    return np.broadcast_to(variance, (d,))


def _at_least_one(number: int, name: str) -> int:
    if number < 1:
        raise ValueError(f"{name} must be at least 1; got {number}")
    return number
