r"""Marginals of the aggregated posterior in one pass, from sums that add up.

The marginal of a latent, :math:`q = \frac1n \sum_m N(\mu_m, v_m)`, has the characteristic function

.. math:: \varphi(\omega) = \frac1n \sum_m e^{-i \omega \mu_m - \omega^2 v_m / 2}.

With the rows in cells of centre c, width w and variance s, and the sums M_ij of each cell
(:mod:`._cells`), the Taylor expansion of the exponential is

.. math::

   n \varphi(\omega) \approx \sum_{\text{cells}} e^{-i \omega c - \omega^2 s / 2}
   \sum_{i + 2j < p} (-i \omega w)^i (-\omega^2 s / 2)^j \frac{M_{ij}}{i!\, j!}

(a fast Gauss transform; Greengard and Strain, 1991; here the variances are binned as well). The
centres of a level lie on a lattice, so that its sum over cells is a Fourier transform, and the
density is one more.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from disentangle_indicators._array import Float
from disentangle_indicators.aggregate._cells import Cells, geometry, raised, split, terms

__all__ = ["Density", "Latent", "density", "latent", "moments", "surprise"]

_POINTS = 1 << 21
"""Points of a density at most; where more are due, it is evaluated under a higher floor."""

_REACH = 8.6
"""Standard deviations beyond which a Gaussian is below 1e-16, in z and in frequency."""

_WINDOW = 144
"""Points on each side of a cell in its surprise: 8 standard deviations of the widest level."""


class Density(NamedTuple):
    """The density of a marginal at evenly spaced points, by the orders p and p - 2.

    Parameters
    ----------
    start, step : float
        First point, and distance of the points.
    values, check : array, shape (k,)
    """

    start: float
    step: float
    values: Float
    check: Float


@dataclass(frozen=True)
class Latent:
    """What the cells of a latent determine; nats.

    Parameters
    ----------
    entropy : float
        Of q(z_h).
    estimate : float
        Estimate of its error: the difference of two orders or of two floors, the larger one.
    guarantee : float
        Bound of the error of the floor, by de Bruijn's identity; 0 without a floor.
    negative : float
        Mass of the density that is negative, where the expansion fails.
    errors : dict of str to float
        Standard errors of row sampling of "entropy", "information", "kl_prior" and "looseness".
    density : Density
    """

    entropy: float
    estimate: float
    guarantee: float
    negative: float
    errors: dict[str, float]
    density: Density


def density(cells: Cells, order: int, n: int) -> Density:
    """Evaluate the density of the marginal of these cells of n rows."""
    from scipy.fft import irfft, next_fast_len

    level, cell = split(cells.keys)
    width, s = geometry(level, cells.floor)
    widest, narrowest = float(width.max()), float(width.min())
    margin = 2 * _REACH * math.sqrt(float(s.max()))
    first = math.floor((float(np.min(cell * width)) - margin) / widest)
    last = math.ceil((float(np.max((cell + 1) * width)) + margin) / widest)
    period = next_fast_len(last - first, real=True) * widest
    points = 4 * round(period / narrowest)
    spectra = np.zeros((2, points // 2 + 1), dtype=complex)
    for one in np.unique(level):
        here = level == one
        w, v = float(width[here][0]), float(s[here][0])
        position = cell[here] - first * round(widest / w)
        _add_level(spectra, cells.sums[:-1, here], position, w, v, period, order)
    values, check = irfft(spectra, points, axis=1) * (points / period / n)
    return Density(first * widest, period / points, values, check)


def _add_level(
    spectra: Any, sums: Float, position: Any, w: float, s: float, period: float, order: int
) -> None:
    r"""Add the cells of one level to the characteristic functions of both orders.

    Sums of one power of omega go together: :math:`(-i\omega)^{i + 2j} w^i (s/2)^j M_{ij}/i!j!`.
    """
    from scipy.fft import rfft

    length = round(period / w)
    lattice = np.zeros((order, length))
    for (i, j), total in zip(terms(order), sums, strict=True):
        factor = w**i * (s / 2) ** j / (math.factorial(i) * math.factorial(j))
        lattice[i + 2 * j, position] += factor * total
    step = 2 * math.pi / period
    k = np.arange(min(spectra.shape[1], math.ceil(_REACH / math.sqrt(s) / step) + 1))
    omega = step * k
    values = _periodic(rfft(lattice, axis=1), k, length)
    low, power = np.zeros(len(k), complex), np.exp(-0.5 * s * omega**2 - 0.5j * w * omega)
    for m in range(order):
        if m == order - 2:
            spectra[1, : len(k)] += low
        low += power * values[m]
        power *= -1j * omega
    spectra[0, : len(k)] += low


def _periodic(half: Any, k: Any, length: int) -> Any:
    """Return the Fourier transforms (m, k) of real sequences at any k, from their first halves."""
    k = k % length
    back = 2 * k > length
    values = half[:, np.where(back, length - k, k)]
    values[:, back] = values[:, back].conj()
    return values


def _entropy(values: Float, step: float) -> float:
    r"""Return :math:`-\int q \log q` by the trapezoid rule."""
    from scipy.special import entr

    return float(entr(np.maximum(values, 0.0)).sum()) * step


def latent(cells: Cells, order: int, n: int, second: float) -> Latent:
    """Return the entropy of the marginal of these cells, its errors, and standard errors.

    Parameters
    ----------
    cells : Cells
    order : int
        At least 6.
    n : int
        Rows.
    second : float
        Second moment of q(z_h).
    """
    cells = _resolved(cells, order)
    q = density(cells, order, n)
    entropy, check = _entropy(q.values, q.step), _entropy(q.check, q.step)
    estimate, guarantee = abs(entropy - check), 0.0
    under = cells.under
    if under.any():
        higher = density(raised(cells, cells.floor + 1, order), order, n)
        estimate = max(estimate, abs(entropy - _entropy(higher.values, higher.step)))
        guarantee = _guarantee(cells, under, order, n, entropy)
    negative = -float(np.minimum(q.values, 0.0).sum()) * q.step
    errors = _errors(cells, q, order, n, second)
    return Latent(entropy, estimate, guarantee, negative, errors, q)


def _resolved(cells: Cells, order: int) -> Cells:
    """Raise the floor until the points of the density are few enough."""
    level, cell = split(cells.keys)
    width, s = geometry(level, cells.floor)
    ends = np.min(cell * width), np.max((cell + 1) * width)
    span = float(ends[1] - ends[0]) + 5 * _REACH * math.sqrt(float(s.max()))
    least = math.ceil(math.log2(4 * span / _POINTS)) + 1  # octave of the standard deviation
    return raised(cells, max(cells.floor, least), order)


def _guarantee(cells: Cells, under: Any, order: int, n: int, entropy: float) -> float:
    r"""Bound the error of the floor.

    Let q_c be the marginal with the posteriors under the floor widened to its variance s. By de
    Bruijn's identity and the convexity of Fisher's information,
    :math:`0 \le H(q_c) - H(q) \le \frac1n \sum \tfrac12 \log(s / v_m)` over these rows.
    """
    sums = cells.sums.copy()
    for k, (_, j) in enumerate(terms(order)):
        if j:
            sums[k, under] = 0.0
    widened = density(Cells(cells.keys, sums, cells.floor), order, n)
    high = _entropy(widened.values, widened.step)
    log_s = 2 * cells.floor * math.log(2)
    width = 0.5 * float(np.sum(log_s * cells.sums[0, under] - cells.sums[-1, under])) / n
    return max(abs(high - entropy), abs(entropy - (high - width)))


def surprise(cells: Cells, q: Density) -> Float:
    r"""Return the surprise of posteriors at the cells, and its derivatives by the mean: (3, k).

    .. math:: g(\mu, v) = -\int N(z; \mu, v) \log q(z) \, dz, \qquad
              \partial_v g = \tfrac12 \partial_\mu^2 g
    """
    level, cell = split(cells.keys)
    width, s = geometry(level, cells.floor)
    out = np.empty((3, len(cell)))
    log_q = np.log(np.maximum(q.values, 1e-17 * q.values.max()))
    for one in np.unique(level):
        here = np.flatnonzero(level == one)
        w, v = float(width[here[0]]), float(s[here[0]])
        stride = round(w / (4 * q.step))
        line = np.pad(log_q[::stride], _WINDOW, mode="edge")
        t = np.arange(-_WINDOW, _WINDOW + 1) * (w / 4) / math.sqrt(v)
        kernel = np.exp(-0.5 * t * t)
        kernel /= -kernel.sum()
        kernels = np.stack([kernel, kernel * t / math.sqrt(v), kernel * (t * t - 1) / v], axis=1)
        centre = 4 * (cell[here] - round(q.start / w)) + 2
        windows = np.lib.stride_tricks.sliding_window_view(line, 2 * _WINDOW + 1)
        for start in range(0, len(here), 4096):
            part = slice(start, start + 4096)
            out[:, here[part]] = (windows[centre[part]] @ kernels).T
    return out


def _errors(cells: Cells, q: Density, order: int, n: int, second: float) -> dict[str, float]:
    r"""Return the standard errors of row sampling.

    The influence of a row is g for the entropy, :math:`g - \tfrac12 \log v` for the information,
    and :math:`\tfrac12 (\mu^2 + v) - g` for KL(q(z_h) || p). In a cell, each is to second order
    a combination of 1, u, u^2 and r, whose squares the sums M_ij average.
    """
    if n == 1:
        return dict.fromkeys(("entropy", "information", "kl_prior", "looseness"), math.inf)
    level, cell = split(cells.keys)
    w, s = geometry(level, cells.floor)
    c = (cell + 0.5) * w
    g, first, curved = surprise(cells, q)
    at = {pair: total for pair, total in zip(terms(order), cells.sums, strict=False)}
    count, zero = at[0, 0], np.zeros_like(g)
    of_g = np.stack([g, first * w, 0.5 * curved * w * w, 0.5 * curved * s])
    of_u = np.stack([c * c + s, 2 * c * w, w * w, s])
    of_log = np.stack([cells.sums[-1] / count, zero, zero, np.where(cells.under, 0.0, 1.0)])
    of_log[0] -= of_log[3] * at[0, 1] / count
    influences = {
        "entropy": of_g,
        "information": of_g - 0.5 * of_log,
        "kl_prior": 0.5 * of_u - of_g,
        "looseness": 0.5 * of_u / second - of_g,
    }
    basis = ((0, 0), (1, 0), (2, 0), (0, 1))
    out = {}
    for name, a in influences.items():
        average = sum(float(a[k] @ at[pair]) for k, pair in enumerate(basis)) / n
        a = a.copy()
        a[0] -= average
        square = sum(
            float((a[k] * a[m]) @ at[one[0] + two[0], one[1] + two[1]])
            for k, one in enumerate(basis)
            for m, two in enumerate(basis)
        )
        out[name] = math.sqrt(max(square, 0.0) / (n - 1) / n)
    return out


def moments(cells: Cells, order: int, n: int) -> tuple[float, float]:
    """Return the second moment of the marginal and the average log variance."""
    level, cell = split(cells.keys)
    w, s = geometry(level, cells.floor)
    c = (cell + 0.5) * w
    at = dict(zip(terms(order), cells.sums, strict=False))
    second = (c * c + s) @ at[0, 0] + (2 * c * w) @ at[1, 0] + (w * w) @ at[2, 0] + s @ at[0, 1]
    return float(second) / n, float(cells.sums[-1].sum()) / n
